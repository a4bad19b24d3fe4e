"""Images and labels from a batch of any usual form."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor


def split_batch(batch: Any) -> tuple[Tensor, Tensor | None]:
    """Images and labels of a batch; None for labels where there are none.

    Args:
        batch: a tensor of images, `(images, labels)`, `[images]`, or `{"image": images, "label": labels}`.

    Raises:
        TypeError: another form; the message lists these.

    Example:
        >>> x, y = split_batch({"image": torch.zeros(2, 1, 4, 4)})
        >>> x.shape, y
        (torch.Size([2, 1, 4, 4]), None)
    """
    parts: Sequence[Any] = ()
    if isinstance(batch, Tensor):
        parts = [batch]
    elif isinstance(batch, Mapping) and "image" in batch:
        parts = [batch["image"], batch.get("label")]
    elif isinstance(batch, Sequence) and len(batch) in (1, 2):
        parts = batch
    if not parts or not isinstance(parts[0], Tensor):
        what = f"a {type(batch).__name__}" + (f" with {list(batch)}" if isinstance(batch, Mapping) else "")
        raise TypeError(
            f'a batch must be (images, labels), [images], {{"image": images, "label": labels}} or a tensor of images, '
            f"got {what}: change what the data loader gives"
        )
    return parts[0], parts[1] if len(parts) > 1 else None


def as_labels(y: Any, n: int) -> Tensor:
    """Class indices (n,) of any integer type, or of bool, as int64.

    Raises:
        ValueError: there are none, or they are no tensor of n whole numbers.

    Example:
        >>> as_labels(torch.tensor([True, False]), 2)
        tensor([1, 0])
    """
    if y is None:
        raise ValueError(f"this model needs labels y, shape ({n},): none were given")
    if not isinstance(y, Tensor):
        raise ValueError(f"labels y must be a tensor, got {type(y).__name__}: use torch.tensor(y)")
    if tuple(y.shape) != (n,) or y.is_floating_point() or y.is_complex():
        raise ValueError(f"labels y must be whole numbers of shape ({n},), got {y.dtype} of shape {tuple(y.shape)}")
    return y.to(torch.int64)


def as_targets(y: Any, n: int, width: int) -> Tensor:
    """Numbers to be predicted, of any type, shape (n,) or (n, width), as floats (n, width) of 32 bits or more.

    Raises:
        ValueError: there are none, or they are no tensor of n rows of so many numbers.

    Example:
        >>> as_targets(torch.tensor([1, 2]), 2, 1)
        tensor([[1.],
                [2.]])
    """
    expected = f"({n},)" if width == 1 else f"({n}, {width})"
    if y is None:
        raise ValueError(f"this model needs targets y, shape {expected}: none were given")
    if not isinstance(y, Tensor):
        raise ValueError(f"targets y must be a tensor, got {type(y).__name__}: use torch.tensor(y)")
    if tuple(y.shape) not in ((n, width), *([(n,)] if width == 1 else [])) or y.is_complex():
        raise ValueError(
            f"targets y must be numbers of shape {expected}, got {y.dtype} of shape {tuple(y.shape)}: give num_outputs "
            'numbers for each example, or use task="classification" for class indices'
        )
    return y.reshape(n, width).to(torch.promote_types(y.dtype, torch.float32))
