"""A run that is over, opened again: its checkpoint, its model and its data."""

import hashlib
from argparse import ArgumentError
from dataclasses import dataclass, replace
from pathlib import Path, PureWindowsPath
from typing import Any, Self

import torch
import yaml  # type: ignore[import-untyped]
from jsonargparse import ArgumentParser
from lightning.pytorch import LightningDataModule, LightningModule
from torch import Tensor

from datamodules import PlacesDataModule
from lit_generative import config_types  # noqa: F401  # read at import
from lit_models import load_model
from lit_models.exported import ENCODER, HUB, WEIGHTS, fetch, is_exported, read_config
from lit_models.recipe import read_checkpoint

_CHECKPOINTS = ("best", "last")
_FILES = ("path", "test_path", "images", "masks")  # how data modules call files and folders, where not data_dir


@dataclass(frozen=True)
class TrainedRun:
    """What a run left.

    Attributes:
        name: of the experiment and version, such as "vae_fashion_mnist/version_0".
        checkpoint: path of the checkpoint that was read.
        epochs: how many it was trained for.
        config: `config.yaml` as plain data; {} where the checkpoint lies alone.
        model: on the CPU, in eval mode, without gradients.
        trusted: modules whose classes its data may name, beside this project's; None for any, of a run of one's own.
        class_names: those that its data had, where the checkpoint or the exported folder keeps them.

    Example:
        >>> TrainedRun("vae/version_0", Path("best.ckpt"), 20, {}, LightningModule()).name
        'vae/version_0'
    """

    name: str
    checkpoint: Path
    epochs: int
    config: dict[str, Any]
    model: LightningModule
    trusted: tuple[str, ...] | None = None
    class_names: tuple[str, ...] = ()

    @property
    def sha256(self) -> str:
        """Hash of the checkpoint's bytes."""
        return file_hash(self.checkpoint)

    def renamed(self, name: str) -> Self:
        """The same run under another name."""
        return replace(self, name=name)


def open_run(path: str | Path, trusted: tuple[str, ...] = ()) -> TrainedRun:
    """Open a run folder by its best checkpoint, or its last where no figure judged it; or one checkpoint by its path.

    Args:
        path: a run folder such as `runs/vae/version_0`, a checkpoint in its `checkpoints`, a folder that `export.py`
            wrote, or its address on the Hub, `hf://OWNER/NAME`.
        trusted: modules of your own that the checkpoint may name, see `lit_models.load_model`.

    Raises:
        FileNotFoundError: there is no such folder, or no checkpoint in it.
        ValueError: the checkpoint is truncated, or holds no model of this project or of a trusted module.

    Example:
        >>> open_run("nowhere")
        Traceback (most recent call last):
        FileNotFoundError: there is no run or checkpoint nowhere: pass a folder such as runs/quickstart/version_0
    """
    if is_exported(path):
        return _open_exported(path, trusted)
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(
            f"there is no run or checkpoint {path}: pass a folder such as runs/quickstart/version_0"
        )
    checkpoint = _checkpoint_in(path) if path.is_dir() else path
    folder = checkpoint.absolute().parent.parent
    model = load_model(checkpoint, trusted=trusted)
    content = read_checkpoint(checkpoint)
    epochs = int(content.get("epoch", -1)) + 1
    kept = (state["class_names"] for state in content.values() if isinstance(state, dict) and state.get("class_names"))
    names = tuple(map(str, next(kept, ())))  # of the data module
    alone = checkpoint.absolute().parent.name != "checkpoints"
    name = checkpoint.stem if alone else f"{folder.parent.name}/{folder.name}"
    return TrainedRun(name, checkpoint, epochs, _config_in(folder), model, class_names=names)


def _open_exported(path: str | Path, trusted: tuple[str, ...]) -> TrainedRun:
    folder = fetch(str(path)) if str(path).startswith(HUB) else Path(path).resolve()
    name = str(path).removeprefix(HUB) if str(path).startswith(HUB) else folder.name
    facts = read_config(folder)
    epochs, names = int(facts.get("epochs", 0)), tuple(map(str, facts.get("class_names", ())))
    model = load_model(folder, trusted=trusted)
    return TrainedRun(name, folder / WEIGHTS, epochs, _config_in(folder), model, trusted, names)


def _config_in(folder: Path) -> dict[str, Any]:
    path = folder / "config.yaml"
    if not path.is_file():
        return {}
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is truncated, or no YAML: put it back, or pass a checkpoint elsewhere") from error
    if not isinstance(config, dict):
        raise ValueError(f"{path} is no config of train.py, which maps names to values")
    return {key: value for key, value in config.items() if value is not None}


