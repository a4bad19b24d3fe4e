"""The variational autoencoder, plain and class-conditional."""

import math
from collections.abc import Sequence
from typing import Literal

import torch
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor, nn
from torch.nn.functional import one_hot

from lit_models.base import Batch, LitModel
from lit_models.checks import (
    check_at_least,
    check_choice,
    check_image_shape,
    check_images,
    check_labels,
    check_sizes,
)
from lit_models.functional.elbo import bernoulli_nll, gaussian_nll, reparameterize, standard_normal_kl
from lit_models.metrics import ActiveUnits, EpochMeans
from lit_models.networks.mlp import GaussianEncoder, LogitDecoder


class LitVAE(LitModel):
    """Variational autoencoder with fully connected networks; with `conditional=True` the C-VAE.

    Minimizes `reconstruction + beta * kl`, in nats per image: the negative ELBO for `beta=1`. Training, validation and
    test use the same weights. The C-VAE joins the one-hot label to the encoder's and to the decoder's input.

    Images are in [0, 1], shape (N, C, H, W), in and out. Labels are int64, shape (N,).

    Logged for each of train, val and test, over the whole epoch: `loss`, `reconstruction`, `kl` and `active_units`.

    Args:
        image_shape: (C, H, W) of the images.
        latent_dim: D, width of the code.
        hidden_dims: widths of the encoder's hidden layers; the decoder has them in reverse.
        conditional: condition encoder and decoder on the class.
        num_classes: number of classes; only the C-VAE uses it.
        beta: weight of the KL term, at least 0; 1 gives the ELBO (Higgins et al., ICLR 2017, for others).
        likelihood: "bernoulli" takes a pixel as a probability (cross-entropy); "gaussian" as a real number around the
            decoder's mean, with one standard deviation that all pixels share and that is learned (Rybkin, Daniilidis,
            Levine, arXiv:2006.13202): its nats are those of a density over [0, 1] pixels.
        optimizer: makes an optimizer of the parameters; Adam with learning rate 1e-3 by default.
        lr_scheduler: makes a scheduler of the optimizer, stepped each epoch; none by default. ReduceLROnPlateau
            watches the figure named in its own `monitor`.

    Raises:
        ValueError: an argument out of its range; images of another shape than `image_shape`; a conditional model asked
            without labels, or with labels out of range.

    Source: D. P. Kingma, M. Welling, arXiv:1312.6114; C-VAE: K. Sohn, H. Lee, X. Yan, NeurIPS 2015, with the prior kept
    at N(0, I) for every class.
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        latent_dim: int = 20,
        hidden_dims: Sequence[int] = (400,),
        conditional: bool = False,
        num_classes: int = 10,
        beta: float = 1.0,
        likelihood: Literal["bernoulli", "gaussian"] = "bernoulli",
        optimizer: OptimizerCallable = lambda p: torch.optim.Adam(p, lr=1e-3),
        lr_scheduler: LRSchedulerCallable | None = None,
    ) -> None:
        image_shape = check_image_shape(image_shape)
        hidden_dims = check_sizes("hidden_dims", hidden_dims)
        check_choice("likelihood", likelihood, ["bernoulli", "gaussian"])
        check_at_least("latent_dim", latent_dim, 1)
        if not (math.isfinite(beta) and beta >= 0):
            raise ValueError(f"beta must be a finite number, at least 0, got {beta}: 1 gives the ELBO")
        if conditional and num_classes < 1:
            raise ValueError(f"num_classes must be at least 1 for a conditional model, got {num_classes}")
        figures = {"means": EpochMeans(["loss", "reconstruction", "kl"]), "active_units": ActiveUnits(latent_dim)}
        super().__init__(figures, optimizer, lr_scheduler)
        # Optimizers are code, not data: a checkpoint with plain-typed hyperparameters loads with weights_only=True.
        self.save_hyperparameters(ignore=["optimizer", "lr_scheduler"])
        self.image_shape = image_shape
        self.latent_dim = latent_dim
        self.conditional = conditional
        self.num_classes = num_classes
        self.beta = beta
        self.likelihood = likelihood

        condition_dim = num_classes if conditional else 0
        self.encoder = GaussianEncoder(image_shape, hidden_dims, latent_dim, condition_dim)
        self.decoder = LogitDecoder(image_shape, hidden_dims[::-1], latent_dim, condition_dim)
        if likelihood == "gaussian":
            self.log_scale = nn.Parameter(torch.tensor(math.log(0.2)))

    # -- the three verbs ----------------------------------------------------------------------------------------------

    def sample(self, n: int, y: Tensor | None = None) -> Tensor:
        """`n` new images: the decoder's means at codes drawn from N(0, I).

        Args:
            n: number of images.
            y: (n,) labels; a conditional model needs them, a plain one ignores them.

        Returns:
            (n, C, H, W) in [0, 1].
        """
        check_at_least("n", n, 1)
        self._check_labels(y, n)
        z = torch.randn(n, self.latent_dim, device=self.device).to(self.dtype)
        return self.decoder(z, self._condition(y)).sigmoid()

    def reconstruct(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """The decoder's means at the posterior mean: deterministic, (N, C, H, W) in [0, 1].

        Args:
            x: (N, C, H, W) in [0, 1].
            y: (N,) labels; a conditional model needs them, a plain one ignores them.
        """
        return self.decoder(self.encode(x, y), self._condition(y)).sigmoid()

    def encode(self, x: Tensor, y: Tensor | None = None, log_variance: bool = False) -> Tensor:
        """The posterior mean mu, (N, D), or with `log_variance=True` the logarithm of the posterior variance, (N, D).

        Args:
            x: (N, C, H, W) in [0, 1].
            y: (N,) labels; a conditional model needs them, a plain one ignores them.
            log_variance: return log-variances instead of means.
        """
        self._check_labels(y, len(x))
        return self.posterior(x, y)[1 if log_variance else 0]

    # -- the objective ------------------------------------------------------------------------------------------------

    def posterior(self, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of q(z | x), or q(z | x, y), (N, D) each."""
        check_images(x, self.image_shape)
        return self.encoder(x, self._condition(y))

    def negative_log_likelihood(self, logits: Tensor, x: Tensor) -> Tensor:
        """-log p(x | z) for the decoder's output, (N,) nats per image."""
        if self.likelihood == "bernoulli":
            return bernoulli_nll(logits, x)
        return gaussian_nll(logits.sigmoid(), self.log_scale, x)

    def elbo_terms(self, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """One-sample estimate of the reconstruction term and the exact KL, (N,) nats each, and mu, (N, D)."""
        mu, log_variance = self.posterior(x, y)
        logits = self.decoder(reparameterize(mu, log_variance), self._condition(y))
        return self.negative_log_likelihood(logits, x), standard_normal_kl(mu, log_variance), mu

    def step(self, batch: Batch, stage: str) -> Tensor:
        """Mean of `reconstruction + beta * kl` over a batch, in nats per image."""
        x, y = batch
        reconstructions, kls, mu = self.elbo_terms(x, y)
        reconstruction, kl = reconstructions.mean(), kls.mean()
        loss = reconstruction + self.beta * kl
        figures = self.figures(stage)
        figures["means"].update([loss, reconstruction, kl], len(x))
        figures["active_units"].update(mu)
        return loss

    def _check_labels(self, y: Tensor | None, n: int) -> None:
        # Reads the labels back from the device, so only what users call does it, never a step.
        if self.conditional:
            check_labels(y, n, self.num_classes)

    def _condition(self, y: Tensor | None) -> Tensor | None:
        if not self.conditional or y is None:
            return None
        return one_hot(y.to(self.device), self.num_classes).to(self.dtype)  # (N,) -> (N, num_classes)
