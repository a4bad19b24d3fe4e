"""Choosing pairs of images by their labels."""

import torch
from torch import Tensor


def image_pairs(labels: Tensor, count: int, same_class: bool = False, seed: int = 0) -> Tensor:
    """Up to `count` random pairs of different images, (count, 2) indices; no image is in two pairs.

    Args:
        labels: (N,) class indices.
        count: pairs asked for; there are fewer where the images run out.
        same_class: pairs of one class each, and no others; otherwise pairs of different classes, and of one class only
            where no image of another is left.
        seed: decides the pairs.

    Example:
        >>> labels = torch.tensor([0, 0, 1, 1])
        >>> labels[image_pairs(labels, count=2)].diff(dim=1).abs()
        tensor([[1],
                [1]])
        >>> labels[image_pairs(labels, count=2, same_class=True)].diff(dim=1)
        tensor([[0],
                [0]])
    """
    classes = labels.tolist()
    left = torch.randperm(len(classes), generator=torch.Generator().manual_seed(seed)).tolist()
    pairs: list[tuple[int, int]] = []
    while len(left) > 1 and len(pairs) < count:
        start = left.pop(0)
        fitting = [other for other in left if (classes[other] == classes[start]) == same_class]
        if fitting or not same_class:
            end = (fitting or left)[0]
            left.remove(end)
            pairs.append((start, end))
    return torch.tensor(pairs, dtype=torch.int64).reshape(-1, 2)
