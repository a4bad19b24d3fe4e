"""Gaussian mixture of codes: fitted by scikit-learn, kept and sampled here."""

import warnings
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from lit_models.checks import check_count
from lit_models.functional.draws import exponential_race
from lit_models.functional.precision import wide

# k-means, where expectation maximization starts, is near already: more bring neither likelihood nor better samples
_ITERATIONS = 10


class CodeMixture(nn.Module):
    """Mixture of Gaussians with full covariances, in buffers of fixed shape that a checkpoint carries.

    Args:
        num_components: K, at least 1.
        latent_dim: D.

    Attributes:
        weights: (K,), which sum to 1 once fitted.
        means: (K, D).
        factors: (K, D, D) lower triangular; the covariances are factors @ factors.T.
        fitted: whether `fit` was called.

    Source: expectation maximization as in scikit-learn's `GaussianMixture`.

    Example:
        >>> mixture = CodeMixture(2, 3)
        >>> mixture.fit(torch.randn(100, 3))
        >>> mixture.sample(5).shape
        torch.Size([5, 3])
    """

    weights: Tensor
    means: Tensor
    factors: Tensor
    fitted: Tensor

    def __init__(self, num_components: int, latent_dim: int) -> None:
        super().__init__()
        check_count("num_components", num_components)
        self.register_buffer("weights", torch.zeros(num_components))
        self.register_buffer("means", torch.zeros(num_components, latent_dim))
        self.register_buffer("factors", torch.zeros(num_components, latent_dim, latent_dim))
        self.register_buffer("fitted", torch.tensor(False))

    @torch.no_grad()
    def fit(self, codes: Tensor) -> None:
        """Fit to codes (N, D), always with the same random numbers of its own.

        Of fewer codes than components there are as many components, and the others keep the weight 0.

        Raises:
            ValueError: there are fewer than 2 codes, or they are not finite.
        """
        # here, since every start of every command would wait for it
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.mixture import GaussianMixture

        if len(codes) < 2:
            raise ValueError(f"a mixture is fitted to at least 2 codes, got {len(codes)}: give it more images")
        if not codes.isfinite().all():
            raise ValueError("a mixture is fitted to finite codes, got some that are infinite or no numbers")
        codes = codes.detach().cpu().double()
        centre = codes.mean(0)
        scale = (codes - centre).square().mean().sqrt().clamp(min=1e-12)  # so that its floor of variances fits any code
        k = min(len(codes), len(self.weights))
        mixture = GaussianMixture(k, random_state=0, reg_covar=1e-5, max_iter=_ITERATIONS)
        with warnings.catch_warnings():
            # of an iteration that was cut short, or of fewer different codes than components: both are mixtures too
            warnings.simplefilter("ignore", ConvergenceWarning)
            mixture.fit(((codes - centre) / scale).numpy())
        factors = torch.linalg.cholesky(torch.from_numpy(mixture.covariances_))
        self.weights.zero_()
        self.weights[:k].copy_(torch.from_numpy(mixture.weights_))
        self.means[:k].copy_(torch.from_numpy(mixture.means_) * scale + centre)
        self.factors[:k].copy_(factors * scale)
        self.fitted.fill_(True)

    def sample(self, n: int) -> Tensor:
        """`n` codes, (n, D), in float32 or wider.

        Raises:
            RuntimeError: `fit` was not called.
        """
        return self.sample_from(self.draw_noise(n))

    def draw_noise(self, n: int) -> dict[str, Tensor]:
        """What `n` codes are made of: `race`, (n, K) from Exponential(1), and `z`, (n, D) from N(0, I).

        Raises:
            RuntimeError: `fit` was not called.
        """
        if not self.fitted:
            raise RuntimeError("the mixture has not been fitted: call fit(codes) first")
        means = wide(self.means)
        race = torch.empty(n, len(means), device=means.device, dtype=means.dtype).exponential_()
        return {"race": race, "z": torch.randn(n, means.shape[1], device=means.device, dtype=means.dtype)}

    def sample_from(self, noise: Mapping[str, Tensor]) -> Tensor:
        """Codes, (n, D), of given noise: `race` picks each code's component."""
        means, factors = wide(self.means), wide(self.factors)
        chosen = exponential_race(wide(self.weights), noise["race"])  # (n,)
        if torch.compiler.is_exporting():  # a graph cannot ask which components were chosen: by every one's matrix
            turned = torch.einsum("nd,ked->nke", noise["z"], factors)
            return means[chosen] + turned.gather(1, chosen[:, None, None].expand(-1, -1, means.shape[1])).squeeze(1)
        codes = means[chosen]
        for component in chosen.unique().tolist():  # a matrix each, where one for each code would fill the memory
            own = chosen == component
            codes[own] += noise["z"][own] @ factors[component].T
        return codes


def draw_evenly(batches: Iterable[Tensor], n: int) -> Tensor:
    """At most `n` rows of batches (B, ...), drawn evenly from all of them, always the same ones; on the CPU.

    Raises:
        ValueError: there is not a single row.

    Source: algorithm R of J. S. Vitter, "Random sampling with a reservoir", ACM TOMS 11, 1985.

    Example:
        >>> draw_evenly([torch.zeros(3, 2), torch.ones(3, 2)], 4).shape
        torch.Size([4, 2])
    """
    generator = torch.Generator().manual_seed(0)
    kept: list[Tensor] = []
    seen = 0
    for batch in batches:
        rows = batch.detach().cpu()
        room = n - len(kept)
        kept += rows[:room].clone().unbind()
        rows = rows[room:]
        # row number i takes the place of one that is kept with probability n / (i + 1)
        numbers = max(seen, n) + torch.arange(1, len(rows) + 1)
        places = (torch.rand(len(rows), generator=generator, dtype=torch.float64) * numbers).long()
        for row in (places < n).nonzero().flatten().tolist():
            kept[int(places[row])] = rows[row].clone()
        seen += len(batch)
    if not kept:
        raise ValueError("there are no training images to fit a mixture to")
    return torch.stack(kept)
