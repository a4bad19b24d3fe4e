"""Runs in processes of their own, which a test may stop from outside, as a user's shell or a scheduler would."""

import multiprocessing
import os
import time
from collections.abc import Callable
from pathlib import Path

# forked from a server that has imported everything already: a run starts in no time
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["train"])
_PATIENCE = 240  # seconds


def _fit(words: list[str], log: str) -> None:
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(file, 1)
    os.dup2(file, 2)
    import train

    train.main(["fit", *words])


class Run:
    """`train.py fit` with these words; its output goes to a file, to be read as `said`."""

    def __init__(self, log: Path, words: list[str]) -> None:
        self.log = log
        self.process = _CONTEXT.Process(target=_fit, args=(words, str(log)))
        self.process.start()

    @property
    def said(self) -> str:
        return self.log.read_text() if self.log.exists() else ""

    def wait_until(self, seen: Callable[[], bool]) -> None:
        """Return as soon as it is so; a run that ends before is a failure."""
        until = time.monotonic() + _PATIENCE
        while not seen():
            assert self.process.is_alive(), self.said
            assert time.monotonic() < until, self.said
            time.sleep(0.001)

    def send(self, signum: int) -> None:
        assert self.process.is_alive(), self.said
        os.kill(self.process.pid or 0, signum)

    def finish(self, status: int = 0) -> str:
        """Wait for the end, and see that it is the one expected; what the run said."""
        self.process.join(_PATIENCE)
        assert self.process.exitcode == status, f"{self.process.exitcode}: {self.said}"
        return self.said
