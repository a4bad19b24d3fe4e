"""One training of the grid of optimizers: what tells it from others, and the losses that it gives."""

import tempfile
import time
from contextlib import suppress
from math import inf
from typing import Any, NamedTuple

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch.nn.functional import cross_entropy

from lit_generative import train

CONFIG = "configs/optimizers_mnist.yaml"
L1 = 1e-3
VAL_FRACTION = 0.2


class Run(NamedTuple):
    """What tells one training from another."""

    optimizer: str
    lr: float
    batch_size: int
    seed: int = 0
    epochs: int = 5
    val_fraction: float = VAL_FRACTION


class Losses(NamedTuple):
    """What one training gave; cross-entropies in nats, a figure an epoch, fewer where it diverged."""

    train: list[float]  # mean over the epoch's batches
    val: list[float]  # after the epoch; empty without a held-out split
    test: float  # after the last epoch, as the next; not looked at before a choice is made
    test_accuracy: float
    seconds: float

    @property
    def last(self) -> float:
        """Held-out loss after the last epoch; infinite where the run diverged."""
        return self.val[-1] if self.test < inf else inf


class EpochLosses(Callback):
    """Training and held-out loss after each epoch, added to two lists that are set on the class before a run."""

    train: list[float]
    val: list[float]

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Add a figure to each; nothing here draws random numbers."""
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        self.train.append(float(pl_module.figures("train")["means"].compute()["loss"]))  # type: ignore[operator]
        if data.has_split("val"):
            self.val.append(evaluate(pl_module, data, "val")[0])


@torch.no_grad()
def evaluate(model: Any, data: Any, split: str) -> tuple[float, float]:
    """Mean cross-entropy and accuracy of a split, by large batches."""
    x, y = data.split(split)
    model.eval()
    logits = torch.cat([model(part.float() / 255) for part in x.split(1000)])
    model.train()
    return cross_entropy(logits, y).item(), (logits.argmax(1) == y).float().mean().item()


def fit(run: Run, data_dir: str) -> Losses:
    """Train the config so, through the command line, without checkpoints, logs and progress bar."""
    words = [f"--data.data_dir={data_dir}", f"--data.batch_size={run.batch_size}", f"--seed_everything={run.seed}"]
    words += [f"--data.val_fraction={run.val_fraction}", f"--trainer.max_epochs={run.epochs}"]
    words += [f"--model.optimizer=optim.{run.optimizer}", f"--model.optimizer.lr={run.lr}"]
    words += [f"--model.optimizer.l1={L1}", "--trainer.callbacks=[benchmarks.optimizer_run.EpochLosses]"]
    words += ["--trainer.logger=false", "--trainer.enable_checkpointing=false", "--trainer.limit_val_batches=0"]
    words += ["--trainer.enable_progress_bar=false", "--trainer.enable_model_summary=false"]
    words += ["--trainer.accelerator=cpu"]
    EpochLosses.train, EpochLosses.val = [], []
    start, test = time.perf_counter(), (inf, 0.0)
    with tempfile.TemporaryDirectory() as folder, suppress(FloatingPointError):  # where it diverges
        cli = train.main(["fit", f"--config={CONFIG}", *words, f"--trainer.default_root_dir={folder}"])
        test = evaluate(cli.model, cli.datamodule, "test")
    return Losses(EpochLosses.train, EpochLosses.val, *test, round(time.perf_counter() - start, 1))
