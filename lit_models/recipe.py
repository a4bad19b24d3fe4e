"""Recipes: class and arguments of a model as plain data, and how it is made from them.

A recipe is `{"class_path": "lit_models.vae.LitVAE", "init_args": {"latent_dim": 20, "encoder": {"class_path": ...}}}`.
Inside it, a factory (a class, a function, a `functools.partial`) is a recipe too.
"""

import pickle
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from lit_models.functional.factories import unwrap

# A checkpoint is data and must not choose what code runs: nothing outside these modules is imported for it, and in them
# only classes of these kinds are called, since functions such as `load_model` may do more.
TRUSTED = ("lit_models", "optim", "torch.optim", "torch.nn", "lightning.pytorch.cli")
KINDS = (nn.Module, Optimizer, LRScheduler)


def describe(value: Any) -> Any:
    """Describe a value as plain data: numbers and strings as they are, a factory as a recipe.

    Lambdas and functions within functions have no import path: their class path is "<lambda>", which `build`
    refuses.

    Example:
        >>> describe(partial(torch.optim.Adam, lr=0.01))
        {'class_path': 'torch.optim.adam.Adam', 'init_args': {'lr': 0.01}}
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Mapping):
        return {str(key): describe(item) for key, item in value.items()}
    if isinstance(value, Sequence):
        return [describe(item) for item in value]
    if isinstance(value, partial):
        return {"class_path": _path(unwrap(value)), "init_args": describe(value.keywords)}
    return {"class_path": _path(value), "init_args": {}}


def build(recipe: Any, trusted: Sequence[str] = ()) -> Any:
    """Turn a recipe into a factory, `partial(class, **init_args)`: the inverse of `describe`.

    Args:
        recipe: what `describe` returned.
        trusted: modules, beside this project's and PyTorch's, whose classes and functions a recipe may name.

    Raises:
        ValueError: it names something outside the trusted modules, which is not imported, or something without a name.

    Example:
        >>> build({"class_path": "torch.nn.Linear", "init_args": {"bias": False}})(2, 3)
        Linear(in_features=2, out_features=3, bias=False)
    """
    if isinstance(recipe, Mapping) and "class_path" in recipe:
        factory, arguments = _find(recipe["class_path"], (*TRUSTED, *trusted)), recipe.get("init_args", {})
        if not isinstance(arguments, Mapping) or "class_path" in arguments:
            raise ValueError(f"the recipe's init_args of {recipe['class_path']} must map names to values")
        return partial(factory, **build(arguments, trusted))
    if isinstance(recipe, Mapping):
        return {key: build(item, trusted) for key, item in recipe.items()}
    if isinstance(recipe, list):
        return [build(item, trusted) for item in recipe]
    return recipe


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """Read a checkpoint of tensors and plain values to the CPU; a file that asks for more is refused.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is truncated, or no checkpoint of tensors and plain values.

    Example:
        >>> read_checkpoint("nowhere.ckpt")
        Traceback (most recent call last):
        FileNotFoundError: there is no checkpoint nowhere.ckpt: train.py fit writes them to runs/.../checkpoints/
    """
    path = Path(path)
    if path.is_dir():
        raise FileNotFoundError(
            f"{path} is a folder: pass a checkpoint in it, such as {path / 'checkpoints' / 'best.ckpt'}. A folder that "
            "export.py wrote holds a model without the state of its training, which load_model reads"
        )
    if not path.is_file():
        last = path.with_name("last.ckpt")
        if path.name == "best.ckpt" and last.is_file():
            raise FileNotFoundError(
                f"there is no checkpoint {path}: without a validation split no epoch is the best; pass {last}"
            )
        raise FileNotFoundError(f"there is no checkpoint {path}: train.py fit writes them to runs/.../checkpoints/")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, EOFError, RuntimeError, ValueError) as error:
        raise ValueError(f"{path} is truncated, or not a checkpoint of tensors and plain values") from error
    if not isinstance(content, dict) or "state_dict" not in content:
        raise ValueError(f"{path} is not a Lightning checkpoint: it has no state_dict")
    return content


def recipe_of(content: Mapping[str, Any], path: str | Path) -> dict[str, Any]:
    """The recipe in a checkpoint's content.

    Raises:
        ValueError: there is none.

    Example:
        >>> recipe_of({"recipe": {"class_path": "lit_models.LitVAE", "init_args": {}}}, "vae.ckpt")["class_path"]
        'lit_models.LitVAE'
    """
    recipe = content.get("recipe")
    if not isinstance(recipe, Mapping) or not isinstance(recipe.get("init_args"), Mapping):
        raise ValueError(
            f"{path} does not say how its model was made: it was written by another program, or by a version of this "
            "one before checkpoints carried their recipe. Train the model again with its config.yaml, or load it with "
            "the version that wrote it"
        )
    return dict(recipe)


def _path(factory: Any) -> str:
    """Where a class or function is imported from; "<...>" for what cannot be."""
    if factory is None:
        return "<partial with positional arguments>"
    module, name = getattr(factory, "__module__", None), getattr(factory, "__qualname__", None)
    if not module or not name:
        return f"<{type(factory).__name__}>"
    if "<" in name:
        return "<lambda>" if name.endswith("<lambda>") else "<local function>"
    return f"{module}.{name}"


def _find(class_path: Any, trusted: Sequence[str]) -> Callable[..., Any]:
    if "<" in str(class_path):
        raise ValueError(f"the recipe names no class but a {class_path}: make the model yourself, of a named factory")
    if not isinstance(class_path, str) or "." not in class_path:
        raise ValueError(f"the recipe names {class_path!r}, which is no import path of a class")
    _check_trusted(class_path, class_path.rpartition(".")[0], trusted)
    module, _, name = class_path.rpartition(".")
    try:
        found = getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"the recipe names {class_path}, which cannot be imported: {error}") from error
    _check_trusted(class_path, str(getattr(found, "__module__", "")), trusted)  # a module's imports are not its own
    ours = any(_lies_in(found.__module__, name) for name in TRUSTED)
    if not callable(found) or (ours and not (isinstance(found, type) and issubclass(found, KINDS))):
        raise ValueError(f"the recipe names {class_path}, which is no network, model, optimizer or scheduler")
    return found


def _lies_in(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def _check_trusted(class_path: str, module: str, trusted: Sequence[str]) -> None:
    if not any(_lies_in(module, name) for name in trusted):
        raise ValueError(
            f"the recipe names {class_path}, which is in none of the modules {list(trusted)}: if you know it and "
            f"trust it, load with trusted=[{module.split('.')[0]!r}]"
        )
