"""Generative adversarial networks: two players, two optimizers stepped by hand."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from math import ceil, isinf
from typing import Any, Literal

import torch
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from lightning.pytorch.core.optimizer import LightningOptimizer
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor, nn
from torch.nn.utils import clip_grads_with_norm_, get_total_norm
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau
from torch.optim.swa_utils import AveragedModel

from lit_models.base import BaseModule, steps_each_batch
from lit_models.checks import check_at_least, check_choice, check_classes, check_count, check_image_shape, check_images
from lit_models.functional.adversarial import (
    LOSSES,
    discriminator_loss,
    generator_loss,
    gradient_penalty_term,
    mean_pairwise_distance,
    sliced_wasserstein,
)
from lit_models.functional.precision import wide
from lit_models.manual import allow_unused_parameters, broadcast_buffers, counted_once
from lit_models.metrics import EpochMeans
from lit_models.networks import DCGANDiscriminator, DCGANGenerator, DecoderCallable, EncoderCallable
from lit_models.networks.base import make_decoder, make_encoder

_SETTLING_BATCHES = 16
_PROJECTIONS = 128
_D_WINS_BELOW = 0.02
_COLLAPSED_BELOW = 0.3
_JUDGED_AFTER = 200  # batches: before, running statistics are young and samples grey, which says nothing yet
_BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


class DCGANAdam(torch.optim.Adam):
    """Adam with the learning rate and betas of the DCGAN paper.

    Args:
        parameters: what it updates.
        lr: learning rate.
        betas: decays of the running averages of the gradient and of its square.

    Example:
        >>> DCGANAdam([nn.Parameter(torch.zeros(1))]).param_groups[0]["lr"]
        0.0002
    """

    def __init__(self, parameters: Iterable[Any], lr: float = 2e-4, betas: tuple[float, float] = (0.5, 0.999)) -> None:
        super().__init__(parameters, lr=lr, betas=betas)


class LitGAN(BaseModule):
    """Generative adversarial network, by default a DCGAN; with `conditional=True` both players see the class.

    Every batch is one discriminator step on the batch and on as many generated images; every `discriminator_steps`-th
    is a generator step too, on the same generated images. `trainer.global_step` counts batches. Images are in [0, 1],
    shape (N, C, H, W), in and out; the players see them in [-1, 1], and the generator's logits pass a tanh.

    Logged over each epoch, as `train/...`: `d_loss`, `g_loss`, the gradient norms before clipping, `d_gradient_norm`
    and `g_gradient_norm`, and `distance_ratio`, the mean pairwise distance of samples over that of real images. Of a
    discriminator also the mean of its probability on real and on generated images, `d_probability_real` and
    `d_probability_generated`; of a critic (`loss="wasserstein"`), which has no probability, `wasserstein_distance`, its
    mean on real images less that on generated ones. With a penalty `gradient_penalty`, before its weight. For val and
    test `sliced_wasserstein`: the distance between samples and held-out images, by which the best checkpoint can be
    picked. With the suffix `_step`, the figures of single batches, every `log_every_n_steps`.

    Warns in words when the discriminator wins outright (its loss below 0.02 for an epoch; not of a critic, whose loss
    may be negative) and when the samples collapse (distance ratio below 0.3), both from the first 200 batches on.

    Args:
        image_shape: (C, H, W) of the images.
        latent_dim: width of the noise.
        generator: makes the generator, from noise to logits of images; DCGAN's needs H and W divisible by 4.
        discriminator: makes the discriminator or critic, from images in [-1, 1] to one value.
        loss: "minimax" is the two-player game as it stands in the paper, E log D(x) + E log(1 - D(G(z))), for both;
            "non_saturating" lets G maximize E log D(G(z)); "hinge"; "least_squares"; "wasserstein", which needs a
            `gradient_penalty`. See `functional.adversarial`.
        conditional: give both players the class; `sample` then needs labels.
        num_classes: number of classes; only a conditional model uses it.
        gradient_penalty: weight of (|gradient of D| - 1)^2 between real and generated images (Gulrajani et al.), at
            least 0; their weight is 10. Use a discriminator without batch norm.
        discriminator_steps: discriminator steps for each generator step, at least 1.
        gradient_clip_val: largest norm of either player's gradient; None does not clip.
        accumulate_grad_batches: batches whose gradients make one step, each with weight 1 / accumulate_grad_batches, at
            least 1; the last step of an epoch may have fewer.
        ema_decay: share of the generator's running average that each generator step keeps, in (0, 1); the average then
            makes the samples. None samples from the generator itself.
        optimizer_d: makes the discriminator's optimizer; Adam with 2e-4 and betas 0.5, 0.999 by default.
        optimizer_g: the same for the generator.
        lr_scheduler_d: makes a scheduler of the discriminator's optimizer, stepped each epoch, but OneCycleLR and
            CyclicLR each batch; None for none.
        lr_scheduler_g: the same for the generator.

    Raises:
        ValueError: an argument out of its range, an unknown loss (the message lists the known ones), an image shape
            that the strides do not divide, images of another shape, no labels for a conditional model.
        TypeError: `generator` or `discriminator` makes something else.
        FloatingPointError: a loss is not a finite number; the message says which.

    Source: I. Goodfellow et al., arXiv:1406.2661; A. Radford, L. Metz, S. Chintala, arXiv:1511.06434, with the
    coursework's sizes and dropout; conditional: M. Mirza, S. Osindero, arXiv:1411.1784; I. Gulrajani et al.,
    arXiv:1704.00028.

    Example:
        >>> model = LitGAN((1, 28, 28), conditional=True).eval()
        >>> model.sample(3, torch.tensor([0, 1, 2])).shape
        torch.Size([3, 1, 28, 28])
    """

    monitor = "val/sliced_wasserstein"

    def __init__(
        self,
        image_shape: Sequence[int],
        latent_dim: int = 100,
        generator: DecoderCallable = DCGANGenerator,
        discriminator: EncoderCallable = DCGANDiscriminator,
        loss: Literal["minimax", "non_saturating", "hinge", "least_squares", "wasserstein"] = "minimax",
        conditional: bool = False,
        num_classes: int = 10,
        gradient_penalty: float = 0.0,
        discriminator_steps: int = 1,
        gradient_clip_val: float | None = None,
        accumulate_grad_batches: int = 1,
        ema_decay: float | None = None,
        optimizer_d: OptimizerCallable = DCGANAdam,
        optimizer_g: OptimizerCallable = DCGANAdam,
        lr_scheduler_d: LRSchedulerCallable | None = None,
        lr_scheduler_g: LRSchedulerCallable | None = None,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.image_shape = check_image_shape(image_shape)
        check_choice("loss", loss, LOSSES)
        check_count("latent_dim", latent_dim)
        check_count("discriminator_steps", discriminator_steps)
        check_count("accumulate_grad_batches", accumulate_grad_batches)
        check_at_least("gradient_penalty", gradient_penalty, 0)
        if conditional:
            check_classes(num_classes)
        if loss == "wasserstein" and gradient_penalty == 0:
            raise ValueError("loss='wasserstein' needs a gradient_penalty above 0, got 0: its authors' weight is 10")
        if gradient_clip_val is not None and not gradient_clip_val > 0:
            raise ValueError(f"gradient_clip_val must be above 0, or None not to clip, got {gradient_clip_val}")
        if ema_decay is not None and not 0 < ema_decay < 1:
            raise ValueError(f"ema_decay must be in (0, 1), or None for no average, got {ema_decay}")
        self.latent_dim = latent_dim
        self.loss = loss
        self.conditional = self.needs_labels = conditional
        self.num_classes = num_classes
        self.gradient_penalty = gradient_penalty
        self.discriminator_steps = discriminator_steps
        self.gradient_clip_val = gradient_clip_val
        self.accumulate_grad_batches = accumulate_grad_batches
        self.make_optimizers = (optimizer_d, optimizer_g)
        self.make_lr_schedulers = (lr_scheduler_d, lr_scheduler_g)

        condition_dim = num_classes if conditional else 0
        self.discriminator = make_encoder("discriminator", discriminator, self.image_shape, 1, condition_dim)
        self.generator = make_decoder("generator", generator, latent_dim, self.image_shape, condition_dim)
        if gradient_penalty and any(isinstance(layer, _BATCH_NORMS) for layer in self.discriminator.modules()):
            rank_zero_warn(
                "gradient_penalty takes the gradient of each image alone, which batch norm in the discriminator mixes "
                "with the others': use a discriminator without it, such as lit_models.networks.ConvEncoder"
            )
        self.ema: AveragedModel | None = None
        if ema_decay is not None:
            self.ema = AveragedModel(self.generator, multi_avg_fn=partial(_move_towards, share=1 - ema_decay))
            self.ema.requires_grad_(False)
        self._average_is_settled = False
        self._last_real: tuple[Tensor, Tensor | None] | None = None
        self._add_figures()

    def _add_figures(self) -> None:
        judged = ["wasserstein_distance"]
        if self.loss != "wasserstein":
            judged = ["d_probability_real", "d_probability_generated"]
        penalty = ["gradient_penalty"] if self.gradient_penalty else []
        parts = {"d": ["d_loss", *judged, *penalty], "g": ["g_loss"]}
        parts |= {"d_norm": ["d_gradient_norm"], "g_norm": ["g_gradient_norm"]}
        self.add_figures("train", **{part: EpochMeans(names) for part, names in parts.items()})
        self.add_figures("val", "test", means=EpochMeans(["sliced_wasserstein"]))

    # -- the verbs ----------------------------------------------------------------------------------------------------

    def sample(self, n: int, y: Tensor | None = None) -> Tensor:
        """`n` new images from N(0, I) noise, through the running average of the generator where there is one.

        Args:
            n: number of images.
            y: (n,) labels; a conditional model needs them, a plain one ignores them.

        Returns:
            (n, C, H, W) in [0, 1].
        """
        check_count("n", n)
        self.check_labels(y, n)
        self.settle()
        return self.sample_from({"z": self._noise(n)}, y)

    def draw_noise(self, n: int) -> dict[str, Tensor]:
        """What `n` samples are made of by `sample_from`: `z`, (n, latent_dim) from N(0, I)."""
        check_count("n", n)
        return {"z": self._noise(n)}

    def sample_from(self, noise: Mapping[str, Tensor], y: Tensor | None = None) -> Tensor:
        """Images, (n, C, H, W) in [0, 1], of given noise: `sample` without a draw of its own; call `settle` before.

        Args:
            noise: as `draw_noise(n)` makes it.
            y: (n,) labels; a conditional model needs them, a plain one ignores them.
        """
        generator = self.generator if self.ema is None else self.ema
        return (generator(noise["z"], self.condition(y)).tanh() + 1) / 2

    def settle(self) -> None:
        """Measure the batch norms of the running average, where its weights have moved since."""
        if self.ema is not None and not self._average_is_settled:
            self._settle_average(self.ema)

    def encode(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """The discriminator's last features, (N, D); D is 8,192 for DCGAN's on 28x28 images.

        Args:
            x: (N, C, H, W) in [0, 1].
            y: (N,) labels; a conditional model needs them, a plain one ignores them.
        """
        check_images(x, self.image_shape)
        self.check_labels(y, x.shape[0])
        return self.discriminator.features(_to_tanh_range(x), self.condition(y))

    # -- the game -----------------------------------------------------------------------------------------------------

    def training_step(self, batch: Any, batch_idx: int) -> None:
        """A discriminator step, and where it is due a generator step; one batch, one count."""
        x, y = self.read_step(batch, batch_idx)
        with counted_once(self):
            self._play(x, self.condition(y), batch_idx)
        if len(x) > 1:  # of a last batch of one, no distances could be taken
            self._last_real = (x, y)
        self._step_lr_schedulers(self.trainer.is_last_batch)

    def _play(self, x: Tensor, condition: Tensor | None, batch_idx: int) -> None:
        # groups of accumulated batches, counted over the run: short epochs must not leave the generator out
        batches = self.trainer.num_training_batches
        groups = 0 if isinf(batches) else ceil(batches / self.accumulate_grad_batches)
        group = self.current_epoch * groups + batch_idx // self.accumulate_grad_batches
        trains_g = (group + 1) % self.discriminator_steps == 0
        steps = (batch_idx + 1) % self.accumulate_grad_batches == 0 or self.trainer.is_last_batch
        with torch.set_grad_enabled(trains_g):
            generated = self.generator(self._noise(len(x)), condition).tanh()
        optimizer_d, optimizer_g = self.optimizers()  # type: ignore[attr-defined]
        d_figures = self.discriminator_figures(_to_tanh_range(x), generated.detach(), condition)
        self._update("d", optimizer_d, d_figures, steps)
        if trains_g:
            with optimizer_g.toggle_model():  # no gradients for the discriminator
                g_loss = generator_loss(self._logits(generated, condition), self.loss)
                self._update("g", optimizer_g, [g_loss], steps)
            if steps and self.ema is not None:
                self.ema.update_parameters(self.generator)
                self._average_is_settled = False

    def discriminator_figures(self, real: Tensor, generated: Tensor, condition: Tensor | None) -> list[Tensor]:
        """What D minimizes, and the figures that are logged beside it; scalars.

        Args:
            real: (N, C, H, W) in [-1, 1].
            generated: (N, C, H, W) in [-1, 1].
            condition: (N, num_classes), or None.
        """
        on_real, on_generated = self._logits(real, condition), self._logits(generated, condition)
        loss = discriminator_loss(on_real, on_generated, self.loss)
        if self.loss == "wasserstein":
            judged = [on_real.mean() - on_generated.mean()]
        else:
            judged = [on_real.sigmoid().mean(), on_generated.sigmoid().mean()]
        if not self.gradient_penalty:
            return [loss, *judged]
        with torch.autocast(self.device.type, enabled=False):  # a gradient's gradient needs its digits
            penalty = gradient_penalty_term(partial(self._logits, condition=condition), real, generated)
        return [loss + self.gradient_penalty * penalty, *judged, penalty]

    def _update(self, player: str, optimizer: LightningOptimizer, figures: list[Tensor], steps: bool) -> None:
        """Backward from the first figure, the player's loss, and where it is due a step."""
        self.manual_backward(figures[0] / self.accumulate_grad_batches)
        if steps:
            optimizer.step()
            optimizer.zero_grad()
        self._record(player, [figure.detach() for figure in figures])
        self.stop_unless_finite({f"train/{player}_loss": figures[0]})

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Measure the gradient, and clip it where that is asked for."""
        scaler = getattr(self.trainer.precision_plugin, "scaler", None)
        if scaler is not None:
            # fused optimizers would do it in their step, too late for who measures; the others' are unscaled already
            with suppress(RuntimeError):
                scaler.unscale_(optimizer)
        player = "d" if optimizer is self.trainer.optimizers[0] else "g"
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        norm = get_total_norm([p.grad for p in parameters if p.grad is not None])
        if self.gradient_clip_val is not None:
            clip_grads_with_norm_(parameters, self.gradient_clip_val, norm)
        self._record(f"{player}_norm", [norm])

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Measure the running average at an epoch's end: here, where all processes are, not where one draws samples."""
        if self.ema is not None and self.trainer.is_last_batch:
            self._settle_average(self.ema)

    def on_validation_model_zero_grad(self) -> None:
        """Keep the gradients: validation in the middle of an epoch must not throw away what was accumulated."""

    # -- figures and words --------------------------------------------------------------------------------------------

    def step(self, x: Tensor, y: Tensor | None, stage: str) -> None:
        """Distance between samples and a batch of held-out images."""
        generator = torch.Generator().manual_seed(0)
        directions = torch.randn(x[0].numel(), _PROJECTIONS, generator=generator)
        directions = (directions / directions.norm(dim=0)).to(x.device)
        with torch.autocast(self.device.type, enabled=False):  # in 8 bits of precision, distances of close sets drown
            distance = sliced_wasserstein(wide(x), wide(self.sample(len(x), y)), directions.to(wide(x)))
        self.figures(stage)["means"].update([distance], len(x))

    def on_train_epoch_end(self) -> None:
        """Log the epoch, warn where it went wrong, step the schedulers that wait for a validation."""
        figures = self.log_figures("train")
        if "d_loss" in figures:  # not where a run was resumed at the very end of an epoch
            self._warn(figures["d_loss"], self._distance_ratio())
        self._last_real = None
        for scheduler in self._schedulers():
            if isinstance(scheduler, ReduceLROnPlateau):
                self._step_on_plateau(scheduler)
        broadcast_buffers(self)

    def _record(self, part: str, values: list[Tensor]) -> None:
        """Add a step to the epoch's means; every so often log it by itself."""
        means = self.figures("train")[part]
        means.update(values, 1)
        if self._logs_this_step():
            self.log_dict({f"train/{name}_step": value for name, value in zip(means.names, values, strict=True)})

    @torch.no_grad()
    def _distance_ratio(self) -> Tensor | None:
        """Mean distance between samples over that between the last real images; None of batches of one image."""
        if self._last_real is None:
            return None
        x, y = self._last_real
        self.eval()
        ratio = mean_pairwise_distance(wide(self.sample(len(x), y))) / mean_pairwise_distance(wide(x))
        self.train()
        self.log("train/distance_ratio", ratio, sync_dist=True)
        return ratio

    def _warn(self, d_loss: Tensor, distance_ratio: Tensor | None) -> None:
        if self.global_step < _JUDGED_AFTER:
            return
        if self.loss != "wasserstein" and d_loss < _D_WINS_BELOW:
            rank_zero_warn(
                f"The discriminator wins outright: its loss averaged {d_loss:.4f} over epoch {self.current_epoch}, so "
                "the generator learns next to nothing. Try loss='non_saturating', more dropout, or a lower learning "
                "rate for the discriminator."
            )
        if distance_ratio is not None and distance_ratio < _COLLAPSED_BELOW:
            rank_zero_warn(
                f"The samples collapse: they lie {distance_ratio:.2f} times as far apart as real images do. Try "
                "another loss, a lower learning rate for G, or discriminator_steps=2."
            )

    # -- optimizers ---------------------------------------------------------------------------------------------------

    def configure_optimizers(self) -> tuple[list[Optimizer], list[Any]]:
        """The discriminator's and the generator's, in this order, and their schedulers."""
        networks = (self.discriminator, self.generator)
        optimizers = [make(net.parameters()) for make, net in zip(self.make_optimizers, networks, strict=True)]
        pairs = zip(self.make_lr_schedulers, optimizers, strict=True)
        return optimizers, [make(optimizer) for make, optimizer in pairs if make is not None]

    def _schedulers(self) -> list[Any]:
        schedulers: Any = self.lr_schedulers()
        return schedulers if isinstance(schedulers, list) else [] if schedulers is None else [schedulers]

    def _step_lr_schedulers(self, ends_epoch: bool) -> None:
        """After a batch; those of epochs at the last one, so that a checkpoint written after it has them moved on."""
        for scheduler in self._schedulers():
            if steps_each_batch(scheduler) or (ends_epoch and not isinstance(scheduler, ReduceLROnPlateau)):
                scheduler.step()

    def _step_on_plateau(self, scheduler: ReduceLROnPlateau) -> None:
        name = getattr(scheduler, "monitor", self.monitor)
        figures = self.trainer.callback_metrics
        if name in figures:
            scheduler.step(figures[name])
        else:
            rank_zero_warn(
                f"ReduceLROnPlateau watches {name!r}, which was not logged in epoch {self.current_epoch}: the learning "
                f"rate stays as it is. Name one of {sorted(figures)}, or validate in every epoch"
            )

    # -- the running average ------------------------------------------------------------------------------------------

    def setup(self, stage: str) -> None:
        """Prepare for several processes."""
        super().setup(stage)
        allow_unused_parameters(self)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Also have the running average measured anew."""
        super().on_load_checkpoint(checkpoint)
        self._average_is_settled = False

    @torch.no_grad()
    def _settle_average(self, ema: AveragedModel) -> None:
        """Measure the batch norms of averaged weights: activations spread less than those of the weights averaged.

        The noise has a seed of its own, so that equal weights give equal statistics.

        Source: "standing statistics" of A. Brock, J. Donahue, K. Simonyan, arXiv:1809.11096.
        """
        norms: dict[Any, float | None] = {
            layer: layer.momentum for layer in ema.modules() if isinstance(layer, _BATCH_NORMS)
        }
        was_training = ema.training
        ema.eval()
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # the mean over all batches
            norm.train()
        cuda = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices=cuda), torch.autocast(self.device.type, enabled=False):
            torch.manual_seed(0)
            y = torch.arange(128, device=self.device) % max(1, self.num_classes)
            for _ in range(_SETTLING_BATCHES if norms else 0):
                ema(self._noise(len(y)), self.condition(y))
        for norm, momentum in norms.items():
            norm.momentum = momentum
        ema.train(was_training)
        self._average_is_settled = True

    def _noise(self, n: int) -> Tensor:
        return torch.randn(n, self.latent_dim, device=self.device).to(self.dtype)

    def _logits(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """(N,) values of D, in float32 or wider: losses need more digits than networks."""
        return wide(self.discriminator(x, condition)).squeeze(1)


def _to_tanh_range(x: Tensor) -> Tensor:
    """[0, 1] to [-1, 1]."""
    return 2 * x - 1


@torch.no_grad()
def _move_towards(averages: Sequence[Tensor], values: Sequence[Tensor], steps: Any, share: float) -> None:
    """Move each average by a share of the way to its value; a named function, so that models can be pickled."""
    for average, value in zip(averages, values, strict=True):
        average.lerp_(value, share)
