"""What codes keep of the classes, by a linear probe, and of the images, beside principal components."""

import warnings

import numpy as np
import torch
from torch import Tensor

from evaluation.estimate import Estimate
from evaluation.reference import unit_range

_ITERATIONS = 200
_MANY_PIXELS = 4096  # whose covariance takes a minute


def probe_accuracy(train: Tensor, train_labels: Tensor, test: Tensor, test_labels: Tensor) -> float:
    """Test accuracy of multinomial logistic regression on standardized codes.

    Args:
        train: (N, D) codes.
        train_labels: (N,) whole numbers, at least two classes.
        test: (M, D) codes, standardized by mean and deviation of `train`.
        test_labels: (M,).

    Source: scikit-learn's `LogisticRegression` with its default L2 term, 200 iterations at most.

    Example:
        >>> codes = torch.tensor([[0.0], [1.0], [10.0], [11.0]])
        >>> probe_accuracy(codes, torch.tensor([0, 0, 1, 1]), codes, torch.tensor([0, 0, 1, 0]))
        0.75
    """
    # here, since every start of every command would wait for it
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    mean, deviation = train.double().mean(0), train.double().std(0)
    deviation = torch.where(deviation > 0, deviation, torch.ones_like(deviation))
    inputs, held_out = (((codes.double() - mean) / deviation).numpy() for codes in (train, test))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        probe = LogisticRegression(max_iter=_ITERATIONS, tol=1e-3).fit(inputs, train_labels.numpy())
    return float(probe.score(held_out, test_labels.numpy()))


def draws_estimate(accuracies: list[float], examples: int) -> Estimate:
    """Mean accuracy over repeated draws of training images, on one test split.

    Its standard error is that over the draws and, since all of them share the test images, that of a share of these.

    Args:
        accuracies: one for each draw.
        examples: test images.

    Example:
        >>> draws_estimate([0.5, 0.5], 100)
        Estimate(value=0.5, error=0.05, n=100)
    """
    mean = float(np.mean(accuracies))
    of_draws = float(np.var(accuracies, ddof=1)) / len(accuracies) if len(accuracies) > 1 else 0.0
    return Estimate(mean, (of_draws + mean * (1 - mean) / examples) ** 0.5, examples)


def pca_errors(train: Tensor, test: Tensor, components: int) -> Tensor:
    """Squared error per pixel of each test image, (M,), in the best linear code of so many numbers of the train split.

    Reconstructions are cut to [0, 1], as those of models are, which can only bring them nearer.

    Args:
        train: (N, C, H, W) in [0, 1] or bytes.
        test: (M, C, H, W) of the same kind.
        components: at least 1; from the number of pixels on the error is 0.

    Source: scikit-learn's `PCA`.

    Example:
        >>> images = torch.rand(20, 1, 2, 2)
        >>> pca_errors(images, images, 4).max() < 1e-9
        tensor(True)
    """
    from sklearn.decomposition import PCA

    inputs, held_out = (unit_range(images).flatten(1).numpy() for images in (train, test))
    kept = min(components, max(len(inputs) - 1, 1), inputs.shape[1])  # N images lie in a plane of N - 1 directions
    pca = PCA(kept, svd_solver=_solver(inputs.shape, kept), random_state=0).fit(inputs)
    restored = pca.inverse_transform(pca.transform(held_out)).clip(0, 1)
    return torch.from_numpy(np.square(restored - held_out).mean(1))


def _solver(shape: tuple[int, int], components: int) -> str:
    """scikit-learn's name of the fastest exact solver; all pixels' covariance is too large where pictures are."""
    if shape[1] <= _MANY_PIXELS:
        return "covariance_eigh"
    return "arpack" if 2 * components < min(shape) else "full"
