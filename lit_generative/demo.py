"""Opens a page to touch a trained model in the browser, or two side by side: `demo.py runs/a/version_0`."""

import argparse
import importlib.util
import os
import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from lightning.pytorch import LightningModule

from lit_generative.options import add_trusted
from lit_generative.trained import TrainedRun, encoder_of, open_data, open_run
from lit_models import load_model
from playground.encoded import EncodedClassifier
from playground.examples import Examples, read_examples

_REMEDY = 'start it with `uv run --extra demo demo.py {}`, or install it with `pip install "gradio>=6,<7"`'
_ERRORS = (OSError, ValueError, TypeError, ImportError, RuntimeError)


def main(args: Sequence[str] | None = None) -> None:
    """Open the page and serve it until Ctrl-C.

    Args:
        args: words of the command line; None takes them from `sys.argv`.

    Raises:
        SystemExit: gradio is not installed, a run is not there or can do nothing, or the port is in use; in words.

    Example:
        >>> main(["runs/vae_fashion_mnist/version_0"])  # doctest: +SKIP
    """
    given = list(sys.argv[1:] if args is None else args)
    options = _parser().parse_args(given)
    if not _has_gradio():
        raise SystemExit(f"demo.py: the page needs gradio, which is not installed: {_REMEDY.format(shlex.join(given))}")
    if options.port is not None and not 1 <= options.port <= 65535:
        raise SystemExit(f"demo.py: --port must be from 1 to 65535, got {options.port}: leave it out for a free one")
    try:
        models = [
            open_for_page(path, options.data_dir, options.examples, tuple(options.trusted)) for path in options.runs
        ]
    except _ERRORS as error:
        raise SystemExit(f"demo.py: {error}") from error
    serve(models, options.port, options.browser)


def serve(
    models: Sequence[tuple[str, LightningModule, Examples | None]], port: int | None = None, browser: bool = False
) -> None:
    """Serve the page of some models until Ctrl-C.

    Args:
        models: name, model and test images of each.
        port: None for the first free one from 7860 on.
        browser: open it too.

    Raises:
        SystemExit: a model can do nothing of what the page shows, or the port is in use; in words.

    Example:
        >>> serve([])
        Traceback (most recent call last):
        SystemExit: demo.py: models must be at least one (name, model, examples), got none
    """
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # read when gradio is imported
    from playground.page import build_page, open_page  # here: gradio is an extra

    try:
        page = build_page(models)
    except ValueError as error:
        raise SystemExit(f"demo.py: {error}") from error
    try:
        open_page(page, port=port, inbrowser=browser)
    except OSError as error:
        words = f"--port {port} is in use or not allowed" if port is not None else "no port from 7860 on is free"
        raise SystemExit(f"demo.py: {words}: pass another one, such as --port 8123") from error


def _has_gradio() -> bool:
    return importlib.util.find_spec("gradio") is not None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="demo.py", description=__doc__)
    parser.add_argument("runs", nargs="+", help="run folders (best.ckpt, else last.ckpt), or checkpoints in them")
    parser.add_argument("--data_dir", help="where the data lie, if not where the runs had them")
    parser.add_argument("--examples", help=".npz of test images instead: images, bytes (N, C, H, W), and labels")
    parser.add_argument("--port", type=int, help="port of the page (the first free one from 7860 on)")
    parser.add_argument("--browser", action="store_true", help="open the browser too")
    add_trusted(parser, "module of yours that checkpoints may name")
    return parser


def open_for_page(
    path: str, data_dir: str | None = None, examples: str | None = None, trusted: tuple[str, ...] = ()
) -> tuple[str, LightningModule, Examples | None]:
    """Name, model and test images of a run, as `playground.page.build_page` takes them; nothing is downloaded.

    Args:
        path: see `lit_generative.trained.open_run`.
        data_dir: where the data lie now; None where they were.
        examples: path of an `.npz` of test images that take the place of the data's.
        trusted: modules of your own that the checkpoint may name.

    Raises:
        FileNotFoundError: a run, a checkpoint or a file is not there.
        ValueError: the checkpoint or the file of test images is truncated, or something else.

    Example:
        >>> open_for_page("runs/vae_fashion_mnist/version_0")  # doctest: +SKIP
    """
    run = open_run(path, trusted)
    settings = run.config.get("data")
    arguments = dict(settings.get("init_args") or {}) if isinstance(settings, dict) else {}
    if isinstance(arguments.get("data"), dict) and "encoder" in arguments:  # codes of other data
        run = _judging_pictures(run, arguments, trusted)
    if examples is not None:
        return run.name, run.model, read_examples(examples)
    return run.name, run.model, _test_images(run, data_dir)


def _judging_pictures(run: TrainedRun, arguments: dict[str, Any], trusted: tuple[str, ...]) -> TrainedRun:
    """A run on codes as one on pictures: the encoder comes before the model, and the data are the encoder's."""
    checkpoint = encoder_of(run)
    if checkpoint is None:
        named = (arguments["encoder"].get("init_args") or {}) if isinstance(arguments["encoder"], dict) else {}
        raise FileNotFoundError(
            f"{run.name} judges codes, and the checkpoint of its encoder is not there: {named.get('checkpoint')}. "
            "Put it back, or write its path into data.init_args.encoder of the run's config.yaml"
        )
    model = EncodedClassifier(load_model(checkpoint, trusted=trusted), run.model)
    return replace(run, model=model.eval(), config=run.config | {"data": arguments["data"]})


def _test_images(run: TrainedRun, data_dir: str | None) -> Examples | None:
    """The test images of a run's data, where they lie on this machine; nothing is downloaded."""
    settings = run.config.get("data")
    if isinstance(settings, dict) and "download" in (settings.get("init_args") or {}):
        offline = settings | {"init_args": settings["init_args"] | {"download": False}}
        run = replace(run, config=run.config | {"data": offline})
    try:
        data: Any = open_data(run, data_dir)
        if not data.has_split("test"):
            raise ValueError(f"{type(data).__name__} has no test split")
        images, labels = data.split("test")
        classes = data.num_classes and labels.ndim == 1  # not boxes or masks
        return Examples(images, labels if classes else None, data.class_names or ())
    except Exception as error:  # the page does without them, whatever is the matter with somebody's data
        print(f"{run.name}: the page has no test images to choose from ({error}). --data_dir or --examples names some")
        return None
