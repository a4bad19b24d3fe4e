"""Several ways of training, each in a process of its own, that take turns epoch by epoch.

Speed drifts on shared cores and on GPUs that warm up. Ways that are measured minutes apart drift apart; here the epochs
that are compared lie next to each other, and only one process works at a time.
"""

import math
import multiprocessing
import re
import time
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from io import StringIO
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import NamedTuple

import torch


class Setting(NamedTuple):
    """What all ways of a comparison share.

    Args:
        data_dir: folder of the data sets.
        device: "cpu" or "cuda".
        epochs: how many.
        steps: at most so many batches an epoch.
    """

    data_dir: str
    device: str
    epochs: int
    steps: int


class Memory(NamedTuple):
    """MiB of a process: its peak (of the GPU where it used one), and what was resident after its last epoch.

    On a CPU both are Linux's count, and NaN elsewhere.
    """

    peak: float
    resident: float


class Clock:
    """One process's side: waits for its turn at the start of each epoch, and says how long the epoch took.

    What a way does after `stop` and before the next `start` (validation, checkpoints) is still done in its turn, off
    the clock.
    """

    def __init__(self, turns: Connection) -> None:
        self._turns = turns
        self._seconds: float | None = None
        self.resident = math.nan

    def start(self) -> None:
        """Give the turn away, wait for the next one, and start."""
        self.give_away()
        self._turns.recv()
        _wait_for_device()
        self._start = time.perf_counter()

    def stop(self) -> None:
        """Stop, when the device has done everything that it was asked to."""
        _wait_for_device()
        self._seconds = time.perf_counter() - self._start
        self.resident = _mebibytes("VmRSS")

    def give_away(self) -> None:
        """Say how long the last turn took, where there was one."""
        if self._seconds is not None:
            _wait_for_device()
            self._turns.send(self._seconds)
            self._seconds = None


def _uses_gpu() -> bool:
    return torch.cuda.is_available() and torch.cuda.is_initialized()


def _wait_for_device() -> None:
    if _uses_gpu():
        torch.cuda.synchronize()


def _mebibytes(what: str) -> float:
    """Of this process, as Linux counts them under that name; NaN where the system does not tell."""
    try:
        found = re.search(rf"^{what}:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    except FileNotFoundError:
        return math.nan
    return int(found[1]) / 1024 if found else math.nan


Way = Callable[[Setting, Clock], None]  # one `start` and `stop` an epoch


def _work(way: Way, setting: Setting, turns: Connection) -> None:
    clock = Clock(turns)
    with redirect_stdout(StringIO()):  # where a run says what it left
        way(setting, clock)
    clock.give_away()
    peak = torch.cuda.max_memory_allocated() / 2**20 if _uses_gpu() else _mebibytes("VmHWM")
    turns.send(Memory(peak, clock.resident))


def take_turns(ways: Sequence[Way], setting: Setting) -> tuple[list[list[float]], list[Memory]]:
    """Run all ways, one epoch of each in turn.

    Args:
        ways: functions that can be pickled; each calls its clock's `start` and `stop` once an epoch.
        setting: given to each.

    Returns:
        Seconds of each way's epochs, and each way's memory.

    Raises:
        EOFError: a way failed; its own error stands above.
    """
    spawn = multiprocessing.get_context("spawn")
    connections = []
    for way in ways:
        ours, theirs = spawn.Pipe()
        spawn.Process(target=_work, args=(way, setting, theirs), daemon=True).start()
        theirs.close()  # so that its end tells us of the other's
        connections.append(ours)
    seconds: list[list[float]] = [[] for _ in ways]
    for _ in range(setting.epochs):
        for connection, found in zip(connections, seconds, strict=True):
            found.append(_have_turn(connection))
    return seconds, [connection.recv() for connection in connections]


def _have_turn(connection: Connection) -> float:
    try:
        connection.send(None)
        return float(connection.recv())
    except (EOFError, ConnectionError):
        raise EOFError("a way of training failed; its own error stands above") from None


def spread(values: Sequence[float]) -> str:
    """Median (lowest .. highest)."""
    middle, low, high = (f"{v:,.0f}" if v >= 1000 else f"{v:.3g}" for v in (median(values), min(values), max(values)))
    return f"{middle} ({low} .. {high})"
