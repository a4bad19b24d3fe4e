"""The data that models are measured against: real images, and their features in a classifier's eyes."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from evaluation.estimate import random_rows

_CHUNK = 500  # images at a time


@dataclass(frozen=True)
class Reference:
    """Real images of one data set, split as a run has them.

    Attributes:
        train: (N, C, H, W) bytes or floats in [0, 1]: what the models were trained on.
        train_labels: (N,).
        test: (M, C, H, W) of the same kind.
        test_labels: (M,).
        class_names: K names; () for data without classes, which have no classifier.
        classifier: has `encode(x)` and `classify(x)`; None where there is none.
        pixel_classes: names of the classes of pixels, where the labels are masks.
        class_colors: (R, G, B), 0 .. 255, of each of them, where the data name colours.

    Example:
        >>> images, labels = torch.rand(4, 1, 8, 8), torch.tensor([0, 1, 0, 1])
        >>> Reference(images, labels, images, labels, ("a", "b")).floats("test").shape
        torch.Size([4, 1, 8, 8])
    """

    train: Tensor
    train_labels: Tensor
    test: Tensor
    test_labels: Tensor
    class_names: tuple[str, ...] = ()
    classifier: Any = None
    pixel_classes: tuple[str, ...] = ()
    class_colors: tuple[tuple[int, int, int], ...] = ()
    _seen: dict[str, Any] = field(default_factory=dict, repr=False)

    def floats(self, split: str, rows: Tensor | None = None) -> Tensor:
        """Images of "train" or "test" in [0, 1] as float32; all, or those of the given rows."""
        images = self.train if split == "train" else self.test
        chosen = images if rows is None else images[rows]
        return unit_range(chosen)

    def draw(self, split: str, n: int, seed: int) -> tuple[Tensor, Tensor]:
        """`n` random images in [0, 1] of a split, and their labels.

        Raises:
            ValueError: the split holds fewer.
        """
        labels = self.train_labels if split == "train" else self.test_labels
        rows = random_rows(len(labels), n, seed)
        return self.floats(split, rows), labels[rows]

    def with_test(self, rows: Tensor) -> "Reference":
        """The same with some of the test images alone."""
        return replace(self, test=self.test[rows], test_labels=self.test_labels[rows], _seen={})

    @property
    def features(self) -> Tensor:
        """The classifier's features of all test images in random order, (M, D)."""
        if "features" not in self._seen:
            images, _ = self.draw("test", len(self.test), seed=0)
            self._seen["features"] = self.features_of(images)
        return self._seen["features"]

    def features_of(self, images: Tensor) -> Tensor:
        """The classifier's features, (N, D), of images (N, C, H, W) in [0, 1]."""
        return in_parts(self.classifier.encode, images)

    def classes_of(self, images: Tensor) -> Tensor:
        """The likeliest class, (N,), of images (N, C, H, W) in [0, 1]."""
        return in_parts(self.classifier.classify, images).argmax(1)


def unit_range(images: Tensor) -> Tensor:
    """Images as float32 in [0, 1]: bytes are divided by 255, floats stay.

    Example:
        >>> unit_range(torch.tensor([255], dtype=torch.uint8)), unit_range(torch.tensor([0.5]))
        (tensor([1.]), tensor([0.5000]))
    """
    return images.float().div(255) if images.dtype == torch.uint8 else images.float()


def in_parts(function: Callable[..., Tensor], images: Tensor, *labels: Tensor | None) -> Tensor:
    """What a function makes of images, and of labels where they are given, in parts; float32, without gradients.

    Example:
        >>> in_parts(lambda x: 2 * x, torch.ones(3, 1)).squeeze().tolist()
        [2.0, 2.0, 2.0]
    """
    found = []
    with torch.no_grad():
        for rows in torch.arange(len(images)).split(_CHUNK):
            found.append(function(images[rows], *(None if y is None else y[rows] for y in labels)).float())
    return torch.cat(found)


def checked_images(images: Tensor, name: str) -> Tensor:
    """The images, where all are in [0, 1].

    Raises:
        ValueError: a value is NaN or outside.

    Example:
        >>> checked_images(torch.tensor([0.5, float("nan")]), "samples")
        Traceback (most recent call last):
        ValueError: samples must be in [0, 1], and 1 of 2 images are not: the model diverged, or scales them otherwise
    """
    good = ((images >= 0) & (images <= 1)).flatten(1).all(1) if images.ndim > 1 else (images >= 0) & (images <= 1)
    if not good.all():
        raise ValueError(
            f"{name} must be in [0, 1], and {int((~good).sum())} of {len(good)} images are not: the model diverged, or "
            "scales them otherwise"
        )
    return images
