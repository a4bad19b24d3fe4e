"""The optimizers that optim/ writes out, over batch sizes and learning rates on MNIST: a table and two pictures.

Trains configs/optimizers_mnist.yaml (a convolution of 8 channels and a linear layer) for 5 epochs with each of
Momentum, Nesterov, RMSprop and Adam, at 4 batch sizes and 3 learning rates: 48 runs on 48,000 images. The cross-entropy
of the 12,000 held-out images after the last epoch picks the best run of each optimizer. That run is made with two more
seeds, and these three alone are reported on the test split.

Before the grid, each optimizer is trained on all 60,000 images in batches of 100 at 1e-3, three seeds, as the
coursework's check had it; nothing is picked there. All 68 runs take about an hour and a quarter of one CPU core.

Each finished run is a line of runs.jsonl in the folder of --out. A run that is there is not made again: after an
interruption the same command goes on, and loses the one run that it was in. Several processes share the work as
--part 1/2 and --part 2/2, with the same --out; the same command without --part then prints and draws.

Run: uv run python -m benchmarks.optimizer_grid --data_dir data
"""

import json
from argparse import ArgumentTypeError, Namespace
from collections.abc import Iterable, Sequence
from itertools import product
from pathlib import Path
from statistics import mean, stdev

from benchmarks.optimizer_pictures import draw
from benchmarks.optimizer_run import Losses, Run, fit
from benchmarks.options import add_count, check_data, make_parser

OPTIMIZERS = ("Momentum", "Nesterov", "RMSprop", "Adam")
BATCH_SIZES = (4, 8, 16, 32)
RATES = (1e-3, 5e-4, 1e-4)


def check_runs(options: Namespace) -> list[Run]:
    """The coursework's check: all images, batches of 100, one rate."""
    seeds = range(options.seeds)
    return [Run(name, 1e-3, 100, seed, options.epochs, 0.0) for name, seed in product(options.optimizers, seeds)]


def grid_runs(options: Namespace) -> list[Run]:
    """All of the grid, those with the fewest steps first."""
    sizes = sorted(options.batch_sizes, reverse=True)
    return [
        Run(name, rate, size, 0, options.epochs)
        for size, name, rate in product(sizes, options.optimizers, options.rates)
    ]


def best_of(name: str, done: dict[Run, Losses], options: Namespace) -> Run:
    """The run of the grid with the lowest held-out loss after its last epoch."""
    return min((run for run in grid_runs(options) if run.optimizer == name), key=lambda run: done[run].last)


def with_seeds(run: Run, options: Namespace) -> list[Run]:
    """The run with each seed."""
    return [run._replace(seed=seed) for seed in range(options.seeds)]


def read(path: Path) -> dict[Run, Losses]:
    """The runs that are done; a line that an interruption cut short is none."""
    done = {}
    for line in path.read_text().splitlines() if path.is_file() else []:
        try:
            run, losses = json.loads(line)
            done[Run(**run)] = Losses(**losses)
        except (ValueError, TypeError):
            print(f"{path}: left out a line that was cut short", flush=True)
    return done


def make(runs: Iterable[Run], path: Path, options: Namespace) -> dict[Run, Losses]:
    """Make the runs that are not done, each of which becomes a line; what is done then."""
    for run in runs:
        if run in read(path):
            continue
        losses = fit(run, options.data_dir)
        print(f"{run.optimizer:9}{run.batch_size:4}{run.lr:8g}{run.seed:3}: {losses.seconds:.0f} s", flush=True)
        line = json.dumps([run._asdict(), losses._asdict()])
        cut_short = path.is_file() and not path.read_bytes().endswith(b"\n")
        with path.open("a") as file:
            file.write("\n" * cut_short + line + "\n")
    return read(path)


def row(runs: Sequence[Run], done: dict[Run, Losses]) -> str:
    """A row of the table: one run with several seeds, mean and standard deviation of the test split.

    Example:
        >>> runs = [Run("Adam", 1e-3, 100, seed) for seed in range(2)]
        >>> row(runs, {run: Losses([0.5], [0.25], 0.25, 0.91 + 0.02 * run.seed, 1.0) for run in runs})
        '| Adam | 100 | 0.001 | .250 | .2500 | 91.00, 93.00 | 92.00 +- 1.41 |'
    """
    accuracies = [100 * done[run].test_accuracy for run in runs]
    held_out = mean(done[run].last for run in runs) if done[runs[0]].val else None
    spread = stdev(accuracies) if len(runs) > 1 else 0.0
    words = [
        runs[0].optimizer,
        str(runs[0].batch_size),
        f"{runs[0].lr:g}",
        "" if held_out is None else _short(held_out, 3),
    ]
    words += [_short(mean(done[run].test for run in runs), 4), ", ".join(f"{value:.2f}" for value in accuracies)]
    return f"| {' | '.join([*words, f'{mean(accuracies):.2f} +- {spread:.2f}'])} |".replace("|  |", "| |")


