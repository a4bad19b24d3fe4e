"""What two-player models share: two optimizers stepped by hand, their figures, and words for what goes wrong."""

from typing import Any

import torch
from lightning.pytorch import Callback
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor, nn
from torch.nn.utils import clip_grads_with_norm_, get_total_norm
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from lit_models.base import Batch, NamedModule
from lit_models.first_nan import FirstNaN
from lit_models.functional.adversarial import mean_pairwise_distance, sliced_wasserstein
from lit_models.manual import allow_unused_parameters, broadcast_buffers, check_trainer_flags
from lit_models.metrics import EpochMeans

_FIGURES = {
    "d": ("d/loss", "d/probability_real", "d/probability_generated"),
    "g": ("g/loss",),
    "d_norm": ("d/gradient_norm",),
    "g_norm": ("g/gradient_norm",),
    "val": ("val/sliced_wasserstein",),
    "test": ("test/sliced_wasserstein",),
}
_REMEDY = "lower the learning rates or set gradient_clip_val, and go on from the last checkpoint"
_PROJECTIONS = 128
_D_WINS_BELOW = 0.02
_COLLAPSED_BELOW = 0.3
_JUDGED_AFTER = 200  # batches: before, running statistics are young and samples grey, which says nothing yet


class AdversarialModel(NamedModule):
    """A discriminator and a generator, each with its own optimizer, under manual optimization.

    A subclass sets `discriminator`, `generator` and `loss`, writes `sample` and `training_step`, and there hands what
    it computes to `record` and each batch of real images to `real_images`.

    Args:
        optimizer_d: makes the discriminator's optimizer.
        optimizer_g: makes the generator's.
        lr_scheduler_d: makes a scheduler of the discriminator's optimizer, stepped each epoch; None for none.
        lr_scheduler_g: the same for the generator.
        gradient_clip_val: largest norm of either player's gradient; None does not clip.
    """

    monitor = "val/sliced_wasserstein"
    discriminator: nn.Module
    generator: nn.Module
    loss: str
    real_images: Tensor

    def __init__(
        self,
        optimizer_d: OptimizerCallable,
        optimizer_g: OptimizerCallable,
        lr_scheduler_d: LRSchedulerCallable | None,
        lr_scheduler_g: LRSchedulerCallable | None,
        gradient_clip_val: float | None,
    ) -> None:
        super().__init__()
        if gradient_clip_val is not None and not gradient_clip_val > 0:
            raise ValueError(f"gradient_clip_val must be above 0, or None not to clip, got {gradient_clip_val}")
        self.automatic_optimization = False
        self.gradient_clip_val = gradient_clip_val
        self.make_optimizers = (optimizer_d, optimizer_g)
        self.make_lr_schedulers = (lr_scheduler_d, lr_scheduler_g)
        self._figures = nn.ModuleDict({part: EpochMeans(names) for part, names in _FIGURES.items()})

    def sample(self, n: int, y: Tensor | None = None) -> Tensor:
        """`n` new images, (n, C, H, W) in [0, 1]."""
        raise NotImplementedError

    def record(self, part: str, values: list[Tensor]) -> None:
        """Add a step to the epoch's means; every so often log it by itself and see that losses are numbers."""
        self._part(part).update(values, 1)
        logs = self._logs_this_step()
        if logs:
            for name, value in zip(_FIGURES[part], values, strict=True):
                self.log(f"{name}_step", value.detach())
        if part in ("d", "g"):
            self._first_nan.note(f"{part}/loss", values[0], self.global_step)
            if logs or self._looks_always:
                self._first_nan.stop(_REMEDY)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Distance between samples and a batch of held-out images."""
        self._compare(batch[0], "val")

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Distance between samples and a batch of test images."""
        self._compare(batch[0], "test")

    def step_lr_schedulers(self) -> None:
        """At an epoch's last step, so that a checkpoint written after this step has them moved on."""
        for scheduler in _as_list(self.lr_schedulers()):
            if not isinstance(scheduler, ReduceLROnPlateau):
                scheduler.step()

    def on_train_epoch_end(self) -> None:
        """Log the epoch, warn where it went wrong, step the schedulers that wait for a validation.

        Raises:
            FloatingPointError: a loss was not a number, before a checkpoint of such weights is written.
        """
        self._first_nan.stop(_REMEDY)
        figures = {key: value for part in ("d", "g", "d_norm", "g_norm") for key, value in self._log(part).items()}
        if "d/loss" in figures:  # not where a run was resumed at the very end of an epoch
            self._warn(figures["d/loss"], self._distance_ratio())
        for scheduler in _as_list(self.lr_schedulers()):
            if isinstance(scheduler, ReduceLROnPlateau):
                scheduler.step(self.trainer.callback_metrics[getattr(scheduler, "monitor", self.monitor)])
        broadcast_buffers(self)

    def on_validation_model_zero_grad(self) -> None:
        """Keep the gradients: validation in the middle of an epoch must not throw away what was accumulated."""

    def on_validation_epoch_end(self) -> None:
        """Log the figure of the split."""
        self._log("val")

    def on_test_epoch_end(self) -> None:
        """Log the figure of the split."""
        self._log("test")

    def configure_callbacks(self) -> list[Callback]:
        """No callbacks; but the first hook that Lightning calls, so the place to refuse flags that do not fit."""
        check_trainer_flags(self)
        return []

    def setup(self, stage: str) -> None:
        """Prepare for several processes."""
        super().setup(stage)
        allow_unused_parameters(self)
        self._first_nan = FirstNaN("d/loss", "g/loss")

    def configure_optimizers(self) -> tuple[list[Optimizer], list[Any]]:
        """The discriminator's and the generator's, in this order, and their schedulers."""
        networks = (self.discriminator, self.generator)
        optimizers = [make(net.parameters()) for make, net in zip(self.make_optimizers, networks, strict=True)]
        pairs = zip(self.make_lr_schedulers, optimizers, strict=True)
        return optimizers, [make(optimizer) for make, optimizer in pairs if make is not None]

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Measure the gradient, and clip it where that is asked for; gradients are unscaled by now."""
        player = "d" if optimizer is self.trainer.optimizers[0] else "g"
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        norm = get_total_norm([p.grad for p in parameters if p.grad is not None])
        if self.gradient_clip_val is not None:
            clip_grads_with_norm_(parameters, self.gradient_clip_val, norm)
        self.record(f"{player}_norm", [norm])

    def _part(self, part: str) -> Any:
        return self._figures[part]

    def _log(self, part: str) -> dict[str, Tensor]:
        if not self._part(part).update_called:  # as G's, where an epoch has fewer batches than discriminator_steps
            return {}
        figures = self._part(part).compute()
        self.log_dict(figures, sync_dist=True)
        self._part(part).reset()
        return figures

    def _compare(self, x: Tensor, split: str) -> None:
        generator = torch.Generator().manual_seed(0)
        directions = torch.randn(x[0].numel(), _PROJECTIONS, generator=generator)
        directions = (directions / directions.norm(dim=0)).to(x)
        with torch.autocast(self.device.type, enabled=False):  # in 8 bits of precision, distances of close sets drown
            self._part(split).update([sliced_wasserstein(x, self.sample(len(x)), directions)], len(x))

    @torch.no_grad()
    def _distance_ratio(self) -> Tensor:
        """Mean distance between samples over the mean distance between the last batch's real images."""
        self.eval()
        ratio = mean_pairwise_distance(self.sample(len(self.real_images))) / mean_pairwise_distance(self.real_images)
        self.train()
        self.log("train/distance_ratio", ratio, sync_dist=True)
        return ratio

    def _warn(self, d_loss: Tensor, distance_ratio: Tensor) -> None:
        if self.global_step < _JUDGED_AFTER:
            return
        if d_loss < _D_WINS_BELOW:
            rank_zero_warn(
                f"The discriminator wins outright: its loss averaged {d_loss:.4f} over epoch {self.current_epoch}, so "
                "the generator learns next to nothing. Try loss='non_saturating', more dropout, or a lower learning "
                "rate for the discriminator."
            )
        if distance_ratio < _COLLAPSED_BELOW:
            rank_zero_warn(
                f"The samples collapse: they lie {distance_ratio:.2f} times as far apart as real images do. Try "
                "another loss, a lower learning rate for G, or discriminator_steps=2."
            )


def _as_list(schedulers: Any) -> list[Any]:
    return schedulers if isinstance(schedulers, list) else [] if schedulers is None else [schedulers]
