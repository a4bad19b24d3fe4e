"""A folder that runs the demo page as a Gradio Space of the Hugging Face Hub, or anywhere else."""

import json
import platform
import shutil
from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from exporting.weights import write_weights
from lit_models.extras import require_packages

# what the page and the model import of ours
_ROOMS = ("callbacks", "evaluation", "lit_models", "optim", "playground")
_PACKAGES = (
    *("torch", "torchvision", "lightning", "torchmetrics", "scikit-learn", "matplotlib", "pillow", "safetensors"),
    "jsonargparse",
)
_EXTRAS = {"jsonargparse": "[signatures]"}
EXAMPLES = 100
_PYTHON = ".".join(platform.python_version_tuple()[:2])

_APP = '''"""The page of a model of lit-generative."""

import os

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.chdir(os.path.dirname(os.path.abspath(__file__)))

from lit_models import load_model
from playground.encoded import EncodedClassifier
from playground.examples import read_examples
from playground.page import build_page, open_page

model = load_model("model")
if os.path.isdir("encoder"):  # the model judges codes
    model = EncodedClassifier(load_model("encoder"), model).eval()
examples = read_examples("examples.npz") if os.path.isfile("examples.npz") else None
page = build_page([({name!r}, model, examples)], title={name!r})

if __name__ == "__main__":
    open_page(page, host=os.environ.get("GRADIO_SERVER_NAME", "127.0.0.1"), port=int(os.environ.get("PORT", 7860)))
'''

_CARD = """---
title: {title}
sdk: gradio
sdk_version: {gradio}
app_file: app.py
python_version: "{python}"
---

The page of a {kind} of lit-generative: `pip install -r requirements.txt gradio=={gradio} && python app.py`.
"""


def write_space(
    name: str,
    models: Mapping[str, Any],
    folder: Path,
    examples: tuple[Tensor, Tensor | None, list[str]] | None = None,
) -> None:
    """Write `app.py`, `requirements.txt` with the versions that are installed, the model, and the code that it needs.

    Args:
        name: title of the page.
        models: "model", and where it judges codes "encoder": what `lit_models.load_model` is to find.
        folder: empty.
        examples: test images, bytes (N, C, H, W), their labels (N,) or None, and names of the classes; of more than 100
            images the first 100.

    Raises:
        RuntimeError: safetensors or gradio is not installed.

    Example:
        >>> from lit_models import LitVAE
        >>> write_space("vae", {"model": LitVAE((1, 8, 8))}, Path("space"))  # doctest: +SKIP
    """
    require_packages("safetensors", extra="export")
    require_packages("gradio", extra="demo")
    for part, model in models.items():
        (folder / part).mkdir()
        write_weights(model, folder / part, {})
    for room in _ROOMS:
        source = Path(import_module(room).__path__[0])
        shutil.copytree(source, folder / room, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
    if examples is not None:
        _write_examples(folder / "examples.npz", *examples)
    lines = [f"{package}{_EXTRAS.get(package, '')}=={_release(package)}\n" for package in _PACKAGES]
    (folder / "requirements.txt").write_text("".join(lines))
    (folder / "app.py").write_text(_APP.format(name=name), encoding="utf-8")
    kind = type(models["model"]).__name__
    card = _CARD.format(title=json.dumps(name.replace("/", " ")), gradio=version("gradio"), kind=kind, python=_PYTHON)
    (folder / "README.md").write_text(card, encoding="utf-8")


def _release(package: str) -> str:
    return version(package).partition("+")[0]  # without the mark of a build for a GPU or a CPU


def _write_examples(path: Path, images: Tensor, labels: Tensor | None, class_names: list[str]) -> None:
    arrays = {"images": images[:EXAMPLES].numpy()}
    if labels is not None:
        arrays |= {"labels": labels[:EXAMPLES].numpy(), "class_names": np.array(class_names)}
    np.savez_compressed(path, **arrays)  # type: ignore[arg-type]
