"""One training epoch of the VAE on Fashion-MNIST: this project through train.py against the notebook's loop.

Run: uv run python -m benchmarks.vae_epoch --data_dir data
"""

import argparse

from benchmarks.notebook_vae import epoch_seconds
from benchmarks.through_train import timed_fit
from benchmarks.timer import EpochTimer, print_comparison


def ours(data_dir: str, epochs: int) -> list[float]:
    """Seconds of each epoch through train.main with the shipped config: logging, checkpoints and callbacks on."""
    # t-SNE runs after the last epoch, off the clock: keep it short
    words = (f"--trainer.max_epochs={epochs}", "--trainer.callbacks.max_points=100")
    return timed_fit("vae_fashion_mnist", data_dir, EpochTimer, *words)


def main() -> None:
    """Time both ways in turns and print median, spread and ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data_dir", default="data", help="folder with FashionMNIST/raw")
    parser.add_argument("--epochs", type=int, default=4, help="epochs each way and round, of which the first warms up")
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    seconds: dict[str, list[float]] = {"notebook's loop": [], "train.py": []}
    for _ in range(options.rounds):
        seconds["notebook's loop"] += epoch_seconds(options.data_dir, options.epochs)[1:]
        seconds["train.py"] += ours(options.data_dir, options.epochs)[1:]
    print_comparison(seconds)


if __name__ == "__main__":
    main()
