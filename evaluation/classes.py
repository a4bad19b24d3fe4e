"""Which classes a classifier sees among samples."""

from torch import Tensor

from evaluation.estimate import Estimate, share_estimate


def class_counts(labels: Tensor, num_classes: int) -> list[int]:
    """How many of each class there are.

    Args:
        labels: (N,) from 0 to K - 1.
        num_classes: K.

    Example:
        >>> class_counts(torch.tensor([2, 0, 2]), 3)
        [1, 0, 2]
    """
    return labels.bincount(minlength=num_classes).tolist()


def total_variation(labels: Tensor, reference: Tensor, num_classes: int) -> float:
    """Half the summed difference of two distributions of classes: 0 where they are equal, 1 where they share no class.

    Args:
        labels: (N,) from 0 to K - 1.
        reference: (M,) from 0 to K - 1.
        num_classes: K.

    Example:
        >>> total_variation(torch.tensor([0, 0]), torch.tensor([0, 1]), 2)
        0.5
    """
    shares = [given.bincount(minlength=num_classes).double() / len(given) for given in (labels, reference)]
    return float((shares[0] - shares[1]).abs().sum() / 2)


def agreement(labels: Tensor, asked: Tensor) -> Estimate:
    """Share of samples that a classifier takes for the class that was asked for.

    Example:
        >>> agreement(torch.tensor([1, 1]), torch.tensor([1, 2])).value
        0.5
    """
    return share_estimate(labels == asked)
