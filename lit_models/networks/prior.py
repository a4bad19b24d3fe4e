"""Priors over the codes of a variational autoencoder: N(0, I), and a learned mixture of Gaussians per class."""

import math
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from lit_models.functional.draws import exponential_race
from lit_models.functional.elbo import normal_log_density, standard_normal_kl, standard_normal_unit_kl
from lit_models.functional.precision import wide

_NODES = 32  # of the quadrature for the KL of single units
_CHUNK = 64  # images of it at a time


class StandardNormal(nn.Module):
    """N(0, I), the same for every class; it has no parameters.

    Args:
        latent_dim: D.

    Example:
        >>> StandardNormal(2).sample(3).shape
        torch.Size([3, 2])
    """

    mean: Tensor
    std: Tensor

    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(latent_dim), persistent=False)
        self.register_buffer("std", torch.ones(latent_dim), persistent=False)

    def sample(self, n: int, y: Tensor | None = None) -> Tensor:
        """`n` codes, (n, D)."""
        return self.sample_from(self.draw_noise(n), y)

    def draw_noise(self, n: int) -> dict[str, Tensor]:
        """What `n` codes are made of: `z`, (n, D) from N(0, I)."""
        return {"z": torch.randn(n, len(self.mean), device=self.mean.device)}

    def sample_from(self, noise: Mapping[str, Tensor], y: Tensor | None = None) -> Tensor:
        """Codes, (n, D), of given noise: `z` itself."""
        return noise["z"]

    def log_density(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """Log p(z) of codes (N, D), (N,) nats."""
        return -0.5 * (z.square() + math.log(2 * math.pi)).sum(-1)

    def kl(self, mu: Tensor, log_variance: Tensor, z: Tensor, y: Tensor | None = None) -> Tensor:
        """KL(q || p) of Gaussians q, in closed form, (N,) nats; the draw z is not used."""
        return standard_normal_kl(mu, log_variance)

    def unit_kl(self, mu: Tensor, log_variance: Tensor, y: Tensor | None = None) -> Tensor:
        """KL of each unit, in closed form, (N, D) nats."""
        return standard_normal_unit_kl(mu, log_variance)

    def moments(self, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of each unit: zeros and ones, (D,) each."""
        return self.mean, self.std


class GaussianMixture(nn.Module):
    """Learned mixture of Gaussians with diagonal covariances, one mixture for each class.

    It starts with means from N(0, 1/2) and variances 1/2, equally probable: many of them are about N(0, I) as a whole.

    Args:
        latent_dim: D.
        num_components: K, Gaussians of one class, at least 1.
        num_classes: number of mixtures; 0 for one mixture that all images share, where labels are ignored.

    Raises:
        ValueError: there are classes, and no labels are given.

    Source: one Gaussian per class is the prior p(z | y) of K. Sohn, H. Lee, X. Yan, NeurIPS 2015; mixtures as priors:
    E. Nalisnick, L. Hertel, P. Smyth, "Approximate inference for deep latent Gaussian mixtures", NIPS workshop 2016.

    Example:
        >>> prior = GaussianMixture(latent_dim=2, num_components=3, num_classes=10)
        >>> prior.sample(2, torch.tensor([4, 4])).shape
        torch.Size([2, 2])
    """

    def __init__(self, latent_dim: int, num_components: int, num_classes: int = 0) -> None:
        super().__init__()
        self.num_classes = num_classes
        shape = max(num_classes, 1), num_components
        self.logits = nn.Parameter(torch.zeros(shape))
        self.means = nn.Parameter(math.sqrt(0.5) * torch.randn(*shape, latent_dim))
        self.log_variances = nn.Parameter(torch.full((*shape, latent_dim), math.log(0.5)))

    def sample(self, n: int, y: Tensor | None = None) -> Tensor:
        """`n` codes, (n, D), of the classes y, (n,)."""
        return self.sample_from(self.draw_noise(n), y)

    def draw_noise(self, n: int) -> dict[str, Tensor]:
        """What `n` codes are made of: `race`, (n, K) from Exponential(1), and `z`, (n, D) from N(0, I)."""
        logits, means, _ = self._values()
        race = torch.empty(n, logits.shape[1], device=logits.device, dtype=logits.dtype).exponential_()
        return {"race": race, "z": torch.randn(n, means.shape[2], device=means.device, dtype=means.dtype)}

    def sample_from(self, noise: Mapping[str, Tensor], y: Tensor | None = None) -> Tensor:
        """Codes, (n, D), of given noise and the classes y, (n,): `race` picks each code's component."""
        classes = self._classes(noise["z"].shape[0], y)
        logits, means, log_variances = self._values()
        component = exponential_race(logits[classes].softmax(1), noise["race"])  # (n,)
        mean, log_variance = means[classes, component], log_variances[classes, component]  # (n, D) each
        return mean + (0.5 * log_variance).exp() * noise["z"]

    def log_density(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """Log p(z | y) of codes (N, D), (N,) nats."""
        classes = self._classes(len(z), y)
        logits, means, log_variances = (parameter[classes] for parameter in self._values())
        densities = normal_log_density(wide(z).unsqueeze(1), means, log_variances)  # (N, 1, D) -> (N, K)
        return (logits.log_softmax(1) + densities).logsumexp(1)

    def kl(self, mu: Tensor, log_variance: Tensor, z: Tensor, y: Tensor | None = None) -> Tensor:
        """KL(q || p) estimated from one draw z of q, (N,) nats; a single estimate may be negative."""
        return normal_log_density(z, mu, log_variance) - self.log_density(z, y)

    @torch.no_grad()
    def unit_kl(self, mu: Tensor, log_variance: Tensor, y: Tensor | None = None) -> Tensor:
        """KL of each unit from that unit's marginal under the prior, by Gauss-Hermite quadrature, (N, D) nats."""
        classes = self._classes(len(mu), y)
        parts = zip(mu.split(_CHUNK), log_variance.split(_CHUNK), classes.split(_CHUNK), strict=True)
        return torch.cat([self._unit_kl(*part) for part in parts])

    def moments(self, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of each unit: (D,) each, or (N, D) for classes y, (N,)."""
        classes = self._classes(1 if y is None else len(y), y)
        logits, means, log_variances = (parameter[classes] for parameter in self._values())
        weights = logits.softmax(1).unsqueeze(2)  # (N, K, 1)
        mean = (weights * means).sum(1)  # (N, D)
        variance = (weights * (log_variances.exp() + means.square())).sum(1) - mean.square()
        std = variance.clamp_min(0).sqrt()
        return (mean[0], std[0]) if self.num_classes == 0 else (mean, std)

    def _unit_kl(self, mu: Tensor, log_variance: Tensor, classes: Tensor) -> Tensor:
        nodes, weights = (torch.from_numpy(part).to(mu) for part in np.polynomial.hermite_e.hermegauss(_NODES))
        logits, means, log_variances = (parameter[classes].unsqueeze(0) for parameter in self._values())
        z = mu + (0.5 * log_variance).exp() * nodes.view(-1, 1, 1)  # (Q, N, D)
        # the last dimension of 1 is summed over: densities of single units, (Q, N, K, D)
        units = normal_log_density(z.unsqueeze(2).unsqueeze(-1), means.unsqueeze(-1), log_variances.unsqueeze(-1))
        marginal = (logits.log_softmax(2).unsqueeze(3) + units).logsumexp(2)  # (Q, N, D)
        own = normal_log_density(z.unsqueeze(-1), mu.unsqueeze(-1), log_variance.unsqueeze(-1))
        return torch.einsum("q,qnd->nd", weights / weights.sum(), own - marginal)

    def _values(self) -> tuple[Tensor, Tensor, Tensor]:
        return wide(self.logits), wide(self.means), wide(self.log_variances)

    def _classes(self, n: int, y: Tensor | None) -> Tensor:
        """Which mixture each of n codes is under, (n,)."""
        if self.num_classes == 0:
            return torch.zeros(n, dtype=torch.int64, device=self.means.device)
        if y is None:
            raise ValueError(f"this prior has {self.num_classes} classes: pass labels y, shape ({n},)")
        return y.to(self.means.device, torch.int64)
