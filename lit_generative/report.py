"""Says what checkpoints are worth, side by side: `report.py runs/a/version_0 runs/b/version_0 --to report`."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from evaluation.page import render_page
from lit_generative.comparison import ERRORS, compare
from lit_generative.options import add_trusted
from lit_generative.report_data import plain_report
from lit_generative.report_page import sections

_HELP = {
    "samples": "samples of each model (5000)",
    "chain_samples": "samples of a model that samples by a Markov chain (1000)",
    "neighbours": "samples and real images for figures of neighbours (2000)",
    "copies": "samples that are compared with every training image (1000)",
    "likelihood": "test images whose likelihood is measured (1000)",
    "draws": "codes for each of them, where it is estimated by draws (500)",
    "probe_labels": "labelled training images of a probe (5000)",
    "probe_draws": "sets of them (3)",
    "seed": "of everything that is drawn (0)",
}
_LEAST = {
    "samples": 50,
    "chain_samples": 50,
    "neighbours": 6,
    "likelihood": 2,
    "draws": 2,
    "probe_labels": 20,
    "seed": 0,
}


def main(args: Sequence[str] | None = None) -> Path:
    """Write a report and say where it lies.

    Args:
        args: words of the command line; None takes them from `sys.argv`.

    Returns:
        The path of `report.html`; `report.json` lies beside it.

    Raises:
        SystemExit: bad words, or nothing that can be measured; with the reason.

    Example:
        >>> main(["runs/vae_fashion_mnist/version_0", "--to", "report"])  # doctest: +SKIP
    """
    parser = _parser()
    options = parser.parse_args(args)
    sizes = {name: getattr(options, name) for name in _HELP if getattr(options, name) is not None}
    for name, number in sizes.items():
        least = 0 if name == "seed" else _LEAST.get(name, 1)
        if number < least:
            parser.error(f"--{name} must be at least {least}, got {number}")
    folder = Path(options.to)
    try:
        folder.mkdir(parents=True, exist_ok=True)  # before minutes of work
        findings = compare(
            options.runs, sizes, options.data_dir, options.classifier, options.cache_dir, options.trusted
        )
    except ERRORS as error:
        parser.error(str(error))
    names = ", ".join(one.run.name for one in findings.measured)
    _write(folder / "report.json", json.dumps(plain_report(findings), indent=2, ensure_ascii=False) + "\n")
    _write(folder / "report.html", render_page(f"Report: {names}", sections(findings)))
    print(f"report: {folder / 'report.html'} (figures as data: {folder / 'report.json'})")
    for path in findings.failed:
        print(f"left out, see the page: {path}")
    return folder / "report.html"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="report.py", description=__doc__)
    parser.add_argument("runs", nargs="+", help="run folders (best.ckpt, else last.ckpt), or checkpoints in them")
    parser.add_argument("--to", default="report", help="folder of report.html and report.json")
    parser.add_argument("--data_dir", help="where the data lie, if not where the runs had them")
    parser.add_argument("--classifier", help="checkpoint of a LitClassifier of these data; else one is trained once")
    parser.add_argument("--cache_dir", help="for the classifier, and for figures that do not depend on the models")
    add_trusted(parser, "module of yours that checkpoints, and the data of exported runs, may name")
    for name, words in _HELP.items():
        parser.add_argument(f"--{name}", type=int, help=words)
    return parser


def _write(path: Path, text: str) -> None:
    part = path.with_name(f".{path.name}.part")  # a kill half way leaves the old one
    part.write_text(text, encoding="utf-8")
    part.replace(path)