def _short(value: float, digits: int) -> str:
    return f"{value:.{digits}f}".removeprefix("0")


def report(done: dict[Run, Losses], best: Sequence[Run], options: Namespace) -> None:
    """Print the tables and draw the pictures."""
    header = (
        "| optimizer | batch size | rate | held-out loss | test loss | test accuracy by seed, % | mean |\n" + "|---" * 7
    )
    print(f"\ncheck, all training images, {options.epochs} epochs\n{header}|")
    for name in options.optimizers:
        print(row([run for run in check_runs(options) if run.optimizer == name], done))
    print("\nheld-out loss after the last epoch, rows batch sizes, columns rates\n")
    for name in options.optimizers:
        print(f"| {name} | {' | '.join(f'{rate:g}' for rate in options.rates)} |\n{'|---' * (1 + len(options.rates))}|")
        for size in options.batch_sizes:
            cells = [done[Run(name, rate, size, 0, options.epochs)].last for rate in options.rates]
            print(f"| {size} | {' | '.join(_short(cell, 4) for cell in cells)} |")
    print(f"\nbest of each, {options.epochs} epochs\n{header}|")
    for run in best:
        print(row(with_seeds(run, options), done))
    for split in ("train", "val"):
        lines = {(run.batch_size, run.optimizer, run.lr): getattr(done[run], split) for run in grid_runs(options)}
        path = Path(options.out, f"optimizer_grid_{'validation' if split == 'val' else split}.png")
        draw(lines, f"{'Held-out' if split == 'val' else 'Training'} cross-entropy, nats per image").savefig(
            path, dpi=100
        )
        print(f"picture: {path}")


def parse() -> Namespace:
    """The command line."""
    parser = make_parser(__doc__)
    add_count(parser, "--epochs", 5, 1, "epochs of each run")
    add_count(parser, "--seeds", 3, 1, "seeds of the check, and of the best run of each optimizer")
    parser.add_argument(
        "--optimizers", nargs="+", default=OPTIMIZERS, choices=OPTIMIZERS, help="columns of the pictures"
    )
    parser.add_argument("--batch_sizes", nargs="+", type=_batch_size, default=BATCH_SIZES, help="rows of the pictures")
    parser.add_argument("--rates", nargs="+", type=_rate, default=RATES, help="learning rates, lines of the pictures")
    parser.add_argument(
        "--part", type=_part, help="k/n: make every n-th run alone, from the k-th on, and print nothing"
    )
    parser.add_argument("--out", default="runs/optimizer_grid", help="folder of runs.jsonl and the pictures")
    options = parser.parse_args()
    check_data(parser, options.data_dir, ["MNIST"])
    return options


def _batch_size(word: str) -> int:
    if not word.isdecimal() or int(word) < 1:
        raise ArgumentTypeError(f"must be whole numbers, at least 1, got {word}")
    return int(word)


def _rate(word: str) -> float:
    try:
        value = float(word)
    except ValueError:
        value = -1.0
    if not 0 < value < float("inf"):
        raise ArgumentTypeError(f"must be finite numbers above 0, got {word}")
    return value


def _part(word: str) -> tuple[int, int]:
    numbers = [int(number) for number in word.split("/") if number.isdecimal()]
    if len(numbers) != 2 or not 1 <= numbers[0] <= numbers[1]:
        raise ArgumentTypeError(f"must be k/n with 1 <= k <= n, as 1/2, got {word}")
    return numbers[0], numbers[1]


def main() -> None:
    """Make the runs, print the tables and draw the pictures."""
    options = parse()
    path = Path(options.out, "runs.jsonl")
    path.parent.mkdir(parents=True, exist_ok=True)
    runs = [*check_runs(options), *grid_runs(options)]
    if options.part:
        first, step = options.part
        make(runs[first - 1 :: step], path, options)
        return
    done = make(runs, path, options)
    best = [best_of(name, done, options) for name in options.optimizers]
    done = make([run for chosen in best for run in with_seeds(chosen, options)], path, options)
    report(done, best, options)


if __name__ == "__main__":
    main()
