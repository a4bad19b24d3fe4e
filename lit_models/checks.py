"""Checks of what comes in from outside, with messages that name the argument, its value and the remedy."""

from collections.abc import Sequence

from torch import Tensor


def check_choice(name: str, value: str, choices: Sequence[str]) -> None:
    """Raise a ValueError that lists the valid choices where `value` is none of them."""
    if value not in choices:
        raise ValueError(f"{name} must be one of {list(choices)}, got {value!r}")


def check_image_shape(image_shape: Sequence[int]) -> tuple[int, int, int]:
    """`image_shape` as a tuple of ints, or a ValueError where it is not three positive sizes."""
    shape = tuple(int(size) for size in image_shape) if isinstance(image_shape, Sequence) else (image_shape,)
    if len(shape) != 3 or min(shape) < 1:
        raise ValueError(f"image_shape must be (channels, height, width), each at least 1, got {shape}")
    return shape


def check_sizes(name: str, sizes: Sequence[int]) -> tuple[int, ...]:
    """`sizes` as a tuple, or a ValueError where it is not a list of whole numbers of at least 1."""
    if not isinstance(sizes, Sequence) or any(size < 1 for size in sizes):
        raise ValueError(f"{name} must be a list of whole numbers, each at least 1, got {sizes!r}")
    return tuple(sizes)


def check_at_least(name: str, value: float, least: float) -> None:
    """Raise a ValueError where `value` is below `least`, or NaN."""
    if not value >= least:
        raise ValueError(f"{name} must be at least {least}, got {value}")


def check_share(name: str, value: float) -> None:
    """Raise a ValueError where `value` is not in [0, 1)."""
    if not 0 <= value < 1:
        raise ValueError(f"{name} must be in [0, 1), got {value}")


def check_images(x: Tensor, image_shape: tuple[int, int, int]) -> None:
    """Raise a ValueError where `x` is not a batch of floating-point images of `image_shape`."""
    if not x.is_floating_point():
        raise ValueError(f"images must be floats in [0, 1], got {x.dtype}: divide bytes by 255")
    if x.ndim != 4 or tuple(x.shape[1:]) != image_shape:
        raise ValueError(
            f"images of shape {tuple(x.shape)} do not fit a model for (N, {', '.join(map(str, image_shape))}): "
            "bring them to that shape, or build the model with their image_shape"
        )


def check_labels(y: Tensor | None, n: int, num_classes: int) -> None:
    """Raise a ValueError where a class-conditional model cannot use `y` for `n` images."""
    if y is None:
        raise ValueError(f"this model is conditional: pass labels y, shape ({n},), in 0..{num_classes - 1}")
    if not isinstance(y, Tensor):
        raise ValueError(f"labels y must be a tensor, got {type(y).__name__}: use torch.tensor(y)")
    if tuple(y.shape) != (n,) or y.is_floating_point():
        raise ValueError(f"labels y must be whole numbers of shape ({n},), got {y.dtype} of shape {tuple(y.shape)}")
    if n and not 0 <= int(y.min()) <= int(y.max()) < num_classes:
        raise ValueError(f"labels y must be in 0..{num_classes - 1}, got {int(y.min())}..{int(y.max())}")
