"""What systems share: a name in the checkpoint; one step for all stages, figures of whole epochs, one optimizer."""

import os
from collections.abc import Mapping
from typing import Any

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor, nn
from torchmetrics import Metric

from lit_models.resuming import close_epoch

Batch = tuple[Tensor, Tensor]
_EVALUATION_SEED = 1
_REMEDY = (
    "lower the learning rate or clip the gradient (--trainer.gradient_clip_val), see that the images are numbers, and "
    "go on from the last checkpoint, which is of the epoch before"
)


class NamedModule(LightningModule):
    """What every model here does for its user: a name in the checkpoint, and noise that a resumed run draws again.

    Checkpoints say which class they hold, so that `loading.load_model` can make it. `monitor` is the figure that judges
    the best checkpoint where the user names none.

    The random numbers of a training batch depend on the run's seed, the batch's number and the process alone: neither
    a resume, nor a validation, nor a callback that draws its own can shift them. Those of an evaluation depend on the
    batch and the process alone, so that every epoch is judged on the same noise.
    """

    monitor = "val/loss"

    def __init__(self) -> None:
        super().__init__()
        self.noise_seed = torch.initial_seed()

    def __setattr__(self, name: str, value: Any) -> None:
        """As torch's; but the hook at work, noted some forty times a step, is no parameter, buffer or module."""
        if name == "_current_fx_name":
            object.__setattr__(self, name, value)
        else:
            super().__setattr__(name, value)

    def setup(self, stage: str) -> None:
        """Take the seed that the run was started with; a resumed run then reads it from its checkpoint."""
        self._log_every = max(1, vars(self.trainer)["log_every_n_steps"])
        # where looking costs nothing
        self._looks_always = self.trainer.strategy.root_device.type == "cpu" and self.trainer.world_size == 1
        if stage == "fit" and "PL_GLOBAL_SEED" in os.environ:  # set by seed_everything
            self.noise_seed = int(os.environ["PL_GLOBAL_SEED"])

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Seed the noise of this batch; processes differ, or all would draw the same noise for other images."""
        self._seed_noise(self.noise_seed, self.trainer.fit_loop.epoch_loop.total_batch_idx)

    def on_validation_batch_start(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Seed the noise of this batch, the same in every epoch."""
        self._seed_noise(_EVALUATION_SEED, batch_idx)

    def on_test_batch_start(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Seed the noise of this batch."""
        self._seed_noise(_EVALUATION_SEED, batch_idx)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the name of the class and the seed of the run's noise."""
        checkpoint["model_class"] = type(self).__name__
        checkpoint["noise_seed"] = self.noise_seed

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on with the noise of the run that wrote it, and after the epoch that it may have ended."""
        close_epoch(checkpoint)
        self.noise_seed = checkpoint.get("noise_seed", self.noise_seed)

    def predict_step(self, batch: Batch, batch_idx: int) -> tuple[Tensor, Tensor]:
        """Codes (N, D) and labels (N,) of a batch.

        Raises:
            TypeError: the model has no `encode`.
        """
        if not hasattr(self, "encode"):
            raise TypeError(
                f"predict writes codes, and {type(self).__name__} has none: predict with the model it looks at"
            )
        x, y = batch
        return self.encode(x, y), y  # type: ignore[operator]

    def _logs_this_step(self) -> bool:
        """Whether figures of this batch are logged: the moment to read values that a device must be waited for."""
        return self.trainer.is_last_batch or (self.global_step + 1) % self._log_every == 0

    def _seed_noise(self, seed: int, batch: int) -> None:
        # the CPU's generator reads 32 bits: runs start far apart, batches and processes count up from there
        value = (seed * 2654435761 + batch * self.trainer.world_size + self.global_rank) % 2**32
        # torch.manual_seed would do all of this, but for every kind of device that there could be, at a millisecond a
        # step; and where a device has not been used, it keeps each seed, with a stack trace, until it is
        torch.default_generator.manual_seed(value)
        if self.device.type in ("cuda", "mps", "xpu"):
            getattr(torch, self.device.type).manual_seed(value)


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
        """Log the train figures; stop where one is not a number, before a checkpoint of such weights is written.

        Raises:
            FloatingPointError: names the figure.
        """
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
        monitor = getattr(scheduler, "monitor", self.monitor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "monitor": monitor}}

    def _log_figures(self, stage: str) -> None:
        for name, metric in self.figures(stage).items():
            if not metric.update_called:  # a run that was resumed at the very end of an epoch
                continue
            value = metric.compute()
            by_name = value if isinstance(value, dict) else {name: value}
            for key, figure in by_name.items():
                if stage == "train" and not figure.isfinite().all():
                    raise FloatingPointError(f"train/{key} is {figure.item()} in epoch {self.current_epoch}: {_REMEDY}")
                # compute() has summed over the processes already; the mean over them leaves it as it is
                self.log(f"{stage}/{key}", figure, prog_bar=key == "loss", sync_dist=True)
            metric.reset()
