"""Dropout with fewer random numbers."""

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout


class ByteDropout(nn.Module):
    """Dropout whose mask costs one random byte a value on a CPU, where PyTorch's costs a float.

    PyTorch draws a CPU's dropout masks one value after the other on one core, a quarter of a DCGAN step's time. Here
    one 64-bit draw serves eight values, which can drop whole 256ths alone. So it is used on a CPU where `p` is within a
    percent of a 256th (0.3 is 77/256 = 0.3008), and PyTorch's dropout elsewhere.

    Args:
        p: share of values to drop, in [0, 1).

    Raises:
        ValueError: `p` is out of its range.

    Example:
        >>> ByteDropout(0.5).eval()(torch.ones(3))
        tensor([1., 1., 1.])
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        if not 0 <= p < 1:
            raise ValueError(f"dropout must be in [0, 1), got {p}")
        self.p = p
        self.dropped = min(255, round(p * 256))  # of 256 byte values
        self.fits = abs(self.dropped / 256 - p) <= 0.01 * p

    def forward(self, x: Tensor) -> Tensor:
        """(...) to (...); the identity in eval mode and for a share of 0."""
        if not self.training or self.p == 0:
            return x
        if x.device.type != "cpu" or not self.fits:
            return dropout(x, self.p)
        words = torch.empty((x.numel() + 7) // 8, dtype=torch.int64, device=x.device).random_(-(2**63), None)
        kept = words.view(torch.uint8)[: x.numel()].view(x.shape) >= self.dropped
        return x * kept * (256 / (256 - self.dropped))
