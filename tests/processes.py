"""Runs in processes of their own, which a test may stop from outside, as a user's shell or a scheduler would."""

import multiprocessing
import os
import socket
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from lightning.pytorch.utilities import rank_zero_only

# forked from a server that has imported everything already: a run starts in no time
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["train"])
_PATIENCE = 240  # seconds


def _fit(words: list[str], log: str, environment: dict[str, str]) -> None:
    os.environ.update(environment)
    warnings.simplefilter("error", UserWarning, append=True)  # behind those that train.py ignores
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(file, 1)
    os.dup2(file, 2)
    from lit_generative import train

    rank_zero_only.rank = int(environment.get("RANK", 0))  # read at import, which was before
    train.main(["fit", *words])


class Run:
    """`train.py fit` with these words; its output goes to a file, to be read as `said`."""

    def __init__(self, log: Path, words: list[str], environment: dict[str, str] | None = None) -> None:
        self.log = log
        arguments = (words, str(log), environment or {})
        self.process = CONTEXT.Process(target=_fit, args=arguments, daemon=True)  # nothing outlives the tests
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
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        assert self.process.exitcode == status, f"{self.process.exitcode}: {self.said}"
        return self.said


def fit_on_two(folder: Path, *words: str) -> str:
    """`train.py fit` on two processes; what both said. Warnings are errors."""
    return "".join([run.finish() for run in start_two(folder, *words)])


def free_port() -> int:
    """A port that no test beside this one is about to take, as the first free one from some number on may be."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def start_two(folder: Path, *words: str) -> list[Run]:
    """Two processes of one `train.py fit`, as torchrun would start them."""
    words += ("--trainer.devices=2", "--trainer.accelerator=cpu", "--trainer.enable_progress_bar=false")
    where = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "TORCHELASTIC_RUN_ID": "test"}
    runs = []
    for rank in ("0", "1"):
        ranks = {"RANK": rank, "LOCAL_RANK": rank, "GROUP_RANK": "0", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
        runs.append(Run(folder / f"rank{rank}.log", list(words), where | ranks))
    return runs


def assert_ranks_are_equal(run: Path) -> None:
    """By what the callback `tests.ranks.WeightsPerRank` wrote: one set of weights, and noise of each process's own."""
    weights = [torch.load(run / f"weights_rank{rank}.pt", weights_only=True) for rank in range(2)]
    assert torch.equal(*weights)
    # the same noise on every process would make two processes see half as much of it
    noise = [torch.load(run / f"noise_rank{rank}.pt", weights_only=True) for rank in range(2)]
    assert not torch.equal(*noise)
