"""Checks of what comes in from outside, with messages that name the argument, its value and the remedy."""

import math
from collections.abc import Sequence
from typing import Any

from torch import Tensor

_TOLERANCE = 1e-3  # resizing and rounding leave [0, 1] by a little


def check_choice(name: str, value: str, choices: Sequence[str]) -> None:
    """Raise a ValueError that lists the valid choices where `value` is none of them.

    Example:
        >>> check_choice("loss", "hinge", ["minimax", "hinge"])
    """
    if value not in choices:
        raise ValueError(f"{name} must be one of {list(choices)}, got {value!r}")


def check_image_shape(image_shape: Sequence[int]) -> tuple[int, int, int]:
    """`image_shape` as a tuple of ints, or a ValueError where it is not three positive sizes.

    Example:
        >>> check_image_shape([1, 28, 28])
        (1, 28, 28)
    """
    shape = tuple(int(size) for size in image_shape) if isinstance(image_shape, Sequence) else (image_shape,)
    if len(shape) != 3 or min(shape) < 1:
        raise ValueError(f"image_shape must be (channels, height, width), each at least 1, got {shape}")
    return shape


def check_at_least(name: str, value: Any, least: float) -> None:
    """Raise a ValueError where `value` is no number, below `least`, or NaN.

    Example:
        >>> check_at_least("beta", 0.5, 0)
    """
    if not isinstance(value, int | float) or not value >= least:
        raise ValueError(f"{name} must be at least {least}, got {value!r}")


def check_weight(name: str, value: float, meaning: str) -> None:
    """Raise a ValueError where `value` is negative or not finite; `meaning` says what a usual value does.

    Example:
        >>> check_weight("beta", -1.0, "1 gives the ELBO")
        Traceback (most recent call last):
        ValueError: beta must be a finite number, at least 0, got -1.0: 1 gives the ELBO
    """
    if not (math.isfinite(value) and value >= 0):
        raise ValueError(f"{name} must be a finite number, at least 0, got {value}: {meaning}")


def check_count(name: str, value: Any, least: int = 1) -> None:
    """Raise a ValueError where `value` is no whole number of at least `least`.

    Example:
        >>> check_count("latent_dim", 0)
        Traceback (most recent call last):
        ValueError: latent_dim must be a whole number, at least 1, got 0
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"{name} must be a whole number, at least {least}, got {value!r}")


def check_classes(num_classes: Any) -> None:
    """Raise a ValueError where a conditional model has no classes to be conditioned on.

    Example:
        >>> check_classes(10)
    """
    if isinstance(num_classes, bool) or not isinstance(num_classes, int) or num_classes < 1:
        raise ValueError(
            f"num_classes must be at least 1 for a conditional model, got {num_classes!r}: use data with classes (for "
            "pictures, a folder for each class), or conditional=False"
        )


def check_share(name: str, value: float) -> None:
    """Raise a ValueError where `value` is not in [0, 1).

    Example:
        >>> check_share("dropout", 0.3)
    """
    if not 0 <= value < 1:
        raise ValueError(f"{name} must be in [0, 1), got {value}")


def check_images(x: Tensor, image_shape: tuple[int, int, int]) -> None:
    """Raise a ValueError where `x` is not a batch of floating-point images of `image_shape`.

    Example:
        >>> check_images(torch.rand(2, 1, 4, 4), (1, 4, 4))
    """
    if not isinstance(x, Tensor) or not x.is_floating_point():
        got = x.dtype if isinstance(x, Tensor) else type(x).__name__
        raise ValueError(f"images must be floats in [0, 1], got {got}: divide bytes by 255")
    if x.ndim != 4 or tuple(x.shape[1:]) != image_shape:
        raise ValueError(
            f"images of shape {tuple(x.shape)} do not fit a model for (N, {', '.join(map(str, image_shape))}): "
            "bring them to that shape, or build the model with their image_shape"
        )


def check_codes(z: Tensor, latent_dim: int) -> None:
    """Raise a ValueError where `z` is not a batch of codes of that width.

    Example:
        >>> check_codes(torch.zeros(2, 20), 20)
    """
    if z.ndim != 2 or z.shape[1] != latent_dim:
        raise ValueError(f"codes must have shape (N, {latent_dim}), got {tuple(z.shape)}")


def check_unit_range(x: Tensor) -> None:
    """Raise a ValueError where pixels leave [0, 1] or are no numbers; this reads them back from the device.

    Example:
        >>> check_unit_range(torch.tensor([0.0, 1.0]))
    """
    low, high = float(x.min()), float(x.max())
    if not (low >= -_TOLERANCE and high <= 1 + _TOLERANCE):
        raise ValueError(
            f"pixels must be in [0, 1], got values from {low:.4g} to {high:.4g}: divide bytes by 255 "
            "(torchvision's ToTensor does), and leave out Normalize: models scale images themselves"
        )


def check_label_range(y: Tensor, num_classes: int) -> None:
    """Raise a ValueError where labels leave 0 .. num_classes - 1; this reads them back from the device.

    Example:
        >>> check_label_range(torch.tensor([0, 9]), 10)
    """
    if len(y) and not 0 <= int(y.min()) <= int(y.max()) < num_classes:
        raise ValueError(f"labels y must be in 0..{num_classes - 1}, got {int(y.min())}..{int(y.max())}")
