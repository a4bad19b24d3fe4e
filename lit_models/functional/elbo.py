"""The terms of the evidence lower bound, each in nats per image, shape (N,).

Source: D. P. Kingma, M. Welling, "Auto-Encoding Variational Bayes", ICLR 2014, arXiv:1312.6114 (equations by number).
"""

import math

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits


def standard_normal_kl(mu: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(mu, exp(log_variance)) || N(0, I)) in closed form, appendix B.

    Args:
        mu: (N, D) means.
        log_variance: (N, D) natural logarithms of the variances.

    Returns:
        (N,) nats, at least 0.

    Example:
        >>> standard_normal_kl(torch.tensor([[1.0, 0.0]]), torch.zeros(1, 2))
        tensor([0.5000])
    """
    return standard_normal_unit_kl(mu, log_variance).sum(1)


def standard_normal_unit_kl(mu: Tensor, log_variance: Tensor) -> Tensor:
    """The terms of `standard_normal_kl`, one a unit, (N, D) nats, at least 0.

    Example:
        >>> standard_normal_unit_kl(torch.tensor([[1.0, 0.0]]), torch.zeros(1, 2))
        tensor([[0.5000, 0.0000]])
    """
    return 0.5 * (mu.square() + log_variance.exp() - 1 - log_variance)


def normal_log_density(z: Tensor, mu: Tensor, log_variance: Tensor) -> Tensor:
    """Log N(z; mu, exp(log_variance)), summed over the last dimension.

    Args:
        z: (..., D) codes.
        mu: (..., D) means.
        log_variance: (..., D) natural logarithms of the variances.

    Returns:
        (...) nats.

    Example:
        >>> normal_log_density(torch.zeros(1, 2), torch.zeros(1, 2), torch.zeros(1, 2))  # -log(2 pi)
        tensor([-1.8379])
    """
    terms = (z - mu).square() * (-log_variance).exp() + log_variance + math.log(2 * math.pi)
    return -0.5 * terms.sum(-1)


def reparameterize(mu: Tensor, log_variance: Tensor) -> Tensor:
    """A draw from N(mu, exp(log_variance)), (N, D), that gradients pass through: equation 4 with mu + sigma * eps.

    Example:
        >>> reparameterize(torch.zeros(3, 2), torch.zeros(3, 2)).shape
        torch.Size([3, 2])
    """
    return torch.addcmul(mu, (0.5 * log_variance).exp(), torch.randn_like(mu))


def bernoulli_nll(logits: Tensor, x: Tensor) -> Tensor:
    """-log Bernoulli(x; sigmoid(logits)), summed over pixels, appendix C.1.

    For x strictly between 0 and 1 this is the cross-entropy that the field uses on grey pixels: no density of x, but
    its minimum over the logits is at sigmoid(logits) = x.

    Args:
        logits: (N, ...) any real numbers; never passed through a sigmoid, so nothing saturates.
        x: (N, ...) targets in [0, 1].

    Returns:
        (N,) nats.

    Example:
        >>> bernoulli_nll(torch.zeros(1, 4), torch.ones(1, 4))  # 4 log 2
        tensor([2.7726])
    """
    return binary_cross_entropy_with_logits(logits, x, reduction="none").flatten(1).sum(1)


def gaussian_nll(mean: Tensor, log_scale: Tensor, x: Tensor) -> Tensor:
    """-log N(x; mean, exp(log_scale)^2), summed over pixels, appendix C.2: a density in the units of x.

    Args:
        mean: (N, ...) means.
        log_scale: scalar natural logarithm of the standard deviation all pixels share.
        x: (N, ...) targets.

    Returns:
        (N,) nats; negative values are possible, as of every density.

    Example:
        >>> gaussian_nll(torch.zeros(1, 2), torch.tensor(0.0), torch.zeros(1, 2))  # log(2 pi)
        tensor([1.8379])
    """
    residual = (x - mean) * (-log_scale).exp()
    return (0.5 * residual.square() + log_scale + 0.5 * math.log(2 * math.pi)).flatten(1).sum(1)


def squared_error(mean: Tensor, x: Tensor) -> Tensor:
    """Sum over pixels of (x - mean)^2: -log N(x; mean, 1/2) but for its constant, P/2 log(pi) for P pixels.

    Args:
        mean: (N, ...) means.
        x: (N, ...) targets.

    Returns:
        (N,) nats, at least 0.

    Example:
        >>> squared_error(torch.zeros(1, 2), torch.ones(1, 2))
        tensor([2.])
    """
    return (x - mean).square().flatten(1).sum(1)


def count_active_units(mean: Tensor, mean_of_square: Tensor, threshold: float = 0.01) -> Tensor:
    """How many latent units say something about the image: variance of their mu over the data above `threshold`.

    Args:
        mean: (D,) average of mu over the data.
        mean_of_square: (D,) average of mu squared over the data.
        threshold: variance from which a unit counts.

    Source: Y. Burda, R. Grosse, R. Salakhutdinov, arXiv:1509.00519, section 5.2, which takes the same 0.01.

    Example:
        >>> count_active_units(torch.tensor([0.0, 2.0]), torch.tensor([1.0, 4.0]))
        tensor(1)
    """
    return ((mean_of_square - mean.square()) > threshold).sum()
