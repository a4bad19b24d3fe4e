"""Draws made of given noise, so that a program without random numbers of its own can repeat them."""

from torch import Tensor


def exponential_race(probabilities: Tensor, noise: Tensor) -> Tensor:
    """Draw an index for each row, with these probabilities, (N,): the first to arrive in a race.

    Times from Exponential(1) are divided by the probabilities; the k-th is the smallest with the k-th probability.

    Args:
        probabilities: (N, K) or (K,), at least 0; their sum does not matter.
        noise: (N, K), above 0, from Exponential(1).

    Source: it is the Gumbel-max trick, on another scale: C. J. Maddison, D. Tarlow, T. Minka, arXiv:1411.0030.

    Example:
        >>> import torch
        >>> exponential_race(torch.tensor([[0.1, 0.9], [1.0, 0.0]]), torch.ones(2, 2))
        tensor([1, 0])
    """
    return (probabilities / noise).argmax(1)
