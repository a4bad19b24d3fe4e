"""Which loss broke first, and when, without waiting for the device at every step."""

import torch
from torch import Tensor, distributed

_NEVER = 2**62


class FirstNaN:
    """Keeps, on the device, the first of some values that was not a finite number: soon after it, all of them are not.

    Args:
        names: of the values, in the order in which a step computes them.
    """

    def __init__(self, *names: str) -> None:
        self.names = names
        self._first: Tensor | None = None

    def note(self, name: str, value: Tensor, batch: int) -> None:
        """Look at a scalar of a batch, without reading it."""
        if self._first is None:
            self._first = torch.tensor(_NEVER, device=value.device)
        moment = batch * len(self.names) + self.names.index(name)
        self._first = torch.where(torch.isfinite(value.detach()), self._first, self._first.clamp(max=moment))

    def stop(self, remedy: str) -> None:
        """Raise where a value was broken on any process; this waits for the device.

        Raises:
            FloatingPointError: names the value and its batch, and then the remedy.
        """
        if self._first is None:
            return
        if distributed.is_available() and distributed.is_initialized():
            distributed.all_reduce(self._first, distributed.ReduceOp.MIN)
        moment = int(self._first)
        if moment < _NEVER:
            batch, which = divmod(moment, len(self.names))
            raise FloatingPointError(f"{self.names[which]} is not a number at batch {batch}: {remedy}")
