"""Loss and accuracy of whole splits after each epoch, for the benchmarks of classifiers."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch.nn.functional import cross_entropy

from lit_generative import train


class Figures(NamedTuple):
    """Mean cross-entropy in nats and accuracy of a split."""

    loss: float
    accuracy: float


class EpochFigures(Callback):
    """Figures of the train and the test split before training and after each epoch; it draws no random numbers.

    Example:
        >>> EpochFigures().points
        {'train': [], 'test': []}
    """

    def __init__(self) -> None:
        self.points: dict[str, list[Figures]] = {"train": [], "test": []}

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Add the figures of untrained parameters."""
        self._add(trainer, pl_module)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Add an epoch's."""
        self._add(trainer, pl_module)

    @torch.no_grad()
    def _add(self, trainer: Trainer, pl_module: LightningModule) -> None:
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        for split, points in self.points.items():
            x, y = data.split(split)
            logits = pl_module(x.to(pl_module.dtype)).double()
            accuracy = (logits.argmax(1) == y).double().mean()
            points.append(Figures(float(cross_entropy(logits, y)), float(accuracy)))


def fit(config: str, folder: str, words: Sequence[str]) -> tuple[dict[str, list[Figures]], Any]:
    """Train a config with some words more; its figures by split, and the model."""
    quiet = ["--trainer.enable_progress_bar=false", "--trainer.enable_model_summary=false"]
    silent = ["--trainer.logger=false", "--trainer.enable_checkpointing=false", "--trainer.accelerator=cpu"]
    callback = "--trainer.callbacks=[benchmarks.epoch_figures.EpochFigures]"
    where = f"--trainer.default_root_dir={folder}"
    cli = train.main(["fit", f"--config={config}", *quiet, *silent, where, *words, callback])
    callbacks: Any = cli.trainer.callbacks  # type: ignore[attr-defined]
    return next(callback for callback in callbacks if hasattr(callback, "points")).points, cli.model
