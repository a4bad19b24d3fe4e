"""Takes a trained model away: `export.py runs/vae/version_0 --to exported/vae`."""

import argparse
import shlex
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path, PureWindowsPath
from typing import Any

import yaml  # type: ignore[import-untyped]

from exporting.card import PICTURE, draw_samples_picture, figures_of, model_card
from exporting.folder import check_new, new_folder
from exporting.graphs import check_verbs, graph_of, signature, verbs_of
from exporting.hub import check_name, push
from exporting.onnx_file import PACKAGES, write_onnx
from exporting.pt2_file import write_pt2
from exporting.space import write_space
from exporting.weights import write_weights
from lit_generative.options import add_trusted
from lit_generative.trained import TrainedRun, encoder_of, open_run
from lit_models import load_model
from lit_models.exported import ENCODER
from lit_models.extras import require_packages
from playground.abilities import Abilities
from playground.encoded import EncodedClassifier

FORMATS = ("safetensors", "onnx", "pt2", "space")
_GRAPHS = ("onnx", "pt2")
# where things lie on the machine that trained is nobody else's concern, and loggers have accounts and keys
_PLACES = ("data_dir", "cache_dir", "default_root_dir", "dirpath", "save_dir", "ckpt_path", "logger")


def main(args: Sequence[str] | None = None) -> Path:
    """Write a folder and say what lies in it.

    Args:
        args: words of the command line; None takes them from `sys.argv`.

    Returns:
        The folder.

    Raises:
        SystemExit: bad words, or something that cannot be written; with the reason, and nothing is left.

    Example:
        >>> main(["runs/vae_fashion_mnist/version_0", "--to", "exported/vae"])  # doctest: +SKIP
    """
    parser = _parser()
    options = parser.parse_args(args)
    folder = Path(options.to)
    try:
        check_new(folder)  # before anything is done
        _check_packages(options)
        with new_folder(folder) as made:
            said = _write_page(made, options) if _is_space(options) else _write(made, options)
        said += [f"exported: {folder}"]
        said += [f"pushed:   {push(folder, options.push, _is_space(options), options.private)}"] if options.push else []
    except (ValueError, TypeError, RuntimeError, OSError) as error:
        parser.error(str(error))
    print("\n".join(said))
    return folder


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="export.py", description=__doc__)
    parser.add_argument("run", help="run folder (best.ckpt, else last.ckpt), or a checkpoint in it")
    parser.add_argument("--to", required=True, help="new folder")
    parser.add_argument(
        "--formats",
        nargs="+",
        choices=FORMATS,
        default=["safetensors", "onnx"],
        help="safetensors: weights, for load_model; onnx: a graph a verb, for any program; pt2: the same for PyTorch; "
        "space, alone: the demo page as a Space of the Hub",
    )
    parser.add_argument("--verbs", nargs="+", help="what graphs are written of; all that the model has")
    parser.add_argument("--report", default="report/report.json", help="a report.json whose figures the card shows")
    add_trusted(parser, "modules of your own that the checkpoint may name")
    parser.add_argument("--data_dir", help="of a space: where the data lie, if not where the run had them")
    parser.add_argument("--examples", help="of a space: .npz of test images instead, see demo.py")
    parser.add_argument("--push", metavar="OWNER/NAME", help="upload the folder to the Hugging Face Hub too")
    parser.add_argument("--private", action="store_true", help="of a repository that --push makes: for you alone")
    return parser


def _check_packages(options: argparse.Namespace) -> None:
    if _is_space(options) and len(options.formats) > 1:
        raise ValueError(f"--formats space is a folder of its own, got {' '.join(options.formats)}: export twice")
    if options.verbs and not set(_GRAPHS) & set(options.formats):
        raise ValueError(f"--verbs are of graphs, got --formats {' '.join(options.formats)}: add onnx or pt2")
    if (options.data_dir or options.examples) and not _is_space(options):
        raise ValueError("--data_dir and --examples are of a space: leave them out, or add --formats space")
    if options.push:
        check_name(options.push)
    if _is_space(options):
        require_packages("gradio", extra="demo")
    wanted = ["safetensors"] if {"safetensors", "space"} & set(options.formats) else []
    wanted += PACKAGES if "onnx" in options.formats else []
    require_packages(*wanted, extra="export")


