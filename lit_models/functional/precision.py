"""Precision of sums and differences."""

import torch
from torch import Tensor


def wide(x: Tensor) -> Tensor:
    """`x` in float32 or wider: 16 bits hold a pixel, but neither a sum over pixels nor a small difference of sums.

    Example:
        >>> wide(torch.zeros(1, dtype=torch.bfloat16)).dtype
        torch.float32
    """
    return x.to(torch.promote_types(x.dtype, torch.float32))
