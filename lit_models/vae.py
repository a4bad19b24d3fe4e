"""The variational autoencoder, plain and class-conditional."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

import torch
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor, nn
from torch.optim import Optimizer

from lit_models.base import BaseModule
from lit_models.checks import (
    check_at_least,
    check_choice,
    check_classes,
    check_codes,
    check_count,
    check_image_shape,
    check_images,
    check_weight,
)
from lit_models.functional.elbo import bernoulli_nll, gaussian_nll, normal_log_density, reparameterize, squared_error
from lit_models.functional.importance import ImportanceEstimate, importance_estimate, importance_weighted_bound
from lit_models.functional.likelihood import LikelihoodEstimate
from lit_models.functional.precision import wide
from lit_models.label_term import LabelTerm
from lit_models.metrics import ActiveUnits, EpochMeans
from lit_models.networks import ConvEncoder, DecoderCallable, EncoderCallable, MLPDecoder, MLPEncoder
from lit_models.networks.base import make_decoder, make_encoder
from lit_models.networks.prior import GaussianMixture, StandardNormal

_VALUES = 2_000_000  # pixels decoded at a time for a log-likelihood, however many draws are asked: memory stays flat


class LitVAE(BaseModule):
    """Variational autoencoder; with `conditional=True` the class-conditional one (C-VAE).

    Minimizes `reconstruction + beta * kl`, in nats per image: the negative ELBO for `beta=1`. With
    `importance_samples=k` it minimizes the importance-weighted bound of k draws instead (IWAE), of which k=1 is the
    ELBO. The C-VAE gives encoder, decoder and a learned prior the class as condition.

    Images are in [0, 1], shape (N, C, H, W), in and out. Labels are whole numbers, shape (N,).

    With `label_weight` a conditional model's loss also has `label_weight * label_loss`: the cross-entropy of a
    classifier, which is trained along on the real images, of new samples for the class asked. The negative ELBO is
    then `reconstruction + kl`, not `loss`.

    Logged for each of train, val and test, over the whole epoch: `loss`, `reconstruction` and `kl`, the ELBO's terms
    whatever k is, `active_units`, and `label_loss` where it has a weight; in test, with `likelihood_samples`, also
    `log_likelihood` and `effective_sample_size`. `kl` is exact for one draw and the standard prior, else estimated from
    the draws.

    Args:
        image_shape: (C, H, W) of the images.
        latent_dim: D, width of the code.
        encoder: makes the encoder, from images to mean and log-variance, 2 * latent_dim values.
        decoder: makes the decoder, from codes to logits of images.
        conditional: condition encoder and decoder on the class.
        num_classes: number of classes; only the C-VAE uses it.
        beta: weight of the KL term, at least 0; 1 gives the ELBO (Higgins et al., ICLR 2017, for others).
        beta_warmup_epochs: epochs in which the weight of the KL term grows to `beta` in equal steps, in training; 0
            for none. Validation and test always use `beta`, so that epochs can be compared.
        likelihood: "bernoulli" takes a pixel as a probability (cross-entropy). "mse" is the sum of squared errors: a
            Gaussian of variance 1/2 around the decoder's mean, without its constant. "gaussian" has one standard
            deviation that all pixels share and that is learned (Rybkin, Daniilidis, Levine, arXiv:2006.13202): its nats
            are those of a density over [0, 1] pixels.
        prior: "standard" is N(0, I). "mixture" is a learned mixture of Gaussians, for a conditional model one for each
            class; its KL is estimated from one draw, so that `kl` of a batch may be negative.
        num_components: Gaussians of a mixture, at least 1.
        prior_lr_factor: learning rate of the mixture's own parameters, as a multiple of the networks', at least 0;
            OneCycleLR and CyclicLR, which set one rate for all, take no notice of it.
        importance_samples: k, draws of the code for each image of a step, at least 1. With more than one a draw weighs
            p(x | z) (p(z) / q(z | x))^beta: a bound on the likelihood for `beta=1` alone.
        elbo_warmup_epochs: epochs at the start of training that take one draw: the ELBO costs a k-th of the bound of k
            draws, which can go on from there (Burda et al., table 2). Validation and test always take k.
        likelihood_samples: draws for `test/log_likelihood`; 0 leaves it out.
        label_weight: weight of the label term, at least 0, in nats per image for a nat of the classifier's
            cross-entropy; 0 for none. For a conditional model alone.
        label_classifier: makes the classifier of the label term, from images to num_classes logits.
        optimizer: see `BaseModule`; Adam with learning rate 1e-3 by default.
        lr_scheduler: see `BaseModule`.

    Raises:
        ValueError: an argument out of its range; images of another shape than `image_shape`; a conditional model asked
            without labels, or with labels out of range.
        TypeError: `encoder` or `decoder` makes something else.

    Source: D. P. Kingma, M. Welling, arXiv:1312.6114; C-VAE: K. Sohn, H. Lee, X. Yan, NeurIPS 2015, whose prior
    p(z | y) is learned, as "mixture" with one component has it; IWAE: Y. Burda, R. Grosse, R. Salakhutdinov,
    arXiv:1509.00519; label term: see `LabelTerm`.

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
        beta_warmup_epochs: int = 0,
        likelihood: Literal["bernoulli", "mse", "gaussian"] = "bernoulli",
        prior: Literal["standard", "mixture"] = "standard",
        num_components: int = 64,
        prior_lr_factor: float = 5.0,
        importance_samples: int = 1,
        elbo_warmup_epochs: int = 0,
        likelihood_samples: int = 0,
        label_weight: float = 0.0,
        label_classifier: EncoderCallable = ConvEncoder,
        optimizer: OptimizerCallable = torch.optim.Adam,
        lr_scheduler: LRSchedulerCallable | None = None,
    ) -> None:
        super().__init__(optimizer, lr_scheduler)
        self.image_shape = check_image_shape(image_shape)
        check_choice("likelihood", likelihood, ["bernoulli", "mse", "gaussian"])
        check_choice("prior", prior, ["standard", "mixture"])
        check_count("latent_dim", latent_dim)
        check_count("num_components", num_components)
        check_count("importance_samples", importance_samples)
        check_count("likelihood_samples", likelihood_samples, 0)
        check_count("beta_warmup_epochs", beta_warmup_epochs, 0)
        check_count("elbo_warmup_epochs", elbo_warmup_epochs, 0)
        check_at_least("prior_lr_factor", prior_lr_factor, 0)
        check_weight("beta", beta, "1 gives the ELBO")
        check_at_least("label_weight", label_weight, 0)
        if conditional:
            check_classes(num_classes)
        elif label_weight:
            raise ValueError(
                f"label_weight={label_weight} is for a conditional model, this one is asked for no class: "
                "set conditional=True, or leave it out"
            )
        self.latent_dim = latent_dim
        self.conditional = self.needs_labels = conditional
        self.num_classes = num_classes
        self.beta = beta
        self.beta_warmup_epochs = beta_warmup_epochs
        self.likelihood = likelihood
        self.importance_samples = importance_samples
        self.elbo_warmup_epochs = elbo_warmup_epochs
        self.likelihood_samples = likelihood_samples
        self.label_weight = label_weight
        self.prior_lr_factor = prior_lr_factor

        condition_dim = num_classes if conditional else 0
        self.encoder = make_encoder("encoder", encoder, self.image_shape, 2 * latent_dim, condition_dim)
        self.decoder = make_decoder("decoder", decoder, latent_dim, self.image_shape, condition_dim)
        self.prior: StandardNormal | GaussianMixture = StandardNormal(latent_dim)
        if prior == "mixture":
            self.prior = GaussianMixture(latent_dim, num_components, condition_dim)
        if likelihood == "gaussian":
            self.log_scale = nn.Parameter(torch.tensor(math.log(0.2)))
        self.label_term = LabelTerm(self.image_shape, num_classes, label_classifier) if label_weight else None
        if label_weight:
            self.add_figures(label=EpochMeans(["label_loss"]))
        self.add_figures(means=EpochMeans(["loss", "reconstruction", "kl"]), active_units=ActiveUnits(latent_dim))
        if likelihood_samples:
            self.add_figures("test", likelihood=EpochMeans(["log_likelihood", "effective_sample_size"]))

    # -- the three verbs ----------------------------------------------------------------------------------------------

    def sample(self, n: int, y: Tensor | None = None) -> Tensor:
        """`n` new images: the decoder's means at codes drawn from the prior.

        Args:
            n: number of images.
            y: (n,) labels; a conditional model needs them, a plain one ignores them.

        Returns:
            (n, C, H, W) in [0, 1].
        """
        noise = self.draw_noise(n)
        self.check_labels(y, n)
        return self.sample_from(noise, y)

    def draw_noise(self, n: int) -> dict[str, Tensor]:
        """What `n` samples are made of by `sample_from`: the numbers that the prior draws, see `draw_noise` there."""
        check_count("n", n)
        return self.prior.draw_noise(n)

    def sample_from(self, noise: Mapping[str, Tensor], y: Tensor | None = None) -> Tensor:
        """Images, (n, C, H, W) in [0, 1], of given noise: `sample` without a draw of its own.

        Args:
            noise: as `draw_noise(n)` makes it.
            y: (n,) labels; a conditional model needs them, a plain one ignores them.
        """
        return self._decode(self.prior.sample_from(noise, y), y).sigmoid()

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
        self.check_labels(y, x.shape[0])
        return self.posterior(x, y)[1 if log_variance else 0]

    # -- what codes mean ----------------------------------------------------------------------------------------------

    def decode(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """The decoder's means at codes z, (N, C, H, W) in [0, 1].

        Args:
            z: (N, D).
            y: (N,) labels; a conditional model needs them, a plain one ignores them.

        Raises:
            ValueError: codes of another width.
        """
        check_codes(z, self.latent_dim)
        self.check_labels(y, z.shape[0])
        return self._decode(z, y).sigmoid()

    @torch.no_grad()
    def unit_kl(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """KL of each unit's posterior from that unit's marginal under the prior, (N, D) nats.

        Args:
            x: (N, C, H, W) in [0, 1].
            y: (N,) labels; a conditional model needs them, a plain one ignores them.
        """
        self.check_labels(y, x.shape[0])
        return self.prior.unit_kl(*self.posterior(x, y), y)

    @torch.no_grad()
    def prior_moments(self, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of each unit under the prior, (D,) each; of a mixture by class (N, D) each.

        Args:
            y: (N,) labels; a conditional model needs them, a plain one ignores them.
        """
        self.check_labels(y)
        return self.prior.moments(y)

    @torch.no_grad()
    def log_likelihood(self, x: Tensor, y: Tensor | None = None, samples: int = 500) -> ImportanceEstimate:
        """Importance-weighted estimate of log p(x), or log p(x | y), and its effective sample size, (N,) each.

        In expectation it is a lower bound, in nats, that rises to log p(x) with the number of draws. Of likelihood
        "bernoulli" it is the probability of a binary image; of grey ones it is no density (see `bernoulli_nll`). Of
        "mse" and "gaussian" it is a density over [0, 1] pixels, constants included.

        Args:
            x: (N, C, H, W) in [0, 1].
            y: (N,) labels; a conditional model needs them, a plain one ignores them.
            samples: draws of the code for each image, at least 1.

        Source: Burda et al., arXiv:1509.00519, equation 8.
        """
        check_count("samples", samples)
        self.check_labels(y, x.shape[0])
        images = max(1, _VALUES // math.prod(self.image_shape))
        chunks = x.split(images)
        labels = [None] * len(chunks) if y is None else y.split(images)
        parts = [
            importance_estimate(self._log_weight_parts(chunk, label, samples))
            for chunk, label in zip(chunks, labels, strict=True)
        ]
        return ImportanceEstimate(*(torch.cat(values) for values in zip(*parts, strict=True)))

    @torch.no_grad()
    def estimate_likelihood(self, x: Tensor, y: Tensor | None = None, draws: int = 500) -> LikelihoodEstimate:
        """Importance-weighted bound for images (N, C, H, W) in [0, 1], and what the last doubling of draws gained.

        Args:
            x: (N, C, H, W) in [0, 1].
            y: (N,) labels; a conditional model needs them, and gives log p(x | y).
            draws: codes for each image, at least 2.
        """
        check_count("draws", draws, 2)
        half, whole = (self.log_likelihood(x, y, samples) for samples in (draws // 2, draws))
        return LikelihoodEstimate(
            whole.log_likelihood,
            "Bernoulli" if self.likelihood == "bernoulli" else "density",
            "importance-weighted bound",
            draws,
            float(whole.effective_sample_size.mean()),
            gain=float((whole.log_likelihood - half.log_likelihood).double().mean()),
        )

    # -- the objective ------------------------------------------------------------------------------------------------

    def posterior(self, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of q(z | x), or q(z | x, y), (N, D) each."""
        check_images(x, self.image_shape)
        both = wide(self.encoder(x.to(self.dtype), self.condition(y)))
        mu, log_variance = both.chunk(2, dim=1)  # (N, 2D) -> (N, D) each
        return mu, log_variance

    def negative_log_likelihood(self, logits: Tensor, x: Tensor) -> Tensor:
        """-log p(x | z) for the decoder's output, (N,) nats per image; of likelihood "mse" without its constant."""
        if self.likelihood == "bernoulli":
            return bernoulli_nll(logits, wide(x))
        if self.likelihood == "mse":
            return squared_error(logits.sigmoid(), wide(x))
        return gaussian_nll(logits.sigmoid(), wide(self.log_scale), wide(x))

    def elbo_terms(self, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """One-draw estimate of the reconstruction term, and the KL, (N,) nats each, and mu, (N, D).

        The KL is exact for the standard prior, and estimated from the same draw for a mixture.
        """
        mu, log_variance = self.posterior(x, y)
        z = reparameterize(mu, log_variance)
        reconstruction = self.negative_log_likelihood(self._decode(z, y), x)
        return reconstruction, self.prior.kl(mu, log_variance, z, y), mu

    def kl_weight(self, stage: str) -> float:
        """Weight of the KL term: `beta`, and in training what the warm-up has of it."""
        if stage != "train" or self.current_epoch >= self.beta_warmup_epochs:
            return self.beta
        return self.beta * (self.current_epoch + 1) / self.beta_warmup_epochs

    def step(self, x: Tensor, y: Tensor | None, stage: str) -> Tensor:
        """Mean loss of a batch, in nats per image: `reconstruction + weight * kl`, or the bound of k draws."""
        weight = self.kl_weight(stage)
        warms_up = stage == "train" and self.current_epoch < self.elbo_warmup_epochs
        if warms_up or self.importance_samples == 1:
            reconstructions, kls, mu = self.elbo_terms(x, y)
            reconstruction, kl = reconstructions.mean(), kls.mean()
            loss = reconstruction + weight * kl
        else:
            mu, log_variance = self.posterior(x, y)
            reconstructions, log_ratios = self._draws(mu, log_variance, x, y, self.importance_samples)
            reconstruction, kl = reconstructions.mean(), log_ratios.mean()
            loss = -importance_weighted_bound(-reconstructions - weight * log_ratios).mean()
        figures = self.figures(stage)
        label_loss, own = self._label_losses(x, y, stage)
        loss = loss + self.label_weight * label_loss
        figures["means"].update([loss, reconstruction, kl], len(x))
        figures["active_units"].update(mu)
        if stage == "test" and self.likelihood_samples:
            estimate = self.log_likelihood(x, y, self.likelihood_samples)
            figures["likelihood"].update([value.mean() for value in estimate], len(x))
        return loss + own

    def _label_losses(self, x: Tensor, y: Tensor | None, stage: str) -> tuple[Tensor | float, Tensor | float]:
        """The classifier's cross-entropy of as many samples as images, and in training its own of the images."""
        if self.label_term is None:
            return 0.0, 0.0
        made = self._decode(self.prior.sample(len(x), y).detach(), y).sigmoid()
        label_loss = self.label_term(made.to(x.dtype), y)
        self.figures(stage)["label"].update([label_loss], len(x))
        return label_loss, self.label_term.learn(x, y) if stage == "train" else 0.0

    def build_optimizer(self) -> Optimizer:
        """See `BaseModule`; a mixture's parameters are a group with a learning rate of its own."""
        if isinstance(self.prior, StandardNormal):
            return super().build_optimizer()
        prior = set(self.prior.parameters())
        networks = [parameter for parameter in self.parameters() if parameter not in prior]
        # what a mixture has in two dimensions is no weight matrix, which MuonWithAdam would take it for
        groups = [{"params": networks}, {"params": list(self.prior.parameters()), "matrices": False}]
        optimizer = self.make_optimizer(groups)
        for group in optimizer.param_groups:  # an optimizer may have split the two
            group["lr"] = group["lr"] * (self.prior_lr_factor if prior.intersection(group["params"]) else 1)
        return optimizer

    def _log_weight_parts(self, x: Tensor, y: Tensor | None, samples: int) -> Iterator[Tensor]:
        """Log p(x, z) - log q(z | x) of draws from q(z | x), (k, N) each, `samples` draws in all."""
        mu, log_variance = self.posterior(x, y)
        constant = 0.5 * math.log(math.pi) * math.prod(self.image_shape) if self.likelihood == "mse" else 0.0
        at_once = max(1, _VALUES // max(1, x.numel()))
        for begin in range(0, samples, at_once):
            reconstruction, log_ratio = self._draws(mu, log_variance, x, y, min(at_once, samples - begin))
            yield -reconstruction - log_ratio - constant

    def _draws(self, mu: Tensor, log_variance: Tensor, x: Tensor, y: Tensor | None, k: int) -> tuple[Tensor, Tensor]:
        """-log p(x | z) and log q(z | x) - log p(z) of k draws for each image, (k, N) each."""
        z = reparameterize(mu.expand(k, -1, -1), log_variance.expand(k, -1, -1))  # (k, N, D)
        codes, labels = z.flatten(0, 1), None if y is None else y.repeat(k)  # (k*N, D), (k*N,)
        logits = self._decode(codes, labels)
        reconstruction = self.negative_log_likelihood(logits, x.repeat(k, 1, 1, 1)).unflatten(0, (k, -1))
        log_prior = self.prior.log_density(codes, labels).unflatten(0, (k, -1))  # (k*N,) -> (k, N)
        return reconstruction, normal_log_density(z, mu, log_variance) - log_prior

    def _decode(self, z: Tensor, y: Tensor | None) -> Tensor:
        """Logits (N, C, H, W) of codes (N, D), in float32 or wider."""
        return wide(self.decoder(z.to(self.dtype), self.condition(y)))