def _is_space(options: argparse.Namespace) -> bool:
    return "space" in options.formats


def _write_page(folder: Path, options: argparse.Namespace) -> list[str]:
    """Fill the folder with the page; lines that say what lies in it."""
    from lit_generative.demo import open_for_page

    if options.trusted:
        raise ValueError(
            f"--formats space takes no modules of your own, got --trusted {' '.join(options.trusted)}: write the page "
            "of a model whose networks are this project's, or build one with playground.page.build_page"
        )
    name, model, examples = open_for_page(options.run, options.data_dir, options.examples)
    Abilities(name, model, examples)  # raises where the page could show nothing
    parts = {"model": model}
    if isinstance(model, EncodedClassifier):
        parts = {"model": model.head, "encoder": model.encoder}
    shown = None if examples is None else (examples.images, examples.labels, list(examples.class_names))
    write_space(name, parts, folder, shown)
    return [f"try it:   python {shlex.quote(str(Path(options.to) / 'app.py'))}"]


def _write(folder: Path, options: argparse.Namespace) -> list[str]:
    """Fill the folder; lines that say how near the graphs are."""
    run = open_run(options.run, tuple(options.trusted))
    model: Any = run.model
    sha256 = run.sha256  # of a file that may be large: once
    figures = figures_of(Path(options.report), sha256)  # a bad report ends it before minutes of work
    model.settle()
    class_names = _class_names(run)
    said: list[str] = []
    if "safetensors" in options.formats:
        facts = {"epochs": run.epochs, "class_names": class_names, "source_sha256": sha256}
        write_weights(model, folder, facts)
    signatures: list[str] = []
    if set(_GRAPHS) & set(options.formats):
        check_verbs(model, options.verbs or [])
        model.float()  # graphs are of 32 bits
        for verb in options.verbs or verbs_of(model):
            graph = graph_of(model, verb)
            signatures.append(signature(graph))
            if "onnx" in options.formats:
                distance = write_onnx(graph, folder / f"{verb}.onnx", {"signature": signatures[-1]})
                said.append(f"{verb}.onnx: within {distance:.1g} of PyTorch")
            if "pt2" in options.formats:
                write_pt2(graph, folder / f"{verb}.pt2")
    if encoder := encoder_of(run):
        (folder / ENCODER).mkdir()
        write_weights(load_model(encoder, trusted=tuple(options.trusted)), folder / ENCODER, {})
    if run.config:
        text = yaml.safe_dump(_without_places(run.config), sort_keys=False)
        (folder / "config.yaml").write_text(text, encoding="utf-8")
    draw_samples_picture(model, folder / PICTURE, class_names)
    _write_card(run, folder, signatures, figures)
    return said


def _write_card(run: TrainedRun, folder: Path, signatures: list[str], figures: list[str]) -> None:
    data = str(run.config.get("data", {}).get("class_path", "")).rpartition(".")[2]
    trained = f"{run.epochs} epoch{'s' * (run.epochs != 1)}" + (f" on {data}" if data else "")
    trained += ", by its best checkpoint" if run.checkpoint.name == "best.ckpt" else ""
    files = sorted(path.name for path in folder.iterdir())
    card = model_card(run.name, run.model, trained, files, signatures, figures)
    (folder / "README.md").write_text(card, encoding="utf-8")


def _class_names(run: TrainedRun) -> list[str]:
    """Those that the run's data had, where they are kept; else of the data's class."""
    if run.class_names:
        return list(run.class_names)
    module, _, name = str(run.config.get("data", {}).get("class_path", "")).rpartition(".")
    if module.split(".")[0] != "datamodules":
        return []
    return [str(one) for one in getattr(import_module(module), name).class_names]


def _without_places(config: Any) -> Any:
    """A config without the folders of the machine that it was run on."""
    if isinstance(config, dict):
        return {key: _without_places(value) for key, value in config.items() if key not in _PLACES}
    if isinstance(config, list):
        return [_without_places(value) for value in config]
    if not isinstance(config, str):
        return config
    path = PureWindowsPath(config.removeprefix("file://"))  # which takes / for \\ too
    return path.name if path.root or path.parts[:1] in (("..",), ("~",)) else config
