"""Which loss broke first, and when, without waiting for the device at every step."""

from math import isfinite

import torch
from torch import Tensor, distributed

_NEVER = 2**62


class FirstNaN:
    """Keeps some values of the last steps, on the device, and finds the first that was not a finite number.

    Args:
        names: of the values, in the order in which a step computes them.
    """

    def __init__(self, *names: str) -> None:
        self.names = names
        self._unread: list[tuple[int, Tensor]] = []

    def note(self, name: str, value: Tensor, batch: int) -> None:
        """Keep a scalar of a batch, without reading it."""
        self._unread.append((batch * len(self.names) + self.names.index(name), value.detach()))

    def stop(self, remedy: str) -> None:
        """Raise where a value was broken on any process; this waits for the device.

        Raises:
            FloatingPointError: names the value and its batch, and then the remedy.
        """
        if not self._unread:
            return
        moments, values = zip(*self._unread, strict=True)
        self._unread.clear()
        few = len(values) <= len(self.names)
        numbers = [float(value) for value in values] if few else torch.stack(values).tolist()
        broken = (moment for moment, number in zip(moments, numbers, strict=True) if not isfinite(number))
        first = min(broken, default=_NEVER)
        if distributed.is_available() and distributed.is_initialized():
            first = _minimum(first, values[0].device)
        if first < _NEVER:
            batch, which = divmod(first, len(self.names))
            raise FloatingPointError(f"{self.names[which]} is not a number at batch {batch}: {remedy}")


def _minimum(number: int, device: torch.device) -> int:
    """Of all processes' numbers."""
    tensor = torch.tensor(number, device=device)
    distributed.all_reduce(tensor, distributed.ReduceOp.MIN)
    return int(tensor)
