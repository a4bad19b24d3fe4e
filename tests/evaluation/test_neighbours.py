"""Figures of neighbours against loops over all pairs, and in cases whose answer is known."""

import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier
from torch import Tensor

from evaluation.neighbours import nearest, neighbourhoods, share_of_copies, two_sample_accuracy


def points(n: int, seed: int, shift: float = 0.0) -> Tensor:
    return torch.randn(n, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) + shift


def radius(point: int, of: Tensor, k: int) -> float:
    distances = sorted(float((of[point] - other).norm()) for place, other in enumerate(of) if place != point)
    return distances[k - 1]


def test_neighbourhoods_are_what_loops_find() -> None:
    samples, real, k = points(40, 0, shift=0.5), points(50, 1), 3
    balls = [radius(place, real, k) for place in range(50)]
    inside = [[float((sample - real[place]).norm()) < balls[place] for place in range(50)] for sample in samples]
    own = [radius(place, samples, k) for place in range(40)]
    found = neighbourhoods(samples, real, k)
    assert found.precision.value == pytest.approx(sum(map(any, inside)) / 40)
    assert found.density.value == pytest.approx(sum(map(sum, inside)) / 40 / k)
    assert found.coverage.value == pytest.approx(sum(map(any, zip(*inside, strict=True))) / 50)
    reached = [any(float((real[r] - samples[s]).norm()) < own[s] for s in range(40)) for r in range(50)]
    assert found.recall.value == pytest.approx(sum(reached) / 50)


def test_neighbourhoods_are_those_of_prdc() -> None:
    prdc = pytest.importorskip("prdc", reason="the second implementation, prdc, is not installed")
    samples, real = points(300, 0, shift=0.5), points(300, 1)
    theirs = prdc.compute_prdc(real.numpy(), samples.numpy(), nearest_k=5)
    assert {name: value.value for name, value in neighbourhoods(samples, real)._asdict().items()} == pytest.approx(
        theirs
    )


def test_precision_and_recall_are_not_swapped() -> None:
    """Samples of one half of the data: each looks real, and half of the data is never made; and the other way round."""
    real = torch.cat([points(200, 0), points(200, 1, shift=20)])
    half, noise = points(400, 2), torch.cat([points(200, 3), points(200, 4, shift=-20)])
    narrow = neighbourhoods(half, real)
    assert narrow.precision.value > 0.85
    assert narrow.recall.value == pytest.approx(0.5, abs=0.05)
    assert narrow.coverage.value <= 0.5
    wrong = neighbourhoods(noise, points(400, 5))
    assert wrong.precision.value == pytest.approx(0.5, abs=0.05)
    assert wrong.recall.value > 0.85


def test_one_distribution_has_a_density_of_one() -> None:
    found = neighbourhoods(points(2000, 0), points(2000, 1))
    assert abs(found.density.value - 1) < 4 * found.density.error
    assert found.coverage.value > 0.93


def test_the_two_sample_test_is_scikit_learns() -> None:
    samples, real = points(60, 0, shift=0.7), points(60, 1)
    both, kinds = torch.cat([samples, real]).numpy(), [1] * 60 + [0] * 60
    right = []
    for place in range(120):
        kept = [other for other in range(120) if other != place]
        judge = KNeighborsClassifier(1).fit(both[kept], [kinds[other] for other in kept])
        right.append(judge.predict(both[[place]])[0] == kinds[place])
    ours, theirs = two_sample_accuracy(samples, real)
    assert (ours.value, theirs.value) == (sum(right[:60]) / 60, sum(right[60:]) / 60)


def test_the_two_sample_test_where_the_answer_is_known() -> None:
    for estimate in two_sample_accuracy(points(2000, 0), points(2000, 1)):
        assert abs(estimate.value - 0.5) < 5 * estimate.error
    assert [half.value for half in two_sample_accuracy(points(20, 0), points(20, 1, shift=100))] == [1, 1]
    copies = points(20, 0)
    assert [half.value for half in two_sample_accuracy(copies, copies)] == [0, 0]


def test_copies_are_found() -> None:
    generator = torch.Generator().manual_seed(0)
    train = torch.randint(256, (90, 1, 6, 6), generator=generator, dtype=torch.uint8)
    samples = torch.cat([train[40:50].float() / 255, torch.rand(10, 1, 6, 6, generator=generator)])
    share, distances, indices = share_of_copies(samples, train, threshold=0.5)
    assert share.value == 0.5
    assert indices[:10].tolist() == list(range(40, 50))
    assert distances[:10].max() < 1e-6
    assert torch.equal(nearest(samples[:3], train)[1], indices[:3])
    assert share_of_copies(train[:9], train, threshold=0.0)[0].value == 1  # as where test images are copies too


@pytest.mark.parametrize("k", [0, 5])
def test_what_is_refused(k: int) -> None:
    with pytest.raises(ValueError, match=f"k must be from 1 to 4, fewer than the examples, got {k}"):
        neighbourhoods(points(5, 0), points(9, 1), k)
    with pytest.raises(ValueError, match="as many samples as real examples are needed, at least two, got 2 and 3"):
        two_sample_accuracy(points(2, 0), points(3, 0))
