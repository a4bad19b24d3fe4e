"""What systems share: a name in the checkpoint; one step for all stages, figures of whole epochs, one optimizer."""

from collections.abc import Mapping
from typing import Any

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor, nn
from torchmetrics import Metric

Batch = tuple[Tensor, Tensor]


class NamedModule(LightningModule):
    """What every model here does for its user: a name in the checkpoint, noise of its own on each process.

    Checkpoints say which class they hold, so that `loading.load_model` can make it. `monitor` is the figure that judges
    the best checkpoint where the user names none.
    """

    monitor = "val/loss"

    def on_train_start(self) -> None:
        """Give each process other random numbers: from one seed, all would draw the same noise for other images."""
        if self.trainer.world_size > 1:
            torch.manual_seed(torch.initial_seed() + self.global_rank)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the name of the class."""
        checkpoint["model_class"] = type(self).__name__


class LitModel(NamedModule):
    """A LightningModule whose train, val and test stages run the same `step` and log the same figures.

    A subclass writes `step(batch, stage)`: it returns the loss and updates `self.figures(stage)`. At the end of the
    epoch each figure is logged once, as `{stage}/{name}`, over all images and all processes.

    Args:
        figures: the torchmetrics of one stage by name; one that computes a dict is logged under the dict's own names.
        optimizer: makes an optimizer of the parameters.
        lr_scheduler: makes a scheduler of the optimizer, stepped each epoch; None for none. ReduceLROnPlateau watches
            the figure named in its own `monitor`.
    """

    def __init__(
        self, figures: Mapping[str, Metric], optimizer: OptimizerCallable, lr_scheduler: LRSchedulerCallable | None
    ) -> None:
        super().__init__()
        self.make_optimizer = optimizer
        self.make_lr_scheduler = lr_scheduler
        self._figures = nn.ModuleDict(
            {
                # "train" itself would hide nn.Module.train
                f"{stage}_figures": nn.ModuleDict({name: metric.clone() for name, metric in figures.items()})
                for stage in ("train", "val", "test")
            }
        )

    def step(self, batch: Batch, stage: str) -> Tensor:
        """Mean loss of a batch; also updates the figures of `stage`, one of "train", "val" and "test"."""
        raise NotImplementedError

    def figures(self, stage: str) -> Any:
        """The metrics of a stage, by name."""
        return self._figures[f"{stage}_figures"]

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The step, on the train split."""
        return self.step(batch, "train")

    def validation_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The step, on the validation split."""
        return self.step(batch, "val")

    def test_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The step, on the test split."""
        return self.step(batch, "test")

    def on_train_epoch_end(self) -> None:
        """Log the train figures."""
        self._log_figures("train")

    def on_validation_epoch_end(self) -> None:
        """Log the validation figures."""
        self._log_figures("val")

    def on_test_epoch_end(self) -> None:
        """Log the test figures."""
        self._log_figures("test")

    def configure_optimizers(self) -> Any:
        """What Lightning asks for: the optimizer, and the scheduler where there is one."""
        optimizer = self.make_optimizer(self.parameters())
        if self.make_lr_scheduler is None:
            return optimizer
        scheduler = self.make_lr_scheduler(optimizer)
        monitor = getattr(scheduler, "monitor", "val/loss")
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "monitor": monitor}}

    def _log_figures(self, stage: str) -> None:
        for name, metric in self.figures(stage).items():
            value = metric.compute()
            by_name = value if isinstance(value, dict) else {name: value}
            for key, figure in by_name.items():
                # compute() has summed over the processes already; the mean over them leaves it as it is
                self.log(f"{stage}/{key}", figure, prog_bar=key == "loss", sync_dist=True)
            metric.reset()
