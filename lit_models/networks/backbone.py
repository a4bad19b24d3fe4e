"""Backbones: a classifier without its last layers, from images to the last maps that keep places."""

from collections.abc import Sequence
from copy import deepcopy
from difflib import get_close_matches
from importlib import import_module
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn
from torchvision import models
from torchvision.models.feature_extraction import create_feature_extractor, get_graph_node_names

from lit_models.networks.base import EncoderCallable, make_encoder
from lit_models.networks.dropout import ByteDropout

# of the images that torchvision's pretrained networks were trained on, in [0, 1]
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_DEVIATION = (0.229, 0.224, 0.225)
_USUAL_SIZE = 224  # at which the maps of torchvision's classifiers are larger than a pixel
_WITHOUT_PREPARATION: dict[str, dict[str, Any]] = {  # which would take half a minute of random numbers
    "inception_v3": {"init_weights": False, "transform_input": True},  # their own scale, made of ImageNet's
    "googlenet": {"init_weights": False, "transform_input": True},
}


class ImageNetScale(nn.Module):
    """Images in [0, 1], (N, 3, H, W) or (N, 1, H, W), to ImageNet's mean 0 and deviation 1 in each of three channels.

    Example:
        >>> ImageNetScale()(torch.full((2, 1, 8, 8), 0.485))[0, :, 0, 0]
        tensor([0.0000, 0.1295, 0.3511])
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self) -> None:
        super().__init__()
        # constants, not part of a checkpoint
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("deviation", torch.tensor(IMAGENET_DEVIATION).view(3, 1, 1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, 3, H, W)."""
        return (x - self.mean) / self.deviation


class Backbone(nn.Module):
    """The layers of a classifier up to its last maps, (N, C, H, W) in [0, 1] to (N, F, h, w).

    They are found by torchvision's feature extraction: the last output with four dimensions that is larger than one
    pixel. The layers after it are left out, and so are their weights.

    Args:
        image_shape: (C, H, W); of torchvision's networks C is 3, or 1, which is repeated.
        network: the name of a classifier of `torchvision.models`, such as "resnet50", whose images get ImageNet's
            scale; or a factory of one of this project's encoders, which see images in [0, 1].

    Attributes:
        maps: (F, h, w).
        torchvision_name: of the network; None of another one.

    Raises:
        ValueError: an unknown name; a network without maps, as vision transformers are; images too small for it.
        TypeError: `network` makes something else.

    Example:
        >>> Backbone((3, 64, 64), "resnet18").maps
        (512, 2, 2)
    """

    def __init__(self, image_shape: Sequence[int], network: str | EncoderCallable) -> None:
        super().__init__()
        network = own_network(network)
        self.scale: nn.Module = ImageNetScale() if isinstance(network, str) else nn.Identity()
        if isinstance(network, str):
            _check_channels(network, image_shape)
            whole, like = torchvision_model(network), torch.zeros(1, 3, _USUAL_SIZE, _USUAL_SIZE)
        else:
            whole, like = _Unconditional(network, image_shape), torch.zeros(1, *image_shape)
        self.torchvision_name = network if isinstance(network, str) else None
        name = self.torchvision_name or type(whole.encoder).__name__
        self.body = create_feature_extractor(whole, {_last_maps(whole, like, name): "maps"}, tracer_kwargs=_LEAVES)
        self.maps = self._shape(image_shape, name)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) in [0, 1] to (N, F, h, w)."""
        return self.body(self.scale(x))["maps"]

    @torch.no_grad()
    def _shape(self, image_shape: Sequence[int], name: str) -> tuple[int, int, int]:
        training = self.training
        try:
            channels, height, width = self.eval()(torch.zeros(1, *image_shape)).shape[1:]
        except RuntimeError as error:  # a layer that leaves no pixel, or windows that do not divide the image
            raise ValueError(
                f"{name} cannot take images of {tuple(image_shape)}, which may be too small for it: resize them "
                f"({str(error).splitlines()[0]})"
            ) from error
        self.train(training)
        return channels, height, width


def torchvision_model(name: str, kind: ModuleType = models, **options: Any) -> nn.Module:
    """A network of torchvision with random weights.

    Args:
        name: as torchvision knows it.
        kind: `torchvision.models` for classifiers, or one of its modules, such as `torchvision.models.segmentation`.
        options: of its builder.

    Raises:
        ValueError: there is no network of that name and kind.

    Example:
        >>> type(torchvision_model("resnet18")).__name__
        'ResNet'
    """
    known = models.list_models(kind)
    if name not in known:
        # a name that is near, or else some of them
        near = get_close_matches(name, known, 3, 0.5) or known[:: max(1, len(known) // 5)]
        raise ValueError(
            f"{kind.__name__} has no network {name!r}: choose one such as {', '.join(near)} (all of them: "
            f"torchvision.models.list_models({kind.__name__})). A class of your own is named by class_path in a config"
        )
    return models.get_model(name, weights=None, **_WITHOUT_PREPARATION.get(name, {}), **options)


def own_network(network: Any) -> Any:
    """The class that a name stands for where it is one of this project's networks; anything else as it is.

    The command line gives a name as text where a network of torchvision may be meant too.

    Example:
        >>> own_network("MapClassifier"), own_network("resnet18")
        (<class 'lit_models.networks.conv_head.MapClassifier'>, 'resnet18')
    """
    if not isinstance(network, str):
        return network
    ours = import_module("lit_models.networks")  # which imports this module
    name = network.removeprefix("lit_models.networks.")
    return getattr(ours, name) if name in ours.__all__ else network


class _Unconditional(nn.Module):
    """An encoder without condition, and with the name that it has in a classifier's checkpoint."""

    def __init__(self, factory: EncoderCallable, image_shape: Sequence[int]) -> None:
        super().__init__()
        self.encoder = make_encoder("backbone", factory, image_shape, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.encoder(x)


_LEAVES = {"leaf_modules": [ByteDropout]}  # not looked into: it asks for values


def _last_maps(network: nn.Module, like: Tensor, name: str) -> str:
    """The name of the last maps, larger than a pixel, that a network makes of an image."""
    names = get_graph_node_names(network, tracer_kwargs=_LEAVES)
    shapes_alone = deepcopy(network).to("meta")  # nothing is computed
    every = create_feature_extractor(
        shapes_alone, train_return_nodes=names[0], eval_return_nodes=names[1], tracer_kwargs=_LEAVES
    )
    with torch.no_grad():
        outputs = every.eval()(like.to("meta"))
    found = {key: value for key, value in outputs.items() if isinstance(value, Tensor)}
    keys = list(found)[1:]  # the first is the image
    maps = [key for key in keys if found[key].ndim == 4 and min(found[key].shape[2:]) > 1]
    if not maps or any(found[key].ndim == 3 for key in keys[keys.index(maps[-1]) :]):
        raise ValueError(
            f"{name} has no maps that keep places before its last layers: choose a convolutional network, such as "
            "resnet50"
        )
    return maps[-1]


def _check_channels(name: str, image_shape: Sequence[int]) -> None:
    if image_shape[0] not in (1, 3):
        raise ValueError(f"{name} takes images of 3 channels, or of 1, got image_shape {tuple(image_shape)}")
