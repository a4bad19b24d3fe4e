"""What a report says of reconstructions, codes and likelihoods, by the verbs that a model answers."""

from typing import Any

import torch
from torch import Tensor

from evaluation.codes import draws_estimate, pca_errors, probe_accuracy
from evaluation.distances import frechet_estimate
from evaluation.estimate import Estimate, mean_estimate, random_rows
from evaluation.knn_accuracy import knn_accuracy
from evaluation.reference import Reference, checked_images, in_parts

_NEIGHBOURS = 10
_ACTIVE = 0.01  # variance of a unit's mean over images from which it counts, as Burda et al. have it


def measure_reconstructions(model: Any, reference: Reference, seed: int = 0) -> dict[str, Estimate]:
    """Errors of reconstructions of all test images.

    Args:
        model: has `reconstruct(x, y)`, and `encode(x, y)` where its codes are to be counted.
        reference: the data.
        seed: of what the model draws, and of the error of the distance.

    Returns:
        "mse" per pixel in [0, 1] units; "pca_mse", of principal components of as many numbers as the code has (where
        the model encodes); "reconstruction_fd" (where there is a classifier): distance of their features from the test
        images'.

    Example:
        >>> class Copies:
        ...     def reconstruct(self, x, y=None):
        ...         return x
        >>> images = torch.rand(5, 1, 2, 2)
        >>> measure_reconstructions(Copies(), Reference(*[images, torch.zeros(5)] * 2))["mse"].value
        0.0
    """
    x, y = reference.floats("test"), reference.test_labels
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        restored = checked_images(in_parts(model.reconstruct, x, y), "reconstructions")
    figures = {"mse": mean_estimate((restored - x).square().flatten(1).mean(1))}
    if hasattr(model, "encode"):
        width = in_parts(model.encode, x[:2], y[:2]).shape[1]
        figures["pca_mse"] = mean_estimate(pca_errors(reference.train, reference.test, width))
    if reference.classifier is not None:
        figures["reconstruction_fd"] = frechet_estimate(reference.features_of(restored), reference.features, seed)
    return figures


def measure_codes(
    model: Any, reference: Reference, draws: int = 3, n_labels: int = 5000, seed: int = 0
) -> dict[str, Estimate]:
    """How well codes tell the classes apart, and how many units take part.

    Args:
        model: has `encode(x, y)`; with `untrained()` its architecture with random weights is measured too.
        reference: the data, with classes.
        draws: sets of labelled training images that a linear probe is fitted to.
        n_labels: images in each; all where there are fewer.
        seed: of the sets.

    Returns:
        "probe" and "probe_untrained": test accuracy of logistic regression on codes, over the draws. "knn": accuracy of
        the 10 nearest neighbours among the codes of the test split, each left out of its own. "active_units" of a model
        with a prior (`unit_kl`): those whose mean varies by more than 0.01 over the test images.

    Example:
        >>> class Sums:
        ...     def encode(self, x, y=None):
        ...         return x.sum((1, 2, 3)).unsqueeze(1)
        >>> images, labels = torch.rand(20, 1, 2, 2), torch.arange(20) % 2
        >>> list(measure_codes(Sums(), Reference(images, labels, images, labels, ("a", "b"))))
        ['probe', 'knn']
    """
    figures = {"probe": _probe(model, reference, draws, n_labels, seed)}
    if hasattr(model, "untrained"):
        figures["probe_untrained"] = _probe(model.untrained(), reference, draws, n_labels, seed)
    codes, labels = in_parts(model.encode, reference.floats("test"), reference.test_labels), reference.test_labels
    hits = knn_accuracy(codes.numpy(), labels.numpy(), _NEIGHBOURS)
    figures["knn"] = Estimate(hits, (hits * (1 - hits) / len(labels)) ** 0.5, len(labels))
    if hasattr(model, "unit_kl"):
        figures["active_units"] = Estimate(float((codes.double().var(0) > _ACTIVE).sum()), None, len(codes))
    return figures


def measure_pixels(reference: Reference, draws: int = 3, n_labels: int = 5000, seed: int = 0) -> dict[str, Estimate]:
    """The same figures of the pixels themselves: what a code has to be better than.

    Example:
        >>> images, labels = torch.rand(20, 1, 2, 2), torch.arange(20) % 2
        >>> list(measure_pixels(Reference(images, labels, images, labels, ("a", "b"))))
        ['probe', 'knn']
    """
    return measure_codes(_Pixels(), reference, draws, n_labels, seed)


def measure_likelihood(
    model: Any, reference: Reference, n: int = 1000, draws: int = 500, seed: int = 0
) -> tuple[Estimate, dict[str, Any]]:
    """Mean log-likelihood of random test images, in nats per image, and how it was found.

    Args:
        model: has `estimate_likelihood(x, y, draws)`.
        reference: the data.
        n: images, at most those of the test split.
        draws: codes for each image, where the model needs them.
        seed: of images and draws.

    Returns:
        The estimate, whose error is over the images and the estimator's own; and "unit", "method", "draws",
        "effective_sample_size" and "gain", see `lit_models.functional.likelihood`.

    Raises:
        ValueError: a log-likelihood is not finite.
    """
    x, y = reference.draw("test", n, seed)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        found = model.estimate_likelihood(x, y, draws)
    if not found.log_likelihood.isfinite().all():
        raise ValueError("the log-likelihood of some image is not finite: training diverged, or a variance is 0")
    over_images = mean_estimate(found.log_likelihood)
    error = ((over_images.error or 0.0) ** 2 + found.error**2) ** 0.5
    how = {name: getattr(found, name) for name in ("unit", "method", "draws", "effective_sample_size", "gain")}
    return over_images._replace(error=error), how


class _Pixels:
    """Codes that are the pixels."""

    def encode(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return x.flatten(1)


def _probe(model: Any, reference: Reference, draws: int, n_labels: int, seed: int) -> Estimate:
    test = in_parts(model.encode, reference.floats("test"), reference.test_labels)
    accuracies = []
    for draw in range(draws):
        rows = random_rows(len(reference.train), min(n_labels, len(reference.train)), seed + draw)
        labels = reference.train_labels[rows]
        codes = in_parts(model.encode, reference.floats("train", rows), labels)
        accuracies.append(probe_accuracy(codes, labels, test, reference.test_labels))
    return draws_estimate(accuracies, len(test))
