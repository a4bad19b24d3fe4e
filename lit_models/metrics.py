"""Metrics of a whole epoch, summed on the device at each step and read once, over all processes.

torchmetrics runs `update` without gradients; states are added to in place, which is the cheapest.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torchmetrics import Metric

from lit_models.functional.elbo import count_active_units
from lit_models.functional.precision import wide

_SETTLED_LOGIT = math.log(99)  # of the probability 0.99


class EpochFigure(Metric):
    """Sums over an epoch that are added to in place, in float32 or wider whatever the model's precision.

    Example:
        >>> issubclass(EpochMeans, EpochFigure)
        True
    """

    full_state_update = False
    count: Tensor

    def widen(self) -> None:
        """Convert the sums back to float32 after the model was converted to 16 bits."""
        if self.count.dtype in (torch.float16, torch.bfloat16):
            self.set_dtype(torch.float32)


def reset(metric: Metric) -> None:
    """Begin a metric anew with ordinary tensors, where inference mode is on too: a later fit could not add to its own.

    Example:
        >>> means = EpochMeans(["loss"])
        >>> with torch.inference_mode():
        ...     reset(means)
        >>> means.update([torch.tensor(1.0)], n=3)
    """
    with torch.inference_mode(False):
        metric.reset()


class EpochMeans(EpochFigure):
    """Means over the images of an epoch, each image with the same weight, however the batches were cut.

    One addition a step instead of one `self.log` a figure and step: nothing is read back before the epoch ends.

    Args:
        names: what is averaged, in the order that `update` gets it.

    Example:
        >>> means = EpochMeans(["loss"])
        >>> means.update([torch.tensor(1.0)], n=3)
        >>> means.update([torch.tensor(5.0)], n=1)
        >>> means.compute()
        {'loss': tensor(2.)}
    """

    total: Tensor

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__()
        self.names = tuple(names)
        self.add_state("total", torch.zeros(len(self.names)), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros(()), dist_reduce_fx="sum")

    def update(self, means: Sequence[Tensor], n: int) -> None:
        """Add a batch: scalar means over its `n` images, one a name."""
        self.widen()
        self.total.add_(torch.stack(tuple(means)), alpha=n)
        self.count.add_(n)

    def compute(self) -> dict[str, Tensor]:
        """Scalar mean over all images so far, by name."""
        return dict(zip(self.names, (self.total / self.count), strict=True))


class RSquared(EpochFigure):
    """Share of the targets' variance over an epoch that predictions explain: 1 - squared errors / squared deviations.

    Of several targets squares are summed. Targets that are all the same have no variance: then it is 1 where every
    prediction is right, else 0.

    Args:
        width: M, number of targets.

    Example:
        >>> r2 = RSquared(1)
        >>> r2.update(torch.tensor([[1.0], [0.0]]), torch.tensor([[-1.0], [1.0]]))
        >>> r2.compute()
        tensor(0.5000)
    """

    error: Tensor
    total: Tensor
    total_square: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.add_state("error", torch.zeros(()), dist_reduce_fx="sum")
        self.add_state("total", torch.zeros(width), dist_reduce_fx="sum")
        self.add_state("total_square", torch.zeros(()), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros(()), dist_reduce_fx="sum")

    def update(self, errors: Tensor, y: Tensor) -> None:
        """Add errors (N, M) and targets (N, M) minus a constant near their mean, or rounding would take the digits."""
        self.widen()
        self.error.add_(errors.square().sum())
        self.total.add_(y.sum(0))
        self.total_square.add_(y.square().sum())
        self.count.add_(len(y))

    def compute(self) -> Tensor:
        """Scalar, at most 1."""
        deviations = self.total_square - (self.total.square() / self.count).sum()
        explained = 1 - self.error / deviations
        return torch.where(deviations > 0, explained, (self.error == 0).to(explained.dtype))


class ActiveUnits(EpochFigure):
    """Number of active latent units over an epoch, see `functional.elbo.count_active_units`.

    Args:
        latent_dim: D.

    Example:
        >>> active = ActiveUnits(2)
        >>> active.update(torch.tensor([[1.0, 0.0], [-1.0, 0.0]]))
        >>> active.compute()
        tensor(1.)
    """

    total: Tensor
    total_square: Tensor

    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        self.add_state("total", torch.zeros(latent_dim), dist_reduce_fx="sum")
        self.add_state("total_square", torch.zeros(latent_dim), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros(()), dist_reduce_fx="sum")

    def update(self, mu: Tensor) -> None:
        """Add a batch of posterior means, (N, D)."""
        self.widen()
        mu = wide(mu)
        self.total.add_(mu.sum(0))
        self.total_square.add_(mu.square().sum(0))
        self.count.add_(len(mu))

    def compute(self) -> Tensor:
        """Scalar count, as a float so that it can be logged."""
        return count_active_units(self.total / self.count, self.total_square / self.count).float()


class HiddenUnits(EpochFigure):
    """Mean activation of binary hidden units over an epoch, and the share of settled ones.

    A probability is settled where it is below 0.01 or above 0.99.

    Args:
        hidden_dim: H.

    Example:
        >>> units = HiddenUnits(2)
        >>> units.update(torch.tensor([[0.0, 9.0]]))
        >>> units.compute()["saturated_share"]
        tensor(0.5000)
    """

    activation: Tensor  # of each unit, over all processes, when last computed
    total: Tensor
    settled: Tensor

    def __init__(self, hidden_dim: int) -> None:
        super().__init__()
        self.add_state("total", torch.zeros(hidden_dim), dist_reduce_fx="sum")
        self.add_state("settled", torch.zeros(()), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros(()), dist_reduce_fx="sum")

    def update(self, logits: Tensor) -> None:
        """Add a batch of logits of p(h = 1 | v), (N, H)."""
        self.widen()
        logits = wide(logits)
        self.total.add_(logits.sigmoid().sum(0))
        self.settled.add_((logits.abs() > _SETTLED_LOGIT).sum())
        self.count.add_(len(logits))

    def compute(self) -> dict[str, Tensor]:
        """Mean over units, and the share of (image, unit) pairs that are settled; sets `activation`, (H,)."""
        self.activation = self.total / self.count
        share = self.settled / (self.count * len(self.total))
        return {"hidden_activation": self.activation.mean(), "saturated_share": share}
