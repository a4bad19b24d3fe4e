"""What a model says about the log-likelihood of images, and how far it can be trusted."""

from typing import NamedTuple

from torch import Tensor


class LikelihoodEstimate(NamedTuple):
    """Log-likelihood of each image by the best way that a model has.

    Attributes:
        log_likelihood: (N,) nats.
        unit: "density" over [0, 1] pixels, or "Bernoulli" for probabilities of binary images; the two cannot be
            compared. Bernoulli nats of grey images are no density: they order models, and nothing more.
        method: "exact", "importance-weighted bound" (too low on average) or "annealed importance sampling" (too high
            on average, since its estimate of log Z is too low).
        draws: codes for each image, or chains; None where exact.
        effective_sample_size: how many of them count, on average; None where exact.
        error: standard error, in nats, that all images share (of log Z); 0 where there is none.
        gain: by how many nats the last doubling of the draws raised the mean; None where there are no draws to double.

    Example:
        >>> import torch
        >>> LikelihoodEstimate(torch.tensor([-88.0]), "Bernoulli", "exact").error
        0.0
    """

    log_likelihood: Tensor
    unit: str
    method: str
    draws: int | None = None
    effective_sample_size: float | None = None
    error: float = 0.0
    gain: float | None = None
