"""Says what checkpoints are worth, side by side: `report.py runs/a/version_0 runs/b/version_0 --to report`."""

import argparse
import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tqdm import tqdm

from evaluation.page import Section, render_page
from evaluation.reference import Reference
from judge import doubt, find_classifier
from lit_models import load_classifier
from measuring import Beside, Measured, Sizes, beside_name, measure, measure_beside, sample_size
from report_page import plain, sections
from trained import TrainedRun, data_hash, file_hash, open_data, open_run

_PACKAGES = ("torch", "torchvision", "lightning", "torchmetrics", "scikit-learn", "numpy")
# what a checkpoint, its config or its data may raise; the others' report is still written
_ERRORS = (OSError, ValueError, TypeError, RuntimeError)


@dataclass
class Findings:
    """All that a report says, before it becomes a page.

    Attributes:
        sizes: how many examples each measure took.
        data: what the models were trained on, as plain data.
        classifier: what judged samples, as plain data; {} where there was none.
        reference: the data themselves.
        beside: what models are read beside.
        measured: the models.
        failed: path and reason of each that could not be measured.

    Example:
        >>> import torch
        >>> Findings(Sizes(), {}, {}, Reference(*[torch.zeros(0)] * 4)).failed
        {}
    """

    sizes: Sizes
    data: dict[str, Any]
    classifier: dict[str, Any]
    reference: Reference
    beside: Beside = field(default_factory=Beside)
    measured: list[Measured] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)


def main(args: Sequence[str] | None = None) -> Path:
    """Write a report and say where it lies.

    Args:
        args: words of the command line; None takes them from `sys.argv`.

    Returns:
        The path of `report.html`; `report.json` lies beside it.

    Raises:
        SystemExit: bad words, or no checkpoint that can be measured; with the reason of each.

    Example:
        >>> main(["runs/vae_fashion_mnist/version_0", "--to", "report"])  # doctest: +SKIP
    """
    options = _parser().parse_args(args)
    try:
        sizes = _sizes(options)
        runs, failed = _open(options.runs)
        findings = _measure(runs, failed, sizes, options)
    except _ERRORS as error:
        raise SystemExit(f"report.py: error: {error}") from error
    return _write(findings, Path(options.to))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="report.py", description=__doc__)
    parser.add_argument(
        "runs", nargs="+", help="run folders (best.ckpt, else last.ckpt is read), or checkpoints in them"
    )
    parser.add_argument("--to", default="report", help="folder of report.html and report.json")
    parser.add_argument("--data_dir", help="where the data lie, if not where the runs had them")
    parser.add_argument("--classifier", help="checkpoint of a LitClassifier of these data; else one is trained once")
    parser.add_argument("--cache_dir", help="for the classifier, and for figures that do not depend on the models")
    for name, value in asdict(Sizes()).items():
        parser.add_argument(f"--{name}", type=int, help=f"{_HELP[name]} ({value}, or as many as there are)")
    return parser


_HELP = {
    "samples": "samples of each model",
    "chain_samples": "samples of a model that samples by a Markov chain",
    "neighbours": "samples and real images for figures of neighbours",
    "copies": "samples that are compared with every training image",
    "likelihood": "test images whose likelihood is measured",
    "draws": "codes for each of them, where it is estimated by draws",
    "probe_labels": "labelled training images of a probe",
    "probe_draws": "sets of them",
    "seed": "of everything that is drawn",
}


def _sizes(options: argparse.Namespace) -> Sizes:
    asked = {name: getattr(options, name) for name in _HELP if getattr(options, name) is not None}
    for name, number in asked.items():
        least = {"seed": 0, "draws": 2, "samples": 50, "chain_samples": 50}.get(name, 1)
        if number < least:
            raise ValueError(f"--{name} must be at least {least}, got {number}")
    return Sizes(**asked)


def _open(paths: Sequence[str]) -> tuple[list[TrainedRun], dict[str, str]]:
    """The runs that can be opened, each with a name of its own, and why the others cannot."""
    runs: list[TrainedRun] = []
    failed: dict[str, str] = {}
    for path in paths:
        try:
            run = open_run(path)
        except _ERRORS as error:
            failed[path] = str(error)
            print(f"left out: {path}: {error}")
            continue
        same = sum(run.name == other.name.partition(" #")[0] for other in runs)
        runs.append(TrainedRun(f"{run.name} #{same + 1}" if same else run.name, *list(vars(run).values())[1:]))
    if not runs:
        raise ValueError("none of the checkpoints can be read: " + "; ".join(failed.values()))
    return runs, failed


