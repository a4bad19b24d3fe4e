"""Cutting a labelled data set into train and validation, and taking a labelled fraction of it."""

import torch
from torch import Tensor


def train_val_indices(size: int, val_fraction: float, seed: int) -> tuple[Tensor, Tensor]:
    """Random disjoint (train, validation) indices that together are 0 .. size - 1, decided by `seed` alone.

    Validation takes `round(val_fraction * size)` images. Both are sorted: order within a split carries no meaning.

    Example:
        >>> train, val = train_val_indices(10, val_fraction=0.2, seed=0)
        >>> len(train), len(val)
        (8, 2)
    """
    order = torch.randperm(size, generator=torch.Generator().manual_seed(seed))
    val_size = round(val_fraction * size)
    return order[val_size:].sort().values, order[:val_size].sort().values


def stratified_subset(labels: Tensor, fraction: float, seed: int) -> Tensor:
    """Sorted indices of `fraction` of each class (at least one image of each), decided by `seed` alone.

    Args:
        labels: (N,) class indices.
        fraction: share of each class to keep, in (0, 1].
        seed: decides which images are kept.

    Example:
        >>> stratified_subset(torch.tensor([0, 0, 0, 0, 1, 1]), fraction=0.5, seed=0).shape
        torch.Size([3])
    """
    generator = torch.Generator().manual_seed(seed)
    kept = []
    for label in labels.unique():
        members = (labels == label).nonzero().flatten()
        count = max(1, round(fraction * len(members)))
        kept.append(members[torch.randperm(len(members), generator=generator)[:count]])
    return torch.cat(kept).sort().values
