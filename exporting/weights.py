"""Weights as safetensors, and what they are of as JSON."""

import json
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

from lit_models import __version__
from lit_models.exported import CONFIG, FORMAT, WEIGHTS
from lit_models.extras import require_packages


def write_weights(model: Any, folder: Path, facts: dict[str, Any]) -> None:
    """Write `model.safetensors` and `config.json`, which `lit_models.load_model(folder)` makes the model of again.

    Args:
        model: has a `recipe`, see `lit_models.recipe`.
        folder: is there.
        facts: what else is said in `config.json`: names and plain values.

    Raises:
        RuntimeError: safetensors is not installed.

    Example:
        >>> from lit_models import LitVAE
        >>> write_weights(LitVAE((1, 8, 8)), Path("exported"), {"epochs": 20})  # doctest: +SKIP
    """
    require_packages("safetensors", extra="export")
    from safetensors.torch import save

    # safetensors takes no views and no two names of one memory
    tensors = {name: value.detach().cpu().contiguous().clone() for name, value in model.state_dict().items()}
    class_path = model.recipe["class_path"]
    # as bytes: its own writer leaves a file that nobody else may read. One word: of several the order is left to chance
    (folder / WEIGHTS).write_bytes(save(tensors, metadata={"class_path": class_path}))
    config = {"format": FORMAT, "recipe": model.recipe, **_shapes(model), **facts, "versions": versions()}
    text = json.dumps(config, indent=2, ensure_ascii=False) + "\n"
    (folder / CONFIG).write_text(text, encoding="utf-8")


def _shapes(model: Any) -> dict[str, Any]:
    """What goes in and comes out, for who has no PyTorch at hand."""
    shape = getattr(model, "image_shape", None)
    if shape is None:
        return {"input_shape": list(model.input_shape)}
    classes = getattr(model, "num_classes", 0) if getattr(model, "needs_labels", False) else 0
    return {"image_shape": list(shape), "value_range": [0, 1], "num_classes": classes}


def versions() -> dict[str, str]:
    """Of this project, Python, torch and Lightning.

    Example:
        >>> sorted(versions())
        ['lightning', 'lit-generative', 'python', 'torch']
    """
    packages = {package: version(package) for package in ("torch", "lightning")}
    return {"lit-generative": __version__, "python": platform.python_version(), **packages}