def _measure(runs: list[TrainedRun], failed: dict[str, str], sizes: Sizes, options: argparse.Namespace) -> Findings:
    data, hashed = None, ""
    kept = []
    for run in runs:
        try:
            opened = open_data(run, options.data_dir)
            own = data_hash(opened)
            if data is not None and own != hashed:
                raise ValueError(
                    f"{run.name} was trained on other data than {kept[0].name}: their figures cannot be compared, "
                    "write a report for each"
                )
        except _ERRORS as error:
            failed[str(run.checkpoint)] = str(error)
            print(f"left out: {run.checkpoint}: {error}")
            continue
        data, hashed = (opened, own) if data is None else (data, hashed)
        kept.append(run)
    if data is None:
        raise ValueError("no run's data can be read: " + "; ".join(failed.values()))
    cache = Path(options.cache_dir or _cache()).expanduser()
    checkpoint = find_classifier(kept[0], data, options.classifier, cache)
    reference = Reference(
        *data.split("train"),
        *data.split("test"),
        tuple(data.class_names) if data.num_classes else (),
        load_classifier(str(checkpoint)) if checkpoint else None,
    )
    sizes = _fitting(sizes, reference, options)
    described = {
        "class_path": kept[0].config["data"]["class_path"],
        "sha256": hashed,
        "train": len(reference.train),
        "test": len(reference.test),
    }
    judged = {"checkpoint": str(checkpoint), "sha256": file_hash(checkpoint)} if checkpoint else {}
    findings = Findings(sizes, described, judged, reference, failed=failed)
    numbers = sorted({sample_size(run, sizes) for run in kept if hasattr(run.model, "sample")})
    name = beside_name(described, judged.get("sha256"), sizes, numbers)
    with tqdm(total=0, bar_format="{desc} [{elapsed}]") as bar:
        for step, findings.beside in measure_beside(reference, numbers, sizes, cache / "reports" / name):
            bar.set_description_str(f"beside the models: {step}")
        if findings.beside.classifier_accuracy is not None:
            judged["test_accuracy"] = findings.beside.classifier_accuracy
            bar.write(f"classifier: {judged['test_accuracy']:.2%} of the test images right")
            if words := doubt(judged["test_accuracy"], tuple(data.image_shape)):
                bar.write(f"warning: {words}")
        for run in kept:
            for step, measured in measure(run, reference, findings.beside.threshold, sizes):
                bar.set_description_str(f"{run.name}: {step}")
            findings.measured.append(measured)
    return findings


def _fitting(sizes: Sizes, reference: Reference, options: argparse.Namespace) -> Sizes:
    """Sizes that the data allow; what was asked for and is not there is an error."""
    there = {
        "samples": len(reference.train) // 2,
        "chain_samples": len(reference.train) // 2,
        "neighbours": len(reference.test),
        "likelihood": len(reference.test),
        "probe_labels": len(reference.train),
    }
    for name, most in there.items():
        if (getattr(options, name) or 0) > most:
            raise ValueError(f"--{name} {getattr(options, name)}: the data allow at most {most}")
    return Sizes(**asdict(sizes) | {name: min(getattr(sizes, name), most) for name, most in there.items()})


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "lit-generative")


def _write(findings: Findings, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    page = [_overview(findings), *sections(findings.measured, findings.beside, findings.reference, findings.sizes.seed)]
    title = f"{', '.join(one.run.name for one in findings.measured)}: a report"
    path = folder / "report.html"
    _replace(path, render_page(title if len(title) < 80 else "A report", [*page, _provenance(findings)]))
    _replace(folder / "report.json", json.dumps(_plain(findings), indent=2, ensure_ascii=False) + "\n")
    print(f"report: {path} (and report.json beside it)")
    return path


def _replace(path: Path, text: str) -> None:
    part = path.with_name(f".{path.name}.part")
    part.write_text(text)
    part.replace(path)


def _overview(findings: Findings) -> Section:
    data, classifier = findings.data, findings.classifier
    words = [
        f"{data['class_path'].rpartition('.')[2]}: {data['train']:,} training images, {data['test']:,} test images."
    ]
    if classifier:
        words.append(
            f"The classifier that looks at samples is right for {classifier['test_accuracy']:.2%} of the test images."
        )
        words += [
            f"Warning: {doubted}."
            for doubted in [doubt(classifier["test_accuracy"], findings.reference.test.shape[1:])]
            if doubted
        ]
    for one in findings.measured:
        parameters = sum(parameter.numel() for parameter in one.run.model.parameters())
        words.append(
            f"{one.run.name}: {type(one.run.model).__name__}, {parameters:,} parameters, {one.run.epochs} epochs."
        )
    return Section("What is compared", words)


def _provenance(findings: Findings) -> Section:
    words = [f"Data: SHA-256 of the test split {findings.data['sha256']}."]
    if findings.classifier:
        words.append(f"Classifier: {findings.classifier['checkpoint']}, SHA-256 {findings.classifier['sha256']}.")
    for one in findings.measured:
        times = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in one.seconds.items())
        words.append(f"{one.run.name}: {one.run.checkpoint}, SHA-256 {one.run.sha256}. Time: {times}.")
        words += [f"{one.run.name}, left out: {name} ({reason})." for name, reason in one.left_out.items()]
    words += [f"Left out: {path}: {reason}" for path, reason in findings.failed.items()]
    words.append("Sizes: " + ", ".join(f"{name} {value:,}" for name, value in asdict(findings.sizes).items()) + ".")
    words.append("Versions: " + ", ".join(f"{name} {number}" for name, number in _versions().items()) + ".")
    return Section("How it was measured", words)


def _plain(findings: Findings) -> dict[str, Any]:
    beside = findings.beside
    return {
        "data": findings.data,
        "classifier": findings.classifier,
        "sizes": asdict(findings.sizes),
        "versions": _versions(),
        "copy_threshold": beside.threshold,
        "references": [
            {"name": name, "n": n, "figures": plain(figures), "class_counts": beside.counts[n][name]}
            for n, sets in beside.sets.items()
            for name, figures in sets.items()
        ],
        "pixels": plain(beside.pixels),
        "models": [_plain_model(one) for one in findings.measured],
        "failed": findings.failed,
    }


def _plain_model(one: Measured) -> dict[str, Any]:
    return {
        "name": one.run.name,
        "class": type(one.run.model).__name__,
        "checkpoint": str(one.run.checkpoint),
        "sha256": one.run.sha256,
        "epochs": one.run.epochs,
        "parameters": sum(parameter.numel() for parameter in one.run.model.parameters()),
        "figures": plain(one.figures),
        "class_counts": one.samples[1].counts if one.samples else [],
        "likelihood": one.likelihood,
        "left_out": one.left_out,
    }


def _versions() -> dict[str, str]:
    return {"python": platform.python_version()} | {name: version(name) for name in _PACKAGES}


if __name__ == "__main__":
    main()
