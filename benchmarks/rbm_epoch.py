"""One training epoch of the RBM on KMNIST: this project through train.py against the coursework's loop.

Run: uv run python -m benchmarks.rbm_epoch --data_dir data --hidden_dim 256
"""

import argparse

from benchmarks.notebook_rbm import epoch_seconds
from benchmarks.through_train import timed_fit
from benchmarks.timer import EpochTimer, print_comparison


def ours(data_dir: str, epochs: int, hidden_dim: int) -> list[float]:
    """Seconds of each epoch through train.main with the shipped config: logging, checkpoints and callbacks on."""
    words = (f"--trainer.max_epochs={epochs}", f"--model.hidden_dim={hidden_dim}")
    return timed_fit("rbm_kmnist", data_dir, EpochTimer, *words)


def main() -> None:
    """Time both ways in turns and print median, spread and ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data_dir", default="data", help="folder with KMNIST/raw")
    parser.add_argument("--hidden_dim", type=int, default=256)
    parser.add_argument("--epochs", type=int, default=4, help="epochs each way and round, of which the first warms up")
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    seconds: dict[str, list[float]] = {"notebook's loop": [], "train.py": []}
    for _ in range(options.rounds):
        seconds["notebook's loop"] += epoch_seconds(options.data_dir, options.epochs, options.hidden_dim)[1:]
        seconds["train.py"] += ours(options.data_dir, options.epochs, options.hidden_dim)[1:]
    print_comparison(seconds)


if __name__ == "__main__":
    main()
