"""Annealed importance sampling of a Gaussian-Bernoulli RBM's partition function.

Source: R. Salakhutdinov, I. Murray, "On the quantitative analysis of deep belief networks", ICML 2008; R. Neal,
"Annealed importance sampling", Statistics and Computing 11, 2001. The marginal walk is derived in docs/rbm.md,
equations (11) to (14).
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import softplus

from lit_models.functional.rbm import RBM, draw_hidden, gaussian_log_partition


class AISEstimate(NamedTuple):
    """What annealed importance sampling found.

    Attributes:
        log_partition: estimate of log Z; on average too low rather than too high.
        standard_error: of `log_partition`, by the spread of the weights; says nothing about modes that no chain found.
        effective_sample_size: of the weights, 1 .. chains; near 1 the estimate rests on one chain.
        chains: number of chains.

    Example:
        >>> AISEstimate(835.0, 0.03, 480.0, 500).doubt() is None
        True
    """

    log_partition: float
    standard_error: float
    effective_sample_size: float
    chains: int

    def doubt(self) -> str | None:
        """In words why not to trust the estimate, or None: the effective sample size is below a tenth of the chains."""
        if self.effective_sample_size >= self.chains / 10:
            return None
        return (
            f"log Z rests on {self.effective_sample_size:.1f} of {self.chains} chains (effective sample size): it may "
            "be nats too low, and the log-likelihood as much too high. Use more temperatures (ais_steps) or more chains"
        )


@torch.no_grad()
def log_partition_ais(
    rbm: RBM, base_mean: Tensor, chains: int = 500, steps: int = 10_000, generator: torch.Generator | None = None
) -> AISEstimate:
    """Log Z from chains that cool from independent units to the RBM, in float64.

    The base is v ~ N(base_mean, sigma^2) and fair coins for h. In between, E_beta is the straight line from the base's
    energy to the RBM's. Only W v matters to the hidden units and to the weights, and given h it is Gaussian: so the
    chains walk in H + 1 dimensions, exactly as they would in all D of v.

    Args:
        rbm: the parameters, H of any size.
        base_mean: (D,) mean of the base, best the mean of the data.
        chains: independent chains, at least 2.
        steps: temperatures, evenly spaced, at least 1.
        generator: of the random numbers, on the parameters' device; None for the global one.

    Raises:
        ValueError: a count is too small.

    Example:
        >>> zero = torch.zeros
        >>> rbm = RBM(zero(3, 2), zero(2), zero(3), torch.ones(()))  # 3 hidden and 2 visible units, independent
        >>> round(log_partition_ais(rbm, zero(2), chains=10, steps=10).log_partition, 4)  # log(2^3 * 2 pi)
        3.9173
    """
    if chains < 2 or steps < 1:
        raise ValueError(f"chains must be at least 2 and steps at least 1, got {chains} and {steps}")
    weight, visible_bias, hidden_bias, sigma, base_mean = (t.double() for t in (*rbm, base_mean))
    shift = (visible_bias - base_mean) / sigma  # (D,)
    rows = torch.cat([weight, shift[None]])  # (H+1, D)
    gram = rows @ rows.T  # (H+1, H+1), the covariance of rows @ y for standard normal y
    values, vectors = torch.linalg.eigh(gram)
    root = vectors * values.clamp(min=0).sqrt()  # root @ root.T = gram
    constant = hidden_bias + weight @ (base_mean / sigma)  # (H,)

    def noise() -> Tensor:
        return torch.randn(chains, len(gram), dtype=gram.dtype, device=gram.device, generator=generator) @ root.T

    def minus_free_energy(beta: float) -> Tensor:
        return beta * (walk[:, -1] - shift.square().sum() / 2) + softplus(beta * logits()).sum(1)

    def logits() -> Tensor:
        return constant + walk[:, :-1]

    walk = noise()  # (chains, H+1): rows @ (v - base_mean) / sigma
    log_weights = torch.zeros_like(walk[:, 0])
    for step in range(1, steps + 1):
        log_weights += minus_free_energy(step / steps) - minus_free_energy((step - 1) / steps)
        h = draw_hidden(step / steps * logits(), generator)
        walk = step / steps * (gram[-1] + h @ gram[:-1]) + noise()
    log_base = gaussian_log_partition(sigma, len(base_mean)) + len(hidden_bias) * math.log(2)
    weights = (log_weights - log_weights.max()).exp()
    return AISEstimate(
        log_partition=float(log_base + log_weights.logsumexp(0) - math.log(chains)),
        standard_error=float(weights.std() / weights.mean() / math.sqrt(chains)),
        effective_sample_size=float(weights.sum().square() / weights.square().sum()),
        chains=chains,
    )
