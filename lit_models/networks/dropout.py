"""Dropout that does not wait for the CPU's random number generator."""

import torch
from torch import Tensor, nn


class ByteDropout(nn.Module):
    """Dropout that draws one byte a value instead of one float: on a CPU an eighth of the random numbers.

    PyTorch draws a CPU's dropout masks one value after the other on one core, a quarter of a DCGAN step's time. Here
    one 64-bit draw serves eight values. The share dropped is `p` rounded to a 256th, and the rest is scaled by exactly
    that share, so that means are kept.

    Args:
        p: share of values to drop, in [0, 1).
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.dropped = min(255, round(p * 256))  # of 256 byte values

    def forward(self, x: Tensor) -> Tensor:
        """(...) to (...); the identity in eval mode and for a share of 0."""
        if not self.training or self.dropped == 0:
            return x
        words = torch.empty((x.numel() + 7) // 8, dtype=torch.int64, device=x.device).random_(-(2**63), None)
        kept = words.view(torch.uint8)[: x.numel()].view(x.shape) >= self.dropped
        return x * kept * (256 / (256 - self.dropped))
