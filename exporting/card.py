"""Model card: what a model is, how it is used, how it was made, and what it is worth."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from callbacks.evaluation_mode import evaluation_mode
from callbacks.image_grid import image_grid
from callbacks.picture import write_png
from callbacks.verbs import Classifies, Encodes, Locates, Reconstructs, Samples, Segments, is_conditional
from exporting.graphs import graph_of
from exporting.weights import versions
from lit_models.exported import WEIGHTS

PICTURE = "samples.png"
_COLUMNS, _ROWS = 10, 5
# key in report.json, what it is called, factor, digits, unit
_FIGURES = (
    ("fd", "Fréchet distance of samples, in features of a classifier of the same data", 1, 2, ""),
    ("precision", "precision of samples", 100, 1, "%"),
    ("recall", "recall of samples", 100, 1, "%"),
    ("density", "density of samples", 1, 2, ""),
    ("coverage", "coverage of test images by samples", 100, 1, "%"),
    ("class_agreement", "samples of the class asked for", 100, 1, "%"),
    ("copies", "samples nearer to a training image than 1% of the test images are", 100, 1, "%"),
    ("mse", "mean squared error of reconstructions, per pixel in [0, 1]", 1, 4, ""),
    ("probe", "linear probe on the codes", 100, 1, "%"),
    ("knn", "10 nearest neighbours among the codes", 100, 1, "%"),
    ("active_units", "active units of the code", 1, 0, ""),
    ("log_likelihood", "log-likelihood, nats an image", 1, 1, ""),
    ("iou", "mean intersection over union of boxes", 1, 3, ""),
    ("found", "boxes with an intersection over union of 0.5 or more", 100, 1, "%"),
    ("mask_iou", "mean intersection over union of the classes of pixels", 1, 3, ""),
    ("pixel_accuracy", "pixels of the right class", 100, 1, "%"),
)


def draw_samples_picture(model: Any, path: Path, class_names: Sequence[str] = (), seed: int = 0) -> bool:
    """Write a grid of samples as a PNG, a row a class for a conditional model; whether the model has any.

    Args:
        model: in eval mode.
        path: of the PNG.
        class_names: labels of the rows.
        seed: of the noise.

    Example:
        >>> draw_samples_picture(object(), Path("samples.png"))
        False
    """
    if not isinstance(model, Samples) or model.image_shape[0] not in (1, 3):  # type: ignore[attr-defined]
        return False
    labels: list[str] = []
    y = None
    rows = _ROWS
    if is_conditional(model):  # type: ignore[arg-type]
        rows = min(model.num_classes, 20)  # type: ignore[attr-defined]
        y = torch.arange(rows).repeat_interleave(_COLUMNS)
        labels = [str(name) for name in class_names[:rows]] or [str(number) for number in range(rows)]
    with evaluation_mode(model, seed):  # type: ignore[arg-type]
        images = model.sample(rows * _COLUMNS, y).float()
    write_png(image_grid(list(images.split(_COLUMNS)), labels), path)
    return True


def figures_of(report: Path, sha256: str) -> list[str]:
    """What a report says of the checkpoint with this hash, a line a figure; nothing where it does not know it.

    Raises:
        ValueError: the file is no report.

    Example:
        >>> figures_of(Path("nowhere.json"), "0" * 64)
        []
    """
    if not report.is_file():
        return []
    try:
        content = json.loads(report.read_text(encoding="utf-8"))
        ours = [model for model in content["models"] if model["sha256"] == sha256]
        return _rows(ours[0]) if ours else []
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"--report {report} is no report.json that report.py wrote") from error


def _rows(ours: dict[str, Any]) -> list[str]:
    found, likelihood = ours["figures"], ours.get("likelihood") or {}
    lines = []
    for key, words, factor, digits, unit in _FIGURES:
        if key in found:
            value, spread, n = (found[key][name] for name in ("value", "error", "n"))
            deviation = "" if spread is None else f" ± {factor * spread:.{digits}f}"
            how = f", {likelihood['unit']}, {likelihood['method']}" if key == "log_likelihood" and likelihood else ""
            lines.append(f"| {words}{how} | {factor * value:.{digits}f}{deviation}{unit} | {n:,} |")
    return lines


def model_card(
    name: str,
    model: Any,
    trained: str,
    files: Sequence[str],
    graphs: Sequence[str] = (),
    figures: Sequence[str] = (),
) -> str:
    """The text of a model card, Markdown with the Hub's front matter.

    Args:
        name: heading.
        model: the model.
        trained: how long and on what, such as "20 epochs on MNISTDataModule".
        files: names of the files beside the card.
        graphs: what goes in and comes out of each graph, see `exporting.graphs.signature`.
        figures: rows of a table, see `figures_of`.

    Example:
        >>> from lit_models import LitVAE
        >>> print(model_card("vae", LitVAE((1, 8, 8)), "3 epochs", ["model.safetensors"]).splitlines()[7])
        # vae
    """
    kind = type(model)
    what = (kind.__doc__ or "").strip().partition("\n")[0]
    parts = [
        f"---\nlibrary_name: lit-generative\ntags:\n- pytorch\n- {kind.__name__}\n---\n",
        f"# {name}\n",
        *([f"![Samples]({PICTURE})\n"] if PICTURE in files else []),
        f"`{kind.__name__}` of lit-generative, trained for {trained}. {what}\n",
        _in_and_out(model),
        "## Use\n",
    ]
    if WEIGHTS in files:
        uses = "".join(f"{line}\n" for line in _uses(model))
        first = "import torch\n" * ("torch." in uses)
        parts.append(
            f"With lit-generative and safetensors installed:\n\n```python\n{first}from lit_models import load_model\n\n"
            f'model = load_model("FOLDER")  # this one, or hf://OWNER/NAME\n{uses}```\n'
        )
    if graphs:
        parts.append("Graphs, for programs without this project; every random number is an input:\n")
        parts.append("\n".join(f"- {line}" for line in graphs) + "\n")
    if onnx := [file for file in files if file.endswith(".onnx")]:
        verb = "sample" if "sample.onnx" in onnx else onnx[0].removesuffix(".onnx")
        parts.append(_onnx_example(model, verb))
    if any(file.endswith(".pt2") for file in files):
        parts.append(
            "`.pt2` files are `torch.export` programs. To load one unpickles it, which may run code: do so only with "
            "files from who you trust.\n"
        )
    if figures:
        parts += ["## Figures\n", "| of the test split | value | N |\n|---|---|---|\n" + "\n".join(figures) + "\n"]
    parts.append("## Training\n")
    if "config.yaml" in files:
        parts.append("`uv run train.py fit --config config.yaml`, with the file of that name here.\n")
    parts.append("Exported with " + ", ".join(f"{package} {number}" for package, number in versions().items()) + ".\n")
    return "\n".join(parts)


_DRAWS = {
    "z": "rng.standard_normal({shape}).astype(np.float32)",
    "pixel_noise": "rng.standard_normal({shape}).astype(np.float32)",
    "race": "rng.exponential(size={shape}).astype(np.float32)",
    "y": "np.arange({n}) % {classes}",
}


def _onnx_example(model: Any, verb: str) -> str:
    """A program that runs a graph on ten examples of random numbers."""
    inputs = graph_of(model, verb).examples(10)
    lines = ["import numpy as np", "import onnxruntime", "", "rng = np.random.default_rng(0)", "inputs = {"]
    for name, value in inputs.items():
        draw = _DRAWS.get(name, "rng.random({shape}).astype(np.float32)")
        classes = getattr(model, "num_classes", 1)
        lines.append(f'    "{name}": {draw.format(shape=tuple(value.shape), n=len(value), classes=classes)},')
    lines += [
        "}",
        f'session = onnxruntime.InferenceSession("{verb}.onnx")',
        "print(session.run(None, inputs)[0].shape)",
    ]
    return "```python\n" + "\n".join(lines) + "\n```\n"


def _in_and_out(model: Any) -> str:
    shape = getattr(model, "image_shape", None)
    if shape is None:
        return f"Inputs are float32, (N, {', '.join(map(str, model.input_shape))}).\n"
    labels = f" Labels y are whole numbers, (N,), in 0..{model.num_classes - 1}." if is_conditional(model) else ""
    ways = ["going in"] * (not isinstance(model, Samples) or isinstance(model, (Encodes, Reconstructs)))
    ways += ["coming out"] * isinstance(model, (Samples, Reconstructs))
    return f"Images are float32 in [0, 1], (N, {', '.join(map(str, shape))}), {' and '.join(ways)}.{labels}\n"


def _uses(model: Any) -> list[str]:
    """Lines of Python, one for each of a model's answers."""
    y = ", y" * is_conditional(model)
    classes = getattr(model, "num_classes", 0)
    answers = [
        (Samples, f"images = model.sample(10{y})"),
        (Reconstructs, f"seen = model.reconstruct(images{y})"),
        (Encodes, f"codes = model.encode(images{y})"),
        (Classifies, f"probabilities = model.classify(images)  # (N, {classes})"),
        (Locates, "boxes = model.locate(images)  # (N, 4): (cx, cy, w, h) as fractions of width and height"),
        (Segments, f"probabilities = model.segment(images)  # (N, {classes}, H, W), of each class for each pixel"),
    ]
    if getattr(model, "image_shape", None) is None or not getattr(model, "classifies", True):
        return []  # a regression, or a model of codes
    given = [f"y = torch.arange(10) % {classes}  # the classes asked for"] * is_conditional(model)
    if not isinstance(model, Samples):
        given.append(f"images = torch.rand(10, {', '.join(map(str, model.image_shape))})  # yours")
    return given + [line for verb, line in answers if isinstance(model, verb)]
