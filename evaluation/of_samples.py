"""What a report says of samples, whoever made them."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from evaluation.classes import agreement, class_counts, total_variation
from evaluation.distances import frechet_at_infinity, frechet_estimate, kernel_distance
from evaluation.estimate import Estimate, random_rows
from evaluation.neighbours import nearest, neighbourhoods, share_of_copies, two_sample_accuracy
from evaluation.reference import Reference, checked_images

_QUANTILE = 0.01  # of test images that count as near to the training images
PAIRS = 12  # shown


class SampleFigures(NamedTuple):
    """Figures of a set of samples, and the pairs that lie nearest to training images.

    Attributes:
        figures: estimates by name.
        counts: how many samples of each class a classifier sees.
        nearest: (12, C, H, W), the samples nearest to training images; and those, in the same order.

    Example:
        >>> SampleFigures({}, [1, 2], (torch.zeros(0), torch.zeros(0))).counts
        [1, 2]
    """

    figures: dict[str, Estimate]
    counts: list[int]
    nearest: tuple[Tensor, Tensor]


def measure_samples(
    images: Tensor,
    reference: Reference,
    copy_threshold: float,
    asked: Tensor | None = None,
    n_neighbours: int = 2000,
    n_copies: int = 1000,
    seed: int = 0,
) -> SampleFigures:
    """Everything that can be said of samples beside real images.

    Args:
        images: (N, C, H, W) in [0, 1], the samples.
        reference: the data, with a classifier.
        copy_threshold: see `copy_threshold`.
        asked: (N,) classes that a conditional model was asked for.
        n_neighbours: samples and real images for figures of neighbours; all where there are fewer.
        n_copies: samples that are compared with each training image; all where there are fewer.
        seed: of the subsets.

    Returns:
        Of `figures`: "fd", "fd_infinity", "kd", "precision", "recall", "density", "coverage", "nn_samples", "nn_real",
        "total_variation", "class_agreement" (where classes were asked for) and "copies".

    Raises:
        ValueError: `reference` has no classifier.

    Example:
        >>> measure_samples(torch.rand(4, 1, 8, 8), Reference(*[torch.zeros(0)] * 4), 0.1)
        Traceback (most recent call last):
        ValueError: samples are measured in the features of a classifier, and there is none: give data with classes
    """
    if reference.classifier is None:
        raise ValueError(
            "samples are measured in the features of a classifier, and there is none: give data with classes"
        )
    features, labels = reference.features_of(images), reference.classes_of(images)
    real = reference.features
    distance = frechet_estimate(features, real, seed)
    figures = {
        "fd": distance,
        "fd_infinity": frechet_at_infinity(features, real, seed, distance),
        "kd": kernel_distance(features, real),
    }
    some = min(n_neighbours, len(features), len(real))
    few, few_real = features[random_rows(len(features), some, seed)], real[random_rows(len(real), some, seed + 1)]
    figures |= neighbourhoods(few, few_real)._asdict()
    figures["nn_samples"], figures["nn_real"] = two_sample_accuracy(few, few_real)
    classes = len(reference.class_names)
    difference = total_variation(labels, reference.test_labels if asked is None else asked, classes)
    figures["total_variation"] = Estimate(difference, None, len(images))
    if asked is not None:
        figures["class_agreement"] = agreement(labels, asked)
    compared = images[random_rows(len(images), min(n_copies, len(images)), seed)]
    figures["copies"], distances, indices = share_of_copies(compared, reference.train, copy_threshold)
    order = distances.argsort(stable=True)[:PAIRS]
    pairs = compared[order], reference.floats("train", indices[order])
    return SampleFigures(figures, class_counts(labels, classes), pairs)


def copy_threshold(reference: Reference) -> float:
    """Distance to the nearest training image that 1% of the test images are below.

    Example:
        >>> images = torch.rand(30, 1, 2, 2)
        >>> copy_threshold(Reference(images, torch.zeros(30), images[:9], torch.zeros(9))) < 1e-3
        True
    """
    return float(nearest(reference.test, reference.train)[0].quantile(_QUANTILE))


def draw_samples(model: Any, n: int, seed: int = 0, train_labels: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
    """`n` samples of a model in random order, (n, C, H, W), and the classes that a conditional model was asked for.

    Args:
        model: has `sample(n, y)`.
        n: samples.
        seed: of order and noise.
        train_labels: (N,), whose shares of the classes are asked for, as a model without classes would have learned
            them; None for equally many of each.

    Raises:
        ValueError: a sample is no image in [0, 1]; NaN is none.

    Example:
        >>> class Model:
        ...     def sample(self, n, y=None):
        ...         return torch.rand(n, 1, 2, 2)
        >>> draw_samples(Model(), 3)[0].shape
        torch.Size([3, 1, 2, 2])
    """
    asked = None
    if getattr(model, "conditional", False):
        classes = torch.arange(model.num_classes) if train_labels is None else train_labels.sort().values
        evenly = (2 * torch.arange(n) + 1) * len(classes) // (2 * n)
        asked = classes[evenly][random_rows(n, n, seed)]
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        parts = [model.sample(len(rows), None if asked is None else asked[rows]) for rows in torch.arange(n).split(500)]
    return checked_images(torch.cat(parts).float(), "samples"), asked
