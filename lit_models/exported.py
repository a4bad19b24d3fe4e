"""Exported models: a folder with `config.json` and `model.safetensors`, here or on the Hugging Face Hub."""

import json
from pathlib import Path
from typing import Any

from torch import Tensor

from lit_models.extras import require_packages

HUB = "hf://"
CONFIG, WEIGHTS = "config.json", "model.safetensors"
ENCODER = "encoder"  # folder of the model whose codes this one judges
FORMAT = 1  # of config.json; a change that older versions cannot read takes the next number


def is_exported(path: str | Path) -> bool:
    """Whether a path is that of an exported folder, or an address on the Hub.

    Example:
        >>> is_exported("hf://someone/vae"), is_exported("runs/vae/version_0/checkpoints/best.ckpt")
        (True, False)
    """
    return str(path).startswith(HUB) or (Path(path) / CONFIG).is_file()


def read_exported(path: str | Path) -> dict[str, Any]:
    """Recipe and weights of an exported model, as a checkpoint has them, and the rest of its `config.json`.

    Args:
        path: a folder that `export.py` wrote, or `hf://OWNER/NAME`, which is downloaded once.

    Raises:
        RuntimeError: safetensors is not installed, or for an address huggingface_hub.
        FileNotFoundError: a file is missing; on the Hub, there is no such repository.
        ValueError: a file is truncated, or was written by a newer version.

    Example:
        >>> read_exported("exported/vae")  # doctest: +SKIP
    """
    folder = fetch(str(path)) if str(path).startswith(HUB) else Path(path)
    config = read_config(folder)
    return {**config, "state_dict": _read_weights(folder / WEIGHTS)}


def read_config(folder: Path) -> dict[str, Any]:
    """`config.json` of an exported folder.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is truncated, or was written by a newer version.

    Example:
        >>> read_config(Path("nowhere"))
        Traceback (most recent call last):
        FileNotFoundError: there is no nowhere/config.json: export.py writes such folders
    """
    path = folder / CONFIG
    if not path.is_file():
        raise FileNotFoundError(f"there is no {path}: export.py writes such folders")
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is truncated, or no JSON: export the model again") from error
    if not isinstance(config, dict) or not isinstance(config.get("format"), int):
        raise ValueError(f"{path} is no config of this project: it has no format number")
    if config["format"] > FORMAT:
        versions = config.get("versions")
        newer = versions.get("lit-generative") if isinstance(versions, dict) else None
        raise ValueError(
            f"{path} has format {config['format']}, and this version reads up to {FORMAT}: load it with "
            f"lit-generative {newer or 'of a later date'}"
        )
    return config


def fetch(address: str) -> Path:
    """Download an exported model from the Hub, once, into huggingface_hub's cache; the folder it lies in.

    Args:
        address: `hf://OWNER/NAME`, or `hf://OWNER/NAME@REVISION` for a branch, tag or commit.

    Raises:
        RuntimeError: huggingface_hub is not installed.
        ValueError: it is no such address.
        FileNotFoundError: there is no such repository or revision, or the Hub cannot be reached and nothing is cached.

    Example:
        >>> fetch("hf://someone")
        Traceback (most recent call last):
        ValueError: an address on the Hub is hf://OWNER/NAME or hf://OWNER/NAME@REVISION, got hf://someone
    """
    name, _, revision = address.removeprefix(HUB).partition("@")
    if name.count("/") != 1 or not all(name.split("/")):
        raise ValueError(f"an address on the Hub is {HUB}OWNER/NAME or {HUB}OWNER/NAME@REVISION, got {address}")
    require_packages("huggingface_hub", extra="export")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        # no graphs, which load_model has no use for
        wanted = [CONFIG, WEIGHTS, "config.yaml", f"{ENCODER}/*"]
        return Path(snapshot_download(name, revision=revision or None, allow_patterns=wanted))
    except (HfHubHTTPError, LocalEntryNotFoundError) as error:
        raise FileNotFoundError(
            f"{address} cannot be fetched: {str(error).strip().splitlines()[0]} Check the name, that you are logged in "
            "where it is private (hf auth login), and the network"
        ) from error


def _read_weights(path: Path) -> dict[str, Tensor]:
    require_packages("safetensors", extra="export")
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not path.is_file():
        raise FileNotFoundError(f"there is no {path}: export the model again")
    try:
        return load_file(path)
    except SafetensorError as error:
        raise ValueError(f"{path} is truncated, or no safetensors file ({error}): export the model again") from error
