"""Several ways of training, each in a process of its own, that take turns epoch by epoch.

Speed drifts on shared cores and on GPUs that warm up. Ways that are measured minutes apart drift apart; here the epochs
that are compared lie next to each other, and only one process works at a time.
"""

import math
import multiprocessing
import resource
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
    """MiB of a process: its peak (of the GPU where it used one), and what was resident after its last epoch (Linux)."""

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
        self._start = time.perf_counter()

    def stop(self) -> None:
        """Stop, when the device has done everything that it was asked to."""
        if torch.cuda.is_available() and torch.cuda.is_initialized():
            torch.cuda.synchronize()
        self._seconds = time.perf_counter() - self._start
        self.resident = _resident()

    def give_away(self) -> None:
        """Say how long the last turn took, where there was one."""
        if self._seconds is not None:
            self._turns.send(self._seconds)
            self._seconds = None


def _resident() -> float:
    """Bytes of this process that lie in memory; NaN where the system does not tell."""
    try:
        return float(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    except FileNotFoundError:
        return math.nan


Way = Callable[[Setting, Clock], None]  # one `start` and `stop` an epoch


def _work(way: Way, setting: Setting, turns: Connection) -> None:
    clock = Clock(turns)
    with redirect_stdout(StringIO()):  # where a run says what it left
        way(setting, clock)
    clock.give_away()
    on_gpu = torch.cuda.is_available() and torch.cuda.is_initialized()
    peak = torch.cuda.max_memory_allocated() if on_gpu else 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    turns.send(Memory(peak / 2**20, clock.resident / 2**20))


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
            connection.send(None)
            found.append(connection.recv())
    return seconds, [connection.recv() for connection in connections]


def spread(values: Sequence[float]) -> str:
    """Median (lowest .. highest)."""
    middle, low, high = (f"{v:,.0f}" if v >= 1000 else f"{v:.3g}" for v in (median(values), min(values), max(values)))
    return f"{middle} ({low} .. {high})"
