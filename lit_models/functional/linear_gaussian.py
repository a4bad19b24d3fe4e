"""Density, posterior and maximum likelihood of a linear model with Gaussian codes and Gaussian noise.

x = W z + mu + eps, z ~ N(0, I) of K values, eps ~ N(0, diag(psi)) of D, so that x ~ N(mu, W W' + diag(psi)). With one
psi for all pixels this is probabilistic PCA, with one for each it is factor analysis. Only K x K matrices are
factorized, but for the one eigendecomposition of `closed_form`. All of it is in the precision of what is given.

Source: M. E. Tipping, C. M. Bishop, "Probabilistic principal component analysis", J. R. Statist. Soc. B 61, 1999
(equations by number); D. B. Rubin, D. T. Thayer, "EM algorithms for ML factor analysis", Psychometrika 47, 1982;
docs/ppca.md derives what is written here in another way.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor


class LinearGaussian(NamedTuple):
    """Parameters of x = W z + mu + eps.

    Attributes:
        weight: W, (D, K).
        mean: mu, (D,).
        variance: psi, (D,), above 0; of probabilistic PCA the same number D times.

    Example:
        >>> LinearGaussian(torch.zeros(3, 1), torch.zeros(3), torch.ones(3)).variance
        tensor([1., 1., 1.])
    """

    weight: Tensor
    mean: Tensor
    variance: Tensor


class Posterior(NamedTuple):
    """p(z | x) of each x.

    Attributes:
        mean: (N, K).
        covariance: (K, K), the same for every x.

    Example:
        >>> Posterior(torch.zeros(5, 2), torch.eye(2)).covariance.shape
        torch.Size([2, 2])
    """

    mean: Tensor
    covariance: Tensor


def posterior(model: LinearGaussian, x: Tensor) -> Posterior:
    """The posterior of the codes: covariance M^-1 with M = I + W' psi^-1 W, mean M^-1 W' psi^-1 (x - mu).

    Args:
        model: of D pixels.
        x: (N, D).

    Example:
        >>> model = LinearGaussian(torch.ones(1, 1), torch.zeros(1), torch.ones(1))
        >>> posterior(model, torch.tensor([[2.0]]))
        Posterior(mean=tensor([[1.]]), covariance=tensor([[0.5000]]))
    """
    factor = _precision_factor(model)
    projected = (x - model.mean) @ (model.weight / model.variance.unsqueeze(1))  # (N, K)
    return Posterior(torch.cholesky_solve(projected.T, factor).T, torch.cholesky_inverse(factor))


def projection(model: LinearGaussian) -> Tensor:
    """The matrix B, (K, D), that gives the posterior's mean, B (x - mu).

    Example:
        >>> projection(LinearGaussian(torch.ones(1, 1), torch.zeros(1), torch.ones(1)))
        tensor([[0.5000]])
    """
    return torch.cholesky_solve((model.weight / model.variance.unsqueeze(1)).T, _precision_factor(model))


def log_density(model: LinearGaussian, x: Tensor) -> Tensor:
    """Log N(x; mu, W W' + diag(psi)), (N,) nats.

    The determinant is |M| times the product of psi. The quadratic form is written as |x - mu - W m|^2 / psi + |m|^2, m
    being the posterior mean: the same number as Woodbury's difference, as a sum of what is not negative, so that
    float32 is enough.

    Args:
        model: of D pixels.
        x: (N, D).

    Example:
        >>> model = LinearGaussian(torch.ones(2, 1), torch.zeros(2), torch.ones(2))
        >>> log_density(model, torch.zeros(1, 2))
        tensor([-2.3872])
    """
    code = posterior(model, x).mean
    residual = x - model.mean - code @ model.weight.T  # (N, D)
    distance = (residual.square() / model.variance).sum(1) + code.square().sum(1)
    return -0.5 * (distance + _log_normalizer(model))


def mean_log_density(model: LinearGaussian, covariance: Tensor) -> Tensor:
    """Mean of `log_density` over data of mean `model.mean`, a scalar, from their covariance (D, D) about it alone.

    Example:
        >>> model = LinearGaussian(torch.ones(2, 1), torch.zeros(2), torch.ones(2))
        >>> mean_log_density(model, torch.zeros(2, 2))
        tensor(-2.3872)
    """
    scaled = model.weight / model.variance.unsqueeze(1)  # psi^-1 W, (D, K)
    explained = torch.cholesky_solve(scaled.T @ covariance @ scaled, _precision_factor(model)).trace()
    return -0.5 * ((covariance.diagonal() / model.variance).sum() - explained + _log_normalizer(model))


def closed_form(mean: Tensor, covariance: Tensor, latent_dim: int, min_variance: float) -> LinearGaussian:
    """Probabilistic PCA of maximum likelihood: equations (7) and (8).

    The columns of W are the principal axes, the widest first, the largest value of each above 0. Where the mean of the
    other eigenvalues is below `min_variance`, this takes its place, and W is of maximum likelihood given it.

    Args:
        mean: (D,) of the data.
        covariance: (D, D) of the data, divided by their number.
        latent_dim: K, below D.
        min_variance: floor of psi, above 0.

    Example:
        >>> model = closed_form(torch.zeros(2), torch.diag(torch.tensor([3.0, 1.0])), 1, 1e-6)
        >>> model.weight.square().round(decimals=4), model.variance
        (tensor([[2.],
                [0.]]), tensor([1., 1.]))
    """
    values, vectors = torch.linalg.eigh(covariance)  # ascending
    values, vectors = values.flip(0), vectors.flip(1)
    variance = values[latent_dim:].mean().clamp(min=min_variance)
    weight = vectors[:, :latent_dim] * (values[:latent_dim] - variance).clamp(min=0).sqrt()
    return LinearGaussian(_with_signs(weight), mean, variance.expand(len(mean)).clone())


def em_step(model: LinearGaussian, covariance: Tensor, isotropic: bool, min_variance: float) -> LinearGaussian:
    """One step of expectation maximization over all data, after which their likelihood is not below what it was.

    The expected statistics of codes depend on the data through their mean and covariance alone: the mean of
    (x - mu) z' is S B', that of z z' is M^-1 + B S B', with the posterior mean B (x - mu).

    Args:
        model: where it starts; `model.mean` is the mean of the data.
        covariance: S, (D, D) of the data, divided by their number.
        isotropic: one psi for all pixels, equations (27) and (28); else one for each (Rubin & Thayer).
        min_variance: floor of psi, above 0; of all allowed psi the step takes the best.

    Example:
        >>> covariance = torch.diag(torch.tensor([3.0, 1.0]))
        >>> model = LinearGaussian(torch.ones(2, 1), torch.zeros(2), torch.ones(2))
        >>> for _ in range(100):
        ...     model = em_step(model, covariance, isotropic=True, min_variance=1e-6)
        >>> model.weight.square().round(decimals=4), model.variance
        (tensor([[2.],
                [0.]]), tensor([1., 1.]))
    """
    to_code = projection(model)  # B, (K, D)
    cross = covariance @ to_code.T  # (D, K)
    second = torch.cholesky_inverse(_precision_factor(model)) + to_code @ cross  # (K, K)
    weight = torch.cholesky_solve(cross.T, torch.linalg.cholesky(second)).T
    variance = covariance.diagonal() - (weight * cross).sum(1)
    if isotropic:
        variance = variance.mean().expand_as(variance)
    return LinearGaussian(weight, model.mean, variance.clamp(min=min_variance))


def principal_axes(model: LinearGaussian) -> LinearGaussian:
    """The same density with codes turned so that the posterior's covariance is diagonal, what is surest first.

    The likelihood cannot tell W from W R for a rotation R. Of probabilistic PCA these columns are the principal axes.

    Example:
        >>> turned = principal_axes(LinearGaussian(torch.ones(2, 2), torch.zeros(2), torch.ones(2)))
        >>> turned.weight.abs().round(decimals=4)
        tensor([[1.4142, 0.0000],
                [1.4142, 0.0000]])
    """
    _, vectors = torch.linalg.eigh(model.weight.T @ (model.weight / model.variance.unsqueeze(1)))
    return model._replace(weight=_with_signs(model.weight @ vectors.flip(1)))


def _with_signs(weight: Tensor) -> Tensor:
    """Each column with the sign that makes its largest value positive: no library's choice."""
    largest = weight.gather(0, weight.abs().argmax(0, keepdim=True))  # (1, K)
    return torch.where(largest < 0, -weight, weight)


def _precision_factor(model: LinearGaussian) -> Tensor:
    """Lower Cholesky factor of M = I + W' psi^-1 W, (K, K)."""
    scaled = model.weight / model.variance.unsqueeze(1)
    identity = torch.eye(scaled.shape[1], dtype=scaled.dtype, device=scaled.device)
    return torch.linalg.cholesky(identity + model.weight.T @ scaled)


def _log_normalizer(model: LinearGaussian) -> Tensor:
    """D log 2 pi + log |W W' + diag(psi)|, by the determinant lemma."""
    log_determinant = 2 * _precision_factor(model).diagonal().log().sum() + model.variance.log().sum()
    return len(model.mean) * math.log(2 * math.pi) + log_determinant
