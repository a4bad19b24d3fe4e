"""The variational autoencoder, plain and class-conditional."""

import math
from collections.abc import Sequence
from typing import Literal

import torch
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor, nn

from lit_models.base import BaseModule
from lit_models.checks import check_choice, check_count, check_image_shape, check_images
from lit_models.functional.elbo import bernoulli_nll, gaussian_nll, reparameterize, standard_normal_kl
from lit_models.functional.precision import wide
from lit_models.metrics import ActiveUnits, EpochMeans
from lit_models.networks import DecoderCallable, EncoderCallable, MLPDecoder, MLPEncoder
from lit_models.networks.base import make_decoder, make_encoder


class LitVAE(BaseModule):
    """Variational autoencoder; with `conditional=True` the class-conditional one (C-VAE).

    Minimizes `reconstruction + beta * kl`, in nats per image: the negative ELBO for `beta=1`. Training, validation and
    test use the same weights. The C-VAE gives encoder and decoder the one-hot label as condition.

    Images are in [0, 1], shape (N, C, H, W), in and out. Labels are whole numbers, shape (N,).

    Logged for each of train, val and test, over the whole epoch: `loss`, `reconstruction`, `kl` and `active_units`.

    Args:
        image_shape: (C, H, W) of the images.
        latent_dim: D, width of the code.
        encoder: makes the encoder, from images to mean and log-variance, 2 * latent_dim values.
        decoder: makes the decoder, from codes to logits of images.
        conditional: condition encoder and decoder on the class.
        num_classes: number of classes; only the C-VAE uses it.
        beta: weight of the KL term, at least 0; 1 gives the ELBO (Higgins et al., ICLR 2017, for others).
        likelihood: "bernoulli" takes a pixel as a probability (cross-entropy); "gaussian" as a real number around the
            decoder's mean, with one standard deviation that all pixels share and that is learned (Rybkin, Daniilidis,
            Levine, arXiv:2006.13202): its nats are those of a density over [0, 1] pixels.
        optimizer: see `BaseModule`; Adam with learning rate 1e-3 by default.
        lr_scheduler: see `BaseModule`.

    Raises:
        ValueError: an argument out of its range; images of another shape than `image_shape`; a conditional model asked
            without labels, or with labels out of range.
        TypeError: `encoder` or `decoder` makes something else.

    Source: D. P. Kingma, M. Welling, arXiv:1312.6114; C-VAE: K. Sohn, H. Lee, X. Yan, NeurIPS 2015, with the prior kept
    at N(0, I) for every class.

    Example:
        >>> model = LitVAE((1, 28, 28), latent_dim=2, conditional=True)
        >>> model.sample(3, torch.tensor([0, 1, 2])).shape
        torch.Size([3, 1, 28, 28])
        >>> model.encode(torch.rand(3, 1, 28, 28), torch.tensor([0, 1, 2])).shape
        torch.Size([3, 2])
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        latent_dim: int = 20,
        encoder: EncoderCallable = MLPEncoder,
        decoder: DecoderCallable = MLPDecoder,
        conditional: bool = False,
        num_classes: int = 10,
        beta: float = 1.0,
        likelihood: Literal["bernoulli", "gaussian"] = "bernoulli",
        optimizer: OptimizerCallable = torch.optim.Adam,
        lr_scheduler: LRSchedulerCallable | None = None,
    ) -> None:
        super().__init__(optimizer, lr_scheduler)
        self.image_shape = check_image_shape(image_shape)
        check_choice("likelihood", likelihood, ["bernoulli", "gaussian"])
        check_count("latent_dim", latent_dim)
        if not (math.isfinite(beta) and beta >= 0):
            raise ValueError(f"beta must be a finite number, at least 0, got {beta}: 1 gives the ELBO")
        if conditional and num_classes < 1:
            raise ValueError(f"num_classes must be at least 1 for a conditional model, got {num_classes}")
        self.latent_dim = latent_dim
        self.conditional = self.needs_labels = conditional
        self.num_classes = num_classes
        self.beta = beta
        self.likelihood = likelihood

        condition_dim = num_classes if conditional else 0
        self.encoder = make_encoder("encoder", encoder, self.image_shape, 2 * latent_dim, condition_dim)
        self.decoder = make_decoder("decoder", decoder, latent_dim, self.image_shape, condition_dim)
        if likelihood == "gaussian":
            self.log_scale = nn.Parameter(torch.tensor(math.log(0.2)))
        self.add_figures(means=EpochMeans(["loss", "reconstruction", "kl"]), active_units=ActiveUnits(latent_dim))

    # -- the three verbs ----------------------------------------------------------------------------------------------

    def sample(self, n: int, y: Tensor | None = None) -> Tensor:
        """`n` new images: the decoder's means at codes drawn from N(0, I).

        Args:
            n: number of images.
            y: (n,) labels; a conditional model needs them, a plain one ignores them.

        Returns:
            (n, C, H, W) in [0, 1].
        """
        check_count("n", n)
        self.check_labels(y, n)
        z = torch.randn(n, self.latent_dim, device=self.device)
        return self._decode(z, y).sigmoid()

    def reconstruct(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """The decoder's means at the posterior mean: deterministic, (N, C, H, W) in [0, 1].

        Args:
            x: (N, C, H, W) in [0, 1].
            y: (N,) labels; a conditional model needs them, a plain one ignores them.
        """
        return self._decode(self.encode(x, y), y).sigmoid()

    def encode(self, x: Tensor, y: Tensor | None = None, log_variance: bool = False) -> Tensor:
        """The posterior mean mu, (N, D), or with `log_variance=True` the logarithm of the posterior variance, (N, D).

        Args:
            x: (N, C, H, W) in [0, 1].
            y: (N,) labels; a conditional model needs them, a plain one ignores them.
            log_variance: return log-variances instead of means.
        """
        self.check_labels(y, len(x))
        return self.posterior(x, y)[1 if log_variance else 0]

    # -- the objective ------------------------------------------------------------------------------------------------

    def posterior(self, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of q(z | x), or q(z | x, y), (N, D) each."""
        check_images(x, self.image_shape)
        mu, log_variance = wide(self.encoder(x, self.condition(y))).chunk(2, dim=1)  # (N, 2D) -> (N, D) each
        return mu, log_variance

    def negative_log_likelihood(self, logits: Tensor, x: Tensor) -> Tensor:
        """-log p(x | z) for the decoder's output, (N,) nats per image."""
        if self.likelihood == "bernoulli":
            return bernoulli_nll(logits, wide(x))
        return gaussian_nll(logits.sigmoid(), wide(self.log_scale), wide(x))

    def elbo_terms(self, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """One-sample estimate of the reconstruction term and the exact KL, (N,) nats each, and mu, (N, D)."""
        mu, log_variance = self.posterior(x, y)
        logits = self._decode(reparameterize(mu, log_variance), y)
        return self.negative_log_likelihood(logits, x), standard_normal_kl(mu, log_variance), mu

    def step(self, x: Tensor, y: Tensor | None, stage: str) -> Tensor:
        """Mean of `reconstruction + beta * kl` over a batch, in nats per image."""
        reconstructions, kls, mu = self.elbo_terms(x, y)
        reconstruction, kl = reconstructions.mean(), kls.mean()
        loss = reconstruction + self.beta * kl
        figures = self.figures(stage)
        figures["means"].update([loss, reconstruction, kl], len(x))
        figures["active_units"].update(mu)
        return loss

    def _decode(self, z: Tensor, y: Tensor | None) -> Tensor:
        """Logits (N, C, H, W) of codes (N, D), in float32 or wider."""
        return wide(self.decoder(z.to(self.dtype), self.condition(y)))
