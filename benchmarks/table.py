"""One table: models down, ways of training across, all measured in the same run, each in processes of its own.

(a) as notebooks have it, (b) the barest loop, (c) train.py with the shipped config, logging and checkpoints on. Times
are milliseconds a step: median over all epochs but the first of every round, and in brackets the fastest and slowest.
The probe's notebook encodes the images again each epoch; (b) and (c) did it once, before the clock starts.

Run: uv run python -m benchmarks.table --data_dir data
"""

import argparse
import multiprocessing
import resource
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import redirect_stdout
from functools import partial
from io import StringIO
from statistics import median
from typing import NamedTuple

import torch

from benchmarks import bare, notebook, through_train
from benchmarks.through_train import epochs_of

Way = Callable[[str, str, int, int], list[float]]  # data_dir, device, epochs, steps


class Row(NamedTuple):
    """A model, its steps an epoch, and its three ways."""

    steps: int
    notebook: Way
    bare: Way
    ours: Way


def _ours(config: str, *words: str) -> Way:
    return partial(_through, config, words)


def _through(config: str, words: tuple[str, ...], data_dir: str, device: str, epochs: int, steps: int) -> list[float]:
    return epochs_of(config, data_dir, device, epochs, steps, *words)


_BF16 = "--trainer.precision=bf16-mixed"
_VAE = partial(notebook.vae, conditional=False)
_CVAE = partial(notebook.vae, conditional=True)
ROWS = {
    "VAE": Row(375, _VAE, partial(bare.vae, conditional=False), _ours("vae_fashion_mnist")),
    "VAE, bf16": Row(375, _VAE, partial(bare.vae, conditional=False, bfloat16=True), _ours("vae_fashion_mnist", _BF16)),
    "C-VAE": Row(375, _CVAE, partial(bare.vae, conditional=True), _ours("cvae_fashion_mnist")),
    "C-VAE, bf16": Row(
        375, _CVAE, partial(bare.vae, conditional=True, bfloat16=True), _ours("cvae_fashion_mnist", _BF16)
    ),
    **{
        f"RBM {dim}": Row(
            469,
            partial(notebook.rbm, hidden_dim=dim),
            partial(bare.rbm, hidden_dim=dim),
            _ours("rbm_kmnist", f"--model.hidden_dim={dim}"),
        )
        for dim in (16, 64, 256)
    },
    "DCGAN": Row(12, notebook.dcgan, bare.dcgan, _ours("dcgan_mnist", "--trainer.precision=32-true")),
    "DCGAN, bf16": Row(12, notebook.dcgan, partial(bare.dcgan, bfloat16=True), _ours("dcgan_mnist", _BF16)),
    "probe": Row(47, notebook.probe, bare.probe, through_train.probe),
}


class Measured(NamedTuple):
    """Seconds of each epoch, and peak memory in MiB."""

    seconds: list[float]
    peak: float


def _measure(way: Way, data_dir: str, device: str, epochs: int, steps: int) -> Measured:
    with redirect_stdout(StringIO()):  # where a run says what it left
        seconds = way(data_dir, device, epochs, steps)
    peak = (
        torch.cuda.max_memory_allocated()
        if device == "cuda"
        else 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    )
    return Measured(seconds, peak / 2**20)


def in_a_process(way: Way, data_dir: str, device: str, epochs: int, steps: int) -> Measured:
    """Run one way in a fresh process, so that no way finds another's caches, threads or memory."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_measure, way, data_dir, device, epochs, steps).result()


def print_row(name: str, steps: int, measured: Sequence[list[Measured]]) -> None:
    """Print the three ways' times and peaks, and the third's ratios to the other two."""
    times = [[second for part in way for second in part.seconds[1:]] for way in measured]
    cells = [
        f"{1e3 * median(way) / steps:.2f} ({1e3 * min(way) / steps:.2f} .. {1e3 * max(way) / steps:.2f})"
        for way in times
    ]
    peaks = " / ".join(f"{max(part.peak for part in way):.0f}" for way in measured)
    a, b, c = (median(way) for way in times)
    print(f"| {name} | {' | '.join(cells)} | {a / c:.2f} | {c / b:.2f} | {peaks} |", flush=True)


def main() -> None:
    """Measure all ways of each model in turns, and print a row a model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data_dir", default="data", help="folder with FashionMNIST, KMNIST and MNIST")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--models", nargs="+", default=list(ROWS), choices=list(ROWS))
    parser.add_argument("--epochs", type=int, default=3, help="epochs each way and round, of which the first warms up")
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    if options.epochs < 2:
        parser.error(f"--epochs must be at least 2, since the first warms up, got {options.epochs}")
    print(f"{options.device}, {torch.get_num_threads()} threads, torch {torch.__version__}\n")
    print("| model | (a) notebook, ms a step | (b) bare | (c) train.py | a / c | c / b | peak MiB, a / b / c |")
    print("|---|---|---|---|---|---|---|")
    for name in options.models:
        row = ROWS[name]
        measured: list[list[Measured]] = [[], [], []]
        for _ in range(options.rounds):
            for way, found in zip(row[1:], measured, strict=True):
                found.append(in_a_process(way, options.data_dir, options.device, options.epochs, row.steps))
        print_row(name, row.steps, measured)


if __name__ == "__main__":
    main()
