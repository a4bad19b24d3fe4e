"""The Gaussian-Bernoulli restricted Boltzmann machine: energy, conditionals, Gibbs steps, log Z by enumeration.

Equation numbers are those of docs/rbm.md, where each is derived. Visible units are real numbers of any scale, shape
(N, D); hidden units are 0 or 1, shape (N, H).

Source: G. Hinton, R. Salakhutdinov, Science 313, 2006 (Gaussian visible units); K. Cho, A. Ilin, T. Raiko, ICANN 2011
(a learned sigma).
"""

import math
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import linear, softplus

MAX_ENUMERATED = 20  # hidden units; 2^20 states


class RBM(NamedTuple):
    """The parameters.

    Attributes:
        weight: W transposed, (H, D): a row a hidden unit.
        visible_bias: b, (D,).
        hidden_bias: alpha, (H,).
        sigma: standard deviations of the visible units, () for one that all share or (D,), above 0.

    Example:
        >>> rbm = RBM(torch.zeros(3, 2), torch.zeros(2), torch.zeros(3), torch.ones(()))
        >>> rbm.weight.shape  # 3 hidden and 2 visible units
        torch.Size([3, 2])
    """

    weight: Tensor
    visible_bias: Tensor
    hidden_bias: Tensor
    sigma: Tensor


def energy(rbm: RBM, v: Tensor, h: Tensor) -> Tensor:
    """E(v, h), (N,), equation (1).

    Args:
        rbm: the parameters.
        v: (N, D) visible units.
        h: (N, H) hidden units.

    Example:
        >>> rbm = RBM(torch.ones(1, 2), torch.zeros(2), torch.zeros(1), torch.ones(()))
        >>> energy(rbm, torch.tensor([[1.0, 1.0]]), torch.ones(1, 1))  # 1/2 + 1/2 - 2
        tensor([-1.])
    """
    quadratic = ((v - rbm.visible_bias) / rbm.sigma).square().sum(1) / 2
    return quadratic - (h * hidden_logits(rbm, v)).sum(1)


def hidden_logits(rbm: RBM, v: Tensor) -> Tensor:
    """Logits of p(h = 1 | v), (N, H), equation (3).

    Example:
        >>> rbm = RBM(torch.ones(1, 2), torch.zeros(2), torch.zeros(1), torch.ones(()))
        >>> hidden_logits(rbm, torch.tensor([[1.0, 1.0]]))
        tensor([[2.]])
    """
    return linear(v / rbm.sigma, rbm.weight, rbm.hidden_bias)


def visible_mean(rbm: RBM, h: Tensor) -> Tensor:
    """Mean of p(v | h), (N, D), equation (4); probabilities of h give the mean-field mean.

    Example:
        >>> rbm = RBM(torch.ones(1, 2), torch.zeros(2), torch.zeros(1), torch.ones(()))
        >>> visible_mean(rbm, torch.ones(1, 1))
        tensor([[1., 1.]])
    """
    return rbm.visible_bias + rbm.sigma * (h @ rbm.weight)


def free_energy(rbm: RBM, v: Tensor, logits: Tensor | None = None) -> Tensor:
    """F(v) = -log sum_h exp(-E(v, h)), (N,), equation (5).

    Args:
        rbm: the parameters.
        v: (N, D) visible units.
        logits: `hidden_logits(rbm, v)`, where they are at hand already.

    Example:
        >>> rbm = RBM(torch.zeros(3, 2), torch.zeros(2), torch.zeros(3), torch.ones(()))
        >>> free_energy(rbm, torch.zeros(1, 2))  # -3 log 2
        tensor([-2.0794])
    """
    logits = hidden_logits(rbm, v) if logits is None else logits
    quadratic = ((v - rbm.visible_bias) / rbm.sigma).square().sum(1) / 2
    return quadratic - softplus(logits).sum(1)


