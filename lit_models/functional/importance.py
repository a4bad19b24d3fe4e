"""Log-likelihood of a latent variable model by importance sampling, in nats, from log weights of draws of the code.

A log weight is log p(x, z) - log q(z | x) for a code z drawn from q(z | x).

Source: Y. Burda, R. Grosse, R. Salakhutdinov, "Importance Weighted Autoencoders", ICLR 2016, arXiv:1509.00519
(equations by number).
"""

import math
from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor


class ImportanceEstimate(NamedTuple):
    """Log-likelihood of each image, and how far it can be trusted.

    Attributes:
        log_likelihood: (N,) nats; in expectation a lower bound, which rises to log p(x) with the number of draws.
        effective_sample_size: (N,), from 1 (one draw has all the weight) to the number of draws (all weigh the same).

    Example:
        >>> ImportanceEstimate(torch.tensor([-88.0]), torch.tensor([12.0])).effective_sample_size
        tensor([12.])
    """

    log_likelihood: Tensor
    effective_sample_size: Tensor


def importance_weighted_bound(log_weights: Tensor) -> Tensor:
    """Logarithm of the mean weight, equation 8: a bound on log p(x) that one draw makes the ELBO's.

    Args:
        log_weights: (K, N), of K draws for each of N images.

    Returns:
        (N,) nats.

    Example:
        >>> importance_weighted_bound(torch.tensor([[0.0], [0.0]]))
        tensor([0.])
    """
    return log_weights.logsumexp(0) - math.log(len(log_weights))


def importance_estimate(parts: Iterable[Tensor]) -> ImportanceEstimate:
    """The bound of all draws together, and their effective sample size, from log weights that come in parts.

    Args:
        parts: log weights, (K_i, N) each; there is at least one part.

    Raises:
        ValueError: there is none.

    Source: the effective sample size, (sum w)^2 / sum w^2, is A. Kong's, technical report 348, Chicago 1992.

    Example:
        >>> importance_estimate([torch.zeros(3, 1), torch.zeros(2, 1)])
        ImportanceEstimate(log_likelihood=tensor([0.]), effective_sample_size=tensor([5.]))
    """
    draws, total, squares = 0, torch.tensor(-math.inf), torch.tensor(-math.inf)
    for part in parts:
        draws += len(part)
        total = torch.logaddexp(total.to(part), part.logsumexp(0))  # (N,)
        squares = torch.logaddexp(squares.to(part), (2 * part).logsumexp(0))  # (N,)
    if draws == 0:
        raise ValueError("there are no log weights: at least one draw is needed")
    return ImportanceEstimate(total - math.log(draws), (2 * total - squares).exp())
