"""The deep convolutional generative adversarial network."""

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import torch
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from lightning.pytorch.core.optimizer import LightningOptimizer
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn, update_bn

from lit_models.adversarial import AdversarialModel
from lit_models.base import Batch
from lit_models.checks import check_at_least, check_choice, check_image_shape, check_images, check_share
from lit_models.functional.adversarial import LOSSES, discriminator_loss, generator_loss
from lit_models.manual import count_batch, step_uncounted
from lit_models.networks.dcgan import Discriminator, Generator

_SETTLING_BATCHES = 16


def dcgan_adam(parameters: Iterable[Any]) -> torch.optim.Optimizer:
    """Adam with the paper's learning rate 2e-4 and betas 0.5 and 0.999; by name, so that a saved config can say it."""
    return torch.optim.Adam(parameters, lr=2e-4, betas=(0.5, 0.999))


class LitDCGAN(AdversarialModel):
    """DCGAN: a generator and a discriminator, each with its own optimizer, stepped by hand.

    Every batch is one discriminator step on the batch and on as many generated images; every `discriminator_steps`-th
    is a generator step too, on the same generated images. `trainer.global_step` counts batches. Images are in [0, 1],
    shape (N, C, H, W), in and out; inside they are in [-1, 1]. Labels are not used.

    Logged over each epoch: `d/loss`, `g/loss`, the mean of D's probability on real and on generated images,
    `d/probability_real` and `d/probability_generated`, the gradient norms before clipping, `d/gradient_norm` and
    `g/gradient_norm`, and `train/distance_ratio`, the mean pairwise distance of samples over that of real images. With
    a validation split, `val/sliced_wasserstein`: the distance between samples and held-out images, by which the best
    checkpoint can be picked. With the suffix `_step`, the figures of single batches, every `log_every_n_steps`.

    Warns in plain words when D wins outright (its loss below 0.02 for an epoch) and when the samples collapse (distance
    ratio below 0.3), both from the first 200 batches on.

    Args:
        image_shape: (C, H, W); H and W must be divisible by 4.
        latent_dim: width of the noise.
        loss: "minimax" is the two-player game as it stands in the paper, E log D(x) + E log(1 - D(G(z))), for both;
            "non_saturating" lets G maximize E log D(G(z)); "hinge"; "least_squares". See `functional.adversarial`.
        dropout: share of D's features dropped after each convolution, in [0, 1).
        discriminator_steps: discriminator steps for each generator step, at least 1.
        gradient_clip_val: largest norm of either player's gradient; None does not clip.
        accumulate_grad_batches: batches whose gradients make one step, each with weight 1 / accumulate_grad_batches, at
            least 1; the last step of an epoch may have fewer.
        ema_decay: share of the generator's running average that each generator step keeps, in (0, 1); the average then
            makes the samples. None samples from the generator itself.
        optimizer_d: makes the discriminator's optimizer; Adam with 2e-4 and betas 0.5, 0.999 by default.
        optimizer_g: the same for the generator.
        lr_scheduler_d: makes a scheduler of the discriminator's optimizer, stepped each epoch; None for none.
        lr_scheduler_g: the same for the generator.

    Raises:
        ValueError: an argument out of its range, an unknown loss (the message lists the known ones), an image shape
            that the strides do not divide, images of another shape.
        MisconfigurationException: the Trainer's own clipping or accumulation is on.
        FloatingPointError: a loss is NaN; the message says which.

    Source: A. Radford, L. Metz, S. Chintala, arXiv:1511.06434, with the coursework's sizes and dropout.
    """

    discriminator: Discriminator

    def __init__(
        self,
        image_shape: Sequence[int],
        latent_dim: int = 100,
        loss: Literal["minimax", "non_saturating", "hinge", "least_squares"] = "minimax",
        dropout: float = 0.3,
        discriminator_steps: int = 1,
        gradient_clip_val: float | None = None,
        accumulate_grad_batches: int = 1,
        ema_decay: float | None = None,
        optimizer_d: OptimizerCallable = dcgan_adam,
        optimizer_g: OptimizerCallable = dcgan_adam,
        lr_scheduler_d: LRSchedulerCallable | None = None,
        lr_scheduler_g: LRSchedulerCallable | None = None,
    ) -> None:
        super().__init__(optimizer_d, optimizer_g, lr_scheduler_d, lr_scheduler_g, gradient_clip_val)
        image_shape = check_image_shape(image_shape)
        check_choice("loss", loss, LOSSES)
        if image_shape[1] % 4 or image_shape[2] % 4:
            raise ValueError(
                f"image_shape must have height and width divisible by 4, the generator's strides, got {image_shape}"
            )
        check_at_least("latent_dim", latent_dim, 1)
        check_at_least("discriminator_steps", discriminator_steps, 1)
        check_at_least("accumulate_grad_batches", accumulate_grad_batches, 1)
        check_share("dropout", dropout)
        if ema_decay is not None and not 0 < ema_decay < 1:
            raise ValueError(f"ema_decay must be in (0, 1), or None for no average, got {ema_decay}")
        self.save_hyperparameters(ignore=["optimizer_d", "optimizer_g", "lr_scheduler_d", "lr_scheduler_g"])
        self.image_shape = image_shape
        self.latent_dim = latent_dim
        self.loss = loss
        self.discriminator_steps = discriminator_steps
        self.accumulate_grad_batches = accumulate_grad_batches
        self.discriminator = Discriminator(image_shape, dropout)
        self.generator = Generator(image_shape, latent_dim)
        self.ema: AveragedModel | None = None
        if ema_decay is not None:
            self.ema = AveragedModel(self.generator, multi_avg_fn=get_ema_multi_avg_fn(ema_decay))
            self.ema.requires_grad_(False)
        self._average_is_settled = False

    # -- the verbs ----------------------------------------------------------------------------------------------------

    def sample(self, n: int, y: Tensor | None = None) -> Tensor:
        """`n` new images from N(0, I) noise, through the running average of the generator where there is one.

        Args:
            n: number of images.
            y: ignored: the model is not conditional.

        Returns:
            (n, C, H, W) in [0, 1].
        """
        check_at_least("n", n, 1)
        if self.ema is not None and not self._average_is_settled:
            self._settle_average(self.ema)
        generator = self.generator if self.ema is None else self.ema
        return (generator(self._noise(n)) + 1) / 2

    def encode(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """The discriminator's last features, (N, D); D is 8,192 for 28x28 images.

        Args:
            x: (N, C, H, W) in [0, 1].
            y: ignored: the model is not conditional.
        """
        check_images(x, self.image_shape)
        return self.discriminator.features(_to_tanh_range(x))

    # -- the game -----------------------------------------------------------------------------------------------------

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """A discriminator step, and where it is due a generator step; one batch, one count."""
        x, _ = batch
        check_images(x, self.image_shape)
        group = batch_idx // self.accumulate_grad_batches
        trains_g = (group + 1) % self.discriminator_steps == 0
        steps = (batch_idx + 1) % self.accumulate_grad_batches == 0 or self.trainer.is_last_batch
        optimizer_d, optimizer_g = self.optimizers()  # type: ignore[attr-defined]
        with torch.set_grad_enabled(trains_g):
            generated = self.generator(self._noise(len(x)))
        self._train_discriminator(optimizer_d, _to_tanh_range(x), generated.detach(), steps)
        if trains_g:
            self._train_generator(optimizer_g, generated, steps)
        if len(x) > 1:  # of a last batch of one, no distances could be taken
            self.real_images = x
        if self.trainer.is_last_batch:
            self.step_lr_schedulers()
        count_batch(self)

    def _train_discriminator(self, optimizer: LightningOptimizer, real: Tensor, generated: Tensor, steps: bool) -> None:
        self.toggle_optimizer(optimizer)
        real_logits, generated_logits = self._logits(real), self._logits(generated)
        loss = discriminator_loss(real_logits, generated_logits, self.loss)
        self.manual_backward(loss / self.accumulate_grad_batches)
        if steps:
            step_uncounted(self, optimizer)
            optimizer.zero_grad()
        self.untoggle_optimizer(optimizer)
        self.record("d", [loss, real_logits.sigmoid().mean(), generated_logits.sigmoid().mean()])

    def _train_generator(self, optimizer: LightningOptimizer, generated: Tensor, steps: bool) -> None:
        self.toggle_optimizer(optimizer)
        loss = generator_loss(self._logits(generated), self.loss)
        self.manual_backward(loss / self.accumulate_grad_batches)
        if steps:
            step_uncounted(self, optimizer)
            optimizer.zero_grad()
            if self.ema is not None:
                self.ema.update_parameters(self.generator)
                self._average_is_settled = False
        self.untoggle_optimizer(optimizer)
        self.record("g", [loss])

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:
        """Measure the running average at an epoch's end: here, where all processes are, not where one draws samples."""
        if self.ema is not None and self.trainer.is_last_batch:
            self._settle_average(self.ema)

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
        cuda = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices=cuda), torch.autocast(self.device.type, enabled=False):
            torch.manual_seed(0)
            update_bn((self._noise(128) for _ in range(_SETTLING_BATCHES)), ema)
        self._average_is_settled = True

    def _noise(self, n: int) -> Tensor:
        return torch.randn(n, self.latent_dim, device=self.device).to(self.dtype)

    def _logits(self, x: Tensor) -> Tensor:
        # losses are computed in the parameters' precision, also where the network runs in a lower one
        return self.discriminator(x).to(self.dtype)


def _to_tanh_range(x: Tensor) -> Tensor:
    """[0, 1] to [-1, 1]."""
    return 2 * x - 1