@torch.no_grad()
def gibbs_chain(rbm: RBM, logits: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    """Alternate between the layers: h from its logits, v from h, and so on; nothing here gets a gradient.

    Until the last step nobody asks for v, only for the next logits, which given h are Gaussian: those steps walk in H
    dimensions, in distribution exactly as they would in all D of v. Equation (13) of docs/rbm.md, at beta 1.

    Args:
        rbm: the parameters.
        logits: (N, H) hidden logits of where the chains start.
        steps: Gibbs steps, at least 1; each draws h and then v.

    Returns:
        The last v, and the mean of p(v | h) that it was drawn around, (N, D) each.

    Example:
        >>> rbm = RBM(torch.zeros(3, 2), torch.zeros(2), torch.zeros(3), torch.ones(()))
        >>> v, mean = gibbs_chain(rbm, torch.zeros(5, 3), steps=2)
        >>> v.shape, mean.shape
        (torch.Size([5, 2]), torch.Size([5, 2]))
    """
    if steps > 1:
        constant = rbm.hidden_bias + rbm.weight @ (rbm.visible_bias / rbm.sigma)  # (H,)
        gram, root = _gram(rbm.weight)  # (H, H), the covariance of W eps for standard normal eps
        for _ in range(steps - 1):
            logits = draw_logits(torch.addmm(constant, draw_hidden(logits), gram), root)
    mean = visible_mean(rbm, draw_hidden(logits))
    return draw_visible(mean, rbm.sigma), mean


@torch.no_grad()
def mean_field_chain(rbm: RBM, logits: Tensor, steps: int) -> Tensor:
    """`gibbs_chain` with every draw replaced by its mean: the last v, (N, D), without a gradient.

    Example:
        >>> rbm = RBM(torch.ones(1, 2), torch.zeros(2), torch.zeros(1), torch.ones(()))
        >>> mean_field_chain(rbm, torch.zeros(1, 1), steps=1)
        tensor([[0.5000, 0.5000]])
    """
    for step in range(steps):
        v = visible_mean(rbm, logits.sigmoid())
        if step + 1 < steps:
            logits = hidden_logits(rbm, v)
    return v


def draw_hidden(logits: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """H from p(h | v): zeros and ones, (N, H).

    Example:
        >>> draw_hidden(torch.tensor([[100.0, -100.0]]))
        tensor([[1., 0.]])
    """
    # torch.bernoulli would stop at a NaN before the model can say where it came from; 16 bits are too few for a draw
    dtype = torch.promote_types(logits.dtype, torch.float32)
    uniform = torch.rand(logits.shape, dtype=dtype, device=logits.device, generator=generator)
    return (uniform < logits.to(dtype).sigmoid()).to(logits.dtype)


def draw_visible(mean: Tensor, sigma: Tensor) -> Tensor:
    """V from p(v | h), (N, D).

    Example:
        >>> draw_visible(torch.zeros(5, 2), torch.ones(())).shape
        torch.Size([5, 2])
    """
    return torch.addcmul(mean, sigma, torch.randn_like(mean))


def draw_logits(mean: Tensor, root: Tensor) -> Tensor:
    """Hidden logits of v from p(v | h), (N, H), around their mean; `root` is that of their covariance.

    Example:
        >>> draw_logits(torch.zeros(5, 3), torch.eye(3)).shape
        torch.Size([5, 3])
    """
    return torch.addmm(mean, torch.randn_like(mean), root.T)


def _gram(weight: Tensor) -> tuple[Tensor, Tensor]:
    """G = W W^T and L with L L^T = G; a multiple of the rounding error on G's diagonal lets filters be alike."""
    # a GPU may multiply 32-bit numbers in 19 bits, after which G can have no root
    wide = weight.to(torch.float64 if weight.is_cuda else torch.promote_types(weight.dtype, torch.float32))
    gram = wide @ wide.T
    jitter = 10 * torch.finfo(wide.dtype).eps * gram.trace()
    root = torch.linalg.cholesky_ex(gram + jitter * torch.eye(len(gram), dtype=wide.dtype, device=wide.device))[0]
    return gram.to(weight.dtype), root.to(weight.dtype)


def log_partition(rbm: RBM, chunk: int = 2**16) -> Tensor:
    """Log Z by summing over all 2^H hidden states, a scalar; gradients pass. Equation (7).

    Args:
        rbm: the parameters, H at most 20.
        chunk: states held in memory at once.

    Raises:
        ValueError: H is above 20.

    Example:
        >>> rbm = RBM(torch.zeros(3, 2), torch.zeros(2), torch.zeros(3), torch.ones(()))
        >>> log_partition(rbm)  # log(2^3 * 2 pi)
        tensor(3.9173)
    """
    hidden_dim, dim = rbm.weight.shape
    if hidden_dim > MAX_ENUMERATED:
        raise ValueError(
            f"log Z by enumeration sums over 2^hidden_dim states: hidden_dim must be at most {MAX_ENUMERATED}, got "
            f"{hidden_dim}; use log_partition_ais"
        )
    bias = rbm.hidden_bias + rbm.weight @ (rbm.visible_bias / rbm.sigma)  # (H,)
    gram = rbm.weight @ rbm.weight.T  # (H, H)
    # h = (left, right): the exponent is a term of each half and a product of both, so 2^H terms cost a small matmul
    half = hidden_dim // 2
    left, right = _states(half, bias.dtype, bias.device), _states(hidden_dim - half, bias.dtype, bias.device)
    of_left = left @ bias[:half] + (left @ gram[:half, :half] * left).sum(1) / 2  # (2^half,)
    of_right = right @ bias[half:] + (right @ gram[half:, half:] * right).sum(1) / 2
    both = gram[:half, half:] @ right.T  # (half, 2^(H - half))
    rows = max(1, chunk // len(right))
    parts = [
        (some[:, None] + of_right + states @ both).flatten().logsumexp(0)
        for some, states in zip(of_left.split(rows), left.split(rows), strict=True)
    ]
    return torch.stack(parts).logsumexp(0) + gaussian_log_partition(rbm.sigma, dim)


def gaussian_log_partition(sigma: Tensor, dim: int) -> Tensor:
    """Logarithm of the integral of exp(-sum_i v_i^2 / (2 sigma_i^2)) over `dim` visible units, a scalar.

    Example:
        >>> gaussian_log_partition(torch.ones(()), 2)  # log(2 pi)
        tensor(1.8379)
    """
    return sigma.log().expand(dim).sum() + dim / 2 * math.log(2 * math.pi)


@lru_cache(maxsize=8)
def _states(units: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """All states of so many binary units, (2^units, units)."""
    with torch.inference_mode(False):  # kept, and used in training too, whoever asks first
        numbers = torch.arange(2**units, device=device)
        return (numbers[:, None] >> torch.arange(units, device=device) & 1).to(dtype)
