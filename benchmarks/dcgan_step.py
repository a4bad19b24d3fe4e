"""One step of the DCGAN on MNIST: through train.py with its shipped config, against the same step in a bare loop.

Run: uv run python -m benchmarks.dcgan_step --data_dir data
"""

import argparse
from statistics import median

from benchmarks.bare_dcgan import step_seconds
from benchmarks.through_train import timed_fit
from benchmarks.timer import StepTimer
from datamodules import MNISTDataModule


def ours(data_dir: str, steps: int, warmup: int) -> list[float]:
    """Seconds of each step through train.main with the shipped config, its logging and its precision."""
    limits = (f"--trainer.limit_train_batches={warmup + steps + 1}", "--trainer.limit_val_batches=1")
    return timed_fit("dcgan_mnist", data_dir, StepTimer, "--trainer.max_epochs=1", *limits)[warmup:]


def main() -> None:
    """Time both ways in turns and print median, spread and ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data_dir", default="data", help="folder with MNIST/raw")
    parser.add_argument("--steps", type=int, default=20, help="steps each way and round")
    parser.add_argument("--warmup", type=int, default=5, help="steps before them")
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    data = MNISTDataModule(options.data_dir)
    data.setup()
    seconds: dict[str, list[float]] = {"bare loop": [], "train.py": []}
    for _ in range(options.rounds):
        seconds["bare loop"] += step_seconds(data.splits["train"][0], options.steps, options.warmup)
        seconds["train.py"] += ours(options.data_dir, options.steps, options.warmup)
    for way, times in seconds.items():
        spread = f"{1e3 * min(times):.0f} to {1e3 * max(times):.0f}, n={len(times)}"
        print(f"{way:10} median {1e3 * median(times):.0f} ms a step ({spread})")
    print(f"ratio      {median(seconds['train.py']) / median(seconds['bare loop']):.3f}")


if __name__ == "__main__":
    main()
