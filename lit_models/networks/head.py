"""What classifies the codes of a frozen model: the contract of heads, and the linear one."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from lit_models.networks.base import make_network


class Head(nn.Module):
    """Network from codes (N, D) to logits (N, K), which knows mean and deviation of the train split's codes.

    A subclass takes `(in_dim, num_classes)` first and its own settings after them, and writes `forward`, which begins
    with `standardize`. Mean and deviation are buffers, so that a checkpoint has them; before `set_scale` they are 0
    and 1.

    Args:
        in_dim: D, width of the codes.

    Example:
        >>> class Quadratic(Head):
        ...     def __init__(self, in_dim, num_classes):
        ...         super().__init__(in_dim)
        ...         self.layer = nn.Linear(2 * in_dim, num_classes)
        ...     def forward(self, codes):
        ...         z = self.standardize(codes)
        ...         return self.layer(torch.cat([z, z.square()], 1))
        >>> Quadratic(64, 10)(torch.rand(5, 64)).shape
        torch.Size([5, 10])
    """

    mean: Tensor
    deviation: Tensor
    fitted: Tensor

    def __init__(self, in_dim: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(in_dim))
        self.register_buffer("deviation", torch.ones(in_dim))
        self.register_buffer("fitted", torch.tensor(False))

    def set_scale(self, mean: Tensor, deviation: Tensor) -> None:
        """Set mean and deviation, (D,) each; a code that never changes is only centred."""
        self.mean.copy_(mean)
        still = deviation < 1e-6 * mean.abs().clamp(min=1e-6)  # what rounding leaves of a deviation of 0
        self.deviation.copy_(deviation.masked_fill(still, 1))
        self.fitted.fill_(True)

    def standardize(self, codes: Tensor) -> Tensor:
        """Codes (N, D) with a mean of 0 and a deviation of 1 over the train split, same shape."""
        return (codes - self.mean) / self.deviation

    def forward(self, codes: Tensor) -> Tensor:
        """(N, D) to (N, K)."""
        raise NotImplementedError


class StandardizedLinear(Head):
    """Linear layer on codes (N, D) standardized by a fixed mean and deviation, to logits (N, K).

    Args:
        in_dim: D.
        num_classes: K.

    Example:
        >>> StandardizedLinear(64, 10)(torch.rand(5, 64)).shape
        torch.Size([5, 10])
    """

    def __init__(self, in_dim: int, num_classes: int) -> None:
        super().__init__(in_dim)
        self.linear = nn.Linear(in_dim, num_classes)

    def forward(self, codes: Tensor) -> Tensor:
        """(N, D) to (N, K)."""
        return self.linear(self.standardize(codes))


HeadCallable = Callable[[int, int], Head]
"""Makes a head of `in_dim, num_classes`."""


def make_head(factory: Any, in_dim: int, num_classes: int) -> Head:
    """Call a head's factory and check what it makes.

    Args:
        factory: a `HeadCallable`.
        in_dim: D, width of the codes.
        num_classes: K.

    Raises:
        TypeError: it is no factory of heads.
        ValueError: the head's output has another width.

    Example:
        >>> make_head(nn.Linear, 64, 10)
        Traceback (most recent call last):
        TypeError: head must make a lit_models.networks.head.Head, got Linear: derive it from Head
    """
    head = make_network("head", factory, Head, in_dim, num_classes)
    with torch.no_grad():
        shape = tuple(head.eval()(torch.zeros(1, in_dim)).shape)  # in eval mode, where nothing is drawn
    if shape != (1, num_classes):
        raise ValueError(f"head must give {(1, num_classes)} for one code, the sizes it is called with, got {shape}")
    return head.train()
