"""Losses of the two players of a generative adversarial network, from the discriminator's logits.

D(x) = sigmoid(logit). Every logarithm of a probability is a softplus of the logit: nothing saturates, no epsilon.

Each loss is a mean over the batch, to be minimized by its player. Sources: "minimax" and "non_saturating":
I. Goodfellow et al., arXiv:1406.2661, equation 1 and section 3; "hinge": J. H. Lim, J. C. Ye, arXiv:1705.02894;
"least_squares": X. Mao et al., arXiv:1611.04076, equation 9 with targets 0 and 1; "wasserstein", where D is a critic
and its value no logit: M. Arjovsky, S. Chintala, L. Bottou, arXiv:1701.07875.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import relu, softplus

LOSSES = ("minimax", "non_saturating", "hinge", "least_squares", "wasserstein")


def discriminator_loss(real: Tensor, generated: Tensor, loss: str) -> Tensor:
    """What D minimizes, a scalar.

    Args:
        real: logits of real images, any shape.
        generated: logits of generated images, any shape.
        loss: one of `LOSSES`; "minimax" and "non_saturating" are the same here, -(E log D(x) + E log(1 - D(G(z)))).

    Raises:
        ValueError: `loss` is none of them.

    Example:
        >>> discriminator_loss(torch.zeros(2), torch.zeros(2), "minimax")
        tensor(1.3863)
    """
    if loss in ("minimax", "non_saturating"):
        return softplus(-real).mean() + softplus(generated).mean()
    if loss == "hinge":
        return relu(1 - real).mean() + relu(1 + generated).mean()
    if loss == "least_squares":
        return 0.5 * (real - 1).square().mean() + 0.5 * generated.square().mean()
    if loss == "wasserstein":
        return generated.mean() - real.mean()
    raise ValueError(f"loss must be one of {list(LOSSES)}, got {loss!r}")


def generator_loss(generated: Tensor, loss: str) -> Tensor:
    """What G minimizes, a scalar.

    Args:
        generated: logits of generated images, any shape.
        loss: one of `LOSSES`. "minimax" is E log(1 - D(G(z))), the other player's objective with its sign turned, and
            may be negative; "non_saturating" is -E log D(G(z)).

    Raises:
        ValueError: `loss` is none of them.

    Example:
        >>> generator_loss(torch.zeros(2), "non_saturating")
        tensor(0.6931)
    """
    if loss == "minimax":
        return -softplus(generated).mean()
    if loss == "non_saturating":
        return softplus(-generated).mean()
    if loss == "hinge":
        return -generated.mean()
    if loss == "least_squares":
        return 0.5 * (generated - 1).square().mean()
    if loss == "wasserstein":
        return -generated.mean()
    raise ValueError(f"loss must be one of {list(LOSSES)}, got {loss!r}")


def gradient_penalty_term(critic: Callable[[Tensor], Tensor], real: Tensor, generated: Tensor) -> Tensor:
    """Mean of (|gradient of the critic| - 1)^2 at random points between real and generated images, a scalar.

    Args:
        critic: images (N, ...) to one value each, (N,); each value must depend on its image alone.
        real: (N, ...) images.
        generated: (N, ...) images, as many.

    Source: I. Gulrajani et al., arXiv:1704.00028, equation 3, without its weight.

    Example:
        >>> gradient_penalty_term(lambda x: 3 * x.flatten(1).sum(1), torch.zeros(2, 1), torch.ones(2, 1))
        tensor(4.)
    """
    share = torch.rand(len(real), *[1] * (real.ndim - 1), device=real.device, dtype=real.dtype)
    between = torch.lerp(real.detach(), generated.detach().to(real.dtype), share).requires_grad_()
    with torch.enable_grad():
        (gradient,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
    return (gradient.flatten(1).norm(dim=1) - 1).square().mean()


def mean_pairwise_distance(images: Tensor) -> Tensor:
    """Mean Euclidean distance between two different images of a batch, a scalar in pixel units.

    Args:
        images: (N, ...) with N at least 2.

    Example:
        >>> mean_pairwise_distance(torch.tensor([[0.0, 0.0], [3.0, 4.0]]))
        tensor(5.)
    """
    flat = images.flatten(1)
    n = len(flat)
    squares = flat.square().sum(1)
    distances = (squares[:, None] + squares[None, :] - 2 * flat @ flat.T).clamp(min=0).sqrt()  # (N, N)
    return distances.sum() / (n * (n - 1))


def sliced_wasserstein(real: Tensor, generated: Tensor, projections: Tensor) -> Tensor:
    """Distance between two sets of images: mean over directions of the 1-Wasserstein distance of their projections.

    Args:
        real: (N, ...) images.
        generated: (N, ...) images, as many.
        projections: (D, P) directions, a column each, of unit length; D is the number of values of an image.

    Returns:
        Scalar, at least 0, in pixel units; 0 for equal sets.

    Source: J. Rabin et al., "Wasserstein barycenter and its application to texture mixing", 2011, on pixels.

    Example:
        >>> sliced_wasserstein(torch.zeros(3, 2), torch.ones(3, 2), torch.eye(2))
        tensor(1.)
    """
    sorted_real = (real.flatten(1) @ projections).sort(0).values  # (N, P)
    sorted_generated = (generated.flatten(1) @ projections).sort(0).values  # (N, P)
    return (sorted_real - sorted_generated).abs().mean()
