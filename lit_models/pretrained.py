"""Weights of pretrained networks: torchvision's by name, or a file's."""

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.error import URLError

import torch
from torch import Tensor, nn
from torchvision.models import get_model_weights

from lit_models.networks.backbone import IMAGENET_DEVIATION, IMAGENET_MEAN

_SUFFIXES = (".ckpt", ".pt", ".pth", ".bin", ".tar", ".safetensors")
# what programs put before the names of a network's weights; the one that most weights have is taken
_PREFIXES = ("", "model.", "module.", "backbone.body.", "network.")
_COUNTER = "num_batches_tracked"  # of batch norm, which older files lack and nothing here uses
_SHOWN = 3


def load_pretrained(network: nn.Module, weights: str, name: str | None, may_differ: str = "") -> list[str]:
    """Load a network's weights; what the source has beyond them, such as a classifier's last layer, is left out.

    Args:
        network: whose parameters and buffers are set.
        weights: the name of weights that torchvision offers for the network, which it downloads once, such as
            "IMAGENET1K_V2" or "DEFAULT"; or the path of a file of them: a state dict, or a Lightning checkpoint.
        name: the network's in torchvision; None for another network.
        may_differ: beginning of the names of weights that keep their random values where the source has none of that
            shape.

    Returns:
        Names of the weights that kept their random values.

    Raises:
        FileNotFoundError: there is no such file, or it could not be downloaded.
        ValueError: torchvision has no weights of that name for this network; the file is none of weights, or has those
            of another network.

    Example:
        >>> load_pretrained(nn.Linear(2, 3), "nowhere.pth", None)
        Traceback (most recent call last):
        FileNotFoundError: there is no file nowhere.pth: pass the path of a network's weights as weights
    """
    saved = _read(Path(weights).expanduser()) if _is_path(weights) else _fetched(weights, name)
    own = {key: value for key, value in network.state_dict().items() if not key.endswith(_COUNTER)}
    found = {key: saved[there] for key, there in _names_there(own, saved).items() if there in saved}
    wrong = {key for key, value in own.items() if key not in found or found[key].shape != value.shape}
    kept = {key for key in wrong if may_differ and key.startswith(may_differ)}
    if wrong - kept:
        raise ValueError(_other_network(weights, own, found, sorted(wrong - kept)))
    network.load_state_dict({key: value for key, value in found.items() if key not in kept}, strict=False)
    return sorted(kept)


def _names_there(own: Iterable[str], saved: Collection[str]) -> dict[str, str]:
    """What the source calls each weight: programs put something before a network's names, or leave it out."""
    own = list(own)
    renamings = [{key: prefix + key for key in own} for prefix in _PREFIXES]
    renamings.append({key: key.removeprefix("encoder.") for key in own})
    return max(renamings, key=lambda names: sum(name in saved for name in names.values()))


def _is_path(weights: str) -> bool:
    return weights.endswith(_SUFFIXES) or "/" in weights or Path(weights).is_file()


def _read(path: Path) -> Mapping[str, Tensor]:
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}: pass the path of a network's weights as weights")
    if path.suffix == ".safetensors":
        raise ValueError(f"{path} is no file of torch.save: load it with safetensors.torch and save it as .pth")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # what damaged files, and those of other programs, bring torch.load to raise
        raise ValueError(f"{path} is truncated, or no file of tensors and plain values") from error
    for key in ("state_dict", "model"):  # of Lightning and of torchvision's training scripts
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping) or not any(isinstance(value, Tensor) for value in content.values()):
        raise ValueError(f"{path} holds no network's weights: expected a state dict or a Lightning checkpoint")
    return content


def _fetched(weights: str, name: str | None) -> Mapping[str, Any]:
    if name is None:
        raise ValueError(f"weights={weights!r}: torchvision has weights for its own networks only, pass a file's path")
    offered = get_model_weights(name)
    if weights not in offered.__members__:
        names = ", ".join(offered.__members__) or "none"
        raise ValueError(
            f"torchvision has no weights {weights!r} for {name}: choose from {names}, or pass a file's path"
        )
    _check_scale(weights, name, offered[weights].transforms())
    try:
        return offered[weights].get_state_dict(progress=True, check_hash=True)
    except (URLError, OSError, RuntimeError) as error:
        raise FileNotFoundError(
            f"the weights {weights} of {name} could not be downloaded from {offered[weights].url} ({error}): download "
            "that file where there is a network, and pass its path as weights"
        ) from error


def _check_scale(weights: str, name: str, preparation: Any) -> None:
    """Raise a ValueError where weights were trained on images of another scale than ImageNet's, which ours get."""
    scale = (tuple(getattr(preparation, "mean", IMAGENET_MEAN)), tuple(getattr(preparation, "std", IMAGENET_DEVIATION)))
    if scale != (IMAGENET_MEAN, IMAGENET_DEVIATION):
        raise ValueError(
            f"{weights} of {name} were trained on images with mean {scale[0]} and deviation {scale[1]} taken out, and "
            f"images get ImageNet's here, {IMAGENET_MEAN} and {IMAGENET_DEVIATION}: choose other weights"
        )


def _other_network(weights: str, own: Mapping[str, Tensor], found: Mapping[str, Tensor], wrong: list[str]) -> str:
    def what(key: str) -> str:
        shape = tuple(own[key].shape)
        return f"{key} {shape}, there {tuple(found[key].shape)}" if key in found else f"{key} {shape}, not there"

    more = f", and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
    return (
        f"{weights} holds the weights of another network: {len(wrong)} of {len(own)} differ ("
        f"{'; '.join(map(what, wrong[:_SHOWN]))}{more}): choose the network that they are of"
    )
