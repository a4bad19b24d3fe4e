"""Reconstruction error against log-likelihood, over sigma and the length of training: the figure of docs/rbm.md.

Run: uv run python -m benchmarks.rbm_frontier --data_dir data
"""

import argparse
import tempfile
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from matplotlib.figure import Figure

from lit_generative import train

EPOCHS = (1, 2, 5, 10, 25)
# label: words of the command line
RUNS = {
    "CD-5, sigma 0.5": ("--model.sigma_init=0.5",),
    "CD-5, sigma 0.7": ("--model.sigma_init=0.7",),
    "CD-5, sigma 1": (),
    "CD-5, sigma 1.5": ("--model.sigma_init=1.5",),
    "CD-5, sigma learned": ("--model.sigma=shared",),
    "persistent chains, sigma learned": ("--model.sigma=shared", "--model.chains=persistent"),
    "exact gradient, sigma 1": ("--model.learning=exact",),
    "exact gradient, sigma learned": ("--model.learning=exact", "--model.sigma=shared"),
}


class FrontierPoints(Callback):
    """Of the test split after each of `EPOCHS`: mean-field MSE per pixel, after the cut, and exact log-likelihood."""

    def __init__(self) -> None:
        self.points: list[tuple[float, float]] = []

    @torch.no_grad()
    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Add a point; nothing here draws random numbers, so training goes on as it would have."""
        if trainer.current_epoch + 1 in EPOCHS:
            data: Any = trainer.datamodule  # type: ignore[attr-defined]
            x = data.split("test")[0].to(pl_module.device) / 255
            mse = (pl_module.reconstruct(x) - x).square().mean()  # type: ignore[operator]
            self.points.append((mse.item(), pl_module.log_likelihood(x).mean().item()))  # type: ignore[operator]


def measure(data_dir: str, words: tuple[str, ...]) -> list[tuple[float, float]]:
    """(MSE, log-likelihood) of the shipped config with some words more, after each of `EPOCHS`."""
    with tempfile.TemporaryDirectory() as runs:
        where = [f"--data.data_dir={data_dir}", f"--trainer.default_root_dir={runs}"]
        quiet = ["--trainer.enable_progress_bar=false", f"--trainer.max_epochs={EPOCHS[-1]}"]
        callback = "--trainer.callbacks=[benchmarks.rbm_frontier.FrontierPoints]"
        cli = train.main(["fit", "--config=configs/rbm_kmnist.yaml", *where, *quiet, *words, callback])
    callbacks: Any = cli.trainer.callbacks  # type: ignore[attr-defined]
    return next(callback for callback in callbacks if hasattr(callback, "points")).points


def draw(points: dict[str, list[tuple[float, float]]]) -> Figure:
    """One line a run; its dots grow with the epochs."""
    figure = Figure(figsize=(7.5, 5), layout="constrained")
    axes = figure.add_subplot()
    for label, line in points.items():
        mse, likelihood = zip(*line, strict=True)
        (drawn,) = axes.plot(mse, likelihood, linewidth=1, label=label)
        axes.scatter(mse, likelihood, s=[8 + 3 * epochs for epochs in EPOCHS], color=drawn.get_color())
    axes.set_xlabel("mean-field reconstruction MSE per pixel, after the cut to [0, 1], test split (lower is better)")
    axes.set_ylabel("log-likelihood, nats per test image (higher is better)")
    axes.set_title(f"KMNIST, 16 hidden units; dots after {', '.join(map(str, EPOCHS))} epochs", fontsize=10)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    return figure


def main() -> None:
    """Train every run, print its points and draw them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data_dir", default="data", help="folder with KMNIST/raw")
    parser.add_argument("--figure", default="docs/images/rbm_frontier.png")
    options = parser.parse_args()
    points = {}
    for label, words in RUNS.items():
        points[label] = measure(options.data_dir, words)
        for epochs, (mse, likelihood) in zip(EPOCHS, points[label], strict=True):
            print(f"{label:34} {epochs:3} epochs: MSE {mse:.4f}, log-likelihood {likelihood:8.1f} nats", flush=True)
    draw(points).savefig(options.figure, dpi=100)


if __name__ == "__main__":
    main()
