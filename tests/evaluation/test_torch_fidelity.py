"""Distances, precision and recall against a second implementation, torch-fidelity."""

import pytest
import torch
from torch import Tensor

from evaluation.distances import frechet_distance, kernel_distance
from evaluation.neighbours import neighbourhoods

pytest.importorskip("torch_fidelity", reason="the second implementation, torch-fidelity, is not installed")


def features(seed: int, shift: float = 0.0, n: int = 300) -> Tensor:
    return torch.randn(n, 6, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) + shift


def test_frechet_distance() -> None:
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

    samples, real = features(0, shift=0.5), features(1, n=400)
    statistics = [fid_features_to_statistics(one) for one in (samples, real)]
    theirs = fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"]
    assert frechet_distance(samples, real) == pytest.approx(theirs, rel=1e-6)


def test_kernel_distance() -> None:
    """Theirs is a mean over subsets; one subset of all features is all pairs."""
    from torch_fidelity.metric_kid import kid_features_to_metric

    samples, real = features(0, shift=0.5), features(1)
    theirs = kid_features_to_metric(samples, real, kid_subsets=1, kid_subset_size=300, verbose=False)
    assert kernel_distance(samples, real).value == pytest.approx(theirs["kernel_inception_distance_mean"], rel=1e-9)


def test_precision_and_recall() -> None:
    from torch_fidelity.metric_prc import prc_features_to_metric

    samples, real = features(0, shift=0.5), features(1, n=400)
    theirs = prc_features_to_metric(samples, real, prc_neighborhood=5, verbose=False)
    ours = neighbourhoods(samples, real)
    assert ours.precision.value == pytest.approx(theirs["precision"], abs=1e-6)
    assert ours.recall.value == pytest.approx(theirs["recall"], abs=1e-6)
    assert ours.precision.value != ours.recall.value  # or a swap would not show