def open_data(run: TrainedRun, data_dir: str | None = None) -> LightningDataModule:
    """The data that a run was trained on, read and split as it had them, with all of the train split.

    So the images of two runs are the same, of which one saw but a `train_fraction` of them.

    Args:
        run: with a config.
        data_dir: where the files lie now; None where they were. Files and folders that the data name one by one, such
            as a table of boxes and its pictures, are looked for there by their own names.

    Raises:
        ValueError: the run has no config; its data are no images, or a class that cannot be made; an exported folder
            names one that is not trusted.

    Example:
        >>> config = {"data": {"class_path": "datamodules.DigitsDataModule"}}
        >>> run = TrainedRun("a", Path("a.ckpt"), 1, config, LightningModule())
        >>> open_data(run).image_shape
        (1, 28, 28)
    """
    settings = run.config.get("data")
    if not isinstance(settings, dict) or "class_path" not in settings:
        raise ValueError(
            f"{run.checkpoint} lies in no run folder with a config.yaml, so its data are not known: pass a run folder"
        )
    arguments = dict(settings.get("init_args") or {})
    if isinstance(arguments.get("augment"), list):
        del arguments["augment"]  # it changes training batches alone, and names classes of others
    if "train_fraction" in arguments:
        arguments["train_fraction"] = 1.0
    if data_dir is not None:
        arguments = _moved(arguments, data_dir)
    wanted = {"class_path": settings["class_path"], "init_args": arguments}
    modules = ("datamodules", "lit_models", *(run.trusted or ()))
    if run.trusted is not None:
        _check_named(wanted, modules)  # before anything is imported
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--data", type=LightningDataModule)
    try:
        parsed = parser.parse_object({"data": wanted})
    except ArgumentError as error:
        said = " ".join(str(error).split())
        raise ValueError(f"the config of {run.name} names data that cannot be made: {said}") from error
    if run.trusted is not None:
        _check_named(parsed.as_dict(), modules)  # again: a string may name a class too
    data = parser.instantiate(parsed).data
    if not hasattr(data, "image_shape"):
        raise ValueError(
            f"{run.name} was trained on {settings['class_path']}, which holds no images: it has no pictures"
        )
    data.prepare_data()
    data.setup("fit")
    return data


def _moved(arguments: dict[str, Any], data_dir: str) -> dict[str, Any]:
    """A data module's arguments with its files in another folder."""
    if "data_dir" in arguments:
        return arguments | {"data_dir": data_dir}
    named = {name: arguments[name] for name in _FILES if isinstance(arguments.get(name), str)}
    # a Windows path splits at / too, so runs travel between systems
    return arguments | {name: str(Path(data_dir, PureWindowsPath(path).name)) for name, path in named.items()}


def encoder_of(run: TrainedRun) -> str | None:
    """Where the model lies whose codes a run judges; None where it judges pictures, or that model is gone.

    Example:
        >>> encoder_of(TrainedRun("a", Path("a.ckpt"), 1, {}, LightningModule())) is None
        True
    """
    beside = run.checkpoint.parent / ENCODER
    if is_exported(beside):  # which an exported one takes along
        return str(beside)
    settings = run.config.get("data")
    encoder = (settings.get("init_args") or {}).get("encoder") if isinstance(settings, dict) else None
    checkpoint = (encoder.get("init_args") or {}).get("checkpoint") if isinstance(encoder, dict) else None
    return str(checkpoint) if checkpoint and (is_exported(checkpoint) or Path(checkpoint).is_file()) else None


def _check_named(settings: Any, modules: tuple[str, ...]) -> None:
    """Raise a ValueError where a stranger's config names a class outside some modules, or trusts modules itself."""
    if isinstance(settings, list):
        for value in settings:
            _check_named(value, modules)
    if isinstance(settings, dict):
        named = [str(settings["class_path"])] if "class_path" in settings else []
        for name in named + list(map(str, settings.get("trusted") or [])):
            if not any(name == module or name.startswith(f"{module}.") for module in modules):
                raise ValueError(
                    f"the config names {name} for its data, which is in none of the modules {list(modules)}: if you "
                    f"know it and trust it, pass --trusted {name.split('.')[0]}"
                )
        for value in settings.values():
            _check_named(value, modules)


def file_hash(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal digits.

    Example:
        >>> file_hash(Path("configs/quickstart.yaml")) == file_hash(Path("configs/quickstart.yaml"))
        True
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def data_hash(data: Any) -> str:
    """SHA-256 of the bytes of a data module's test images and labels.

    Example:
        >>> from datamodules import DigitsDataModule
        >>> data = DigitsDataModule()
        >>> data.setup()
        >>> len(data_hash(data))
        64
    """
    if not data.has_split("test"):
        raise ValueError(f"{type(data).__name__} has no test split, which models are measured on")
    return tensors_hash(*data.split("test"))


def image_classes(data: Any) -> int:
    """How many classes a data module's images have; 0 where its classes are of pixels.

    Example:
        >>> from datamodules import CollageDataModule, DigitsDataModule
        >>> image_classes(DigitsDataModule()), image_classes(CollageDataModule("mask"))
        (10, 0)
    """
    return 0 if isinstance(data, PlacesDataModule) else data.num_classes


def tensors_hash(*tensors: Tensor) -> str:
    """SHA-256 of tensors' types, shapes and bytes.

    Example:
        >>> tensors_hash(torch.zeros(2)) == tensors_hash(torch.zeros(3))
        False
    """
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(str((tensor.dtype, tuple(tensor.shape))).encode())
        digest.update(tensor.contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _checkpoint_in(folder: Path) -> Path:
    for name in _CHECKPOINTS:
        path = folder / "checkpoints" / f"{name}.ckpt"
        if path.is_file():
            return path
    runs = sorted(path.name for path in folder.glob("version_*"))
    remedy = f"pass one of its runs, {', '.join(runs)}" if runs else "train.py fit writes them"
    raise FileNotFoundError(f"{folder} has no checkpoints/best.ckpt or last.ckpt: {remedy}")
