"""Nearest neighbours' accuracy: known cases, and where LatentTSNE says it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch.loggers import TensorBoardLogger
from matplotlib.figure import Figure
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from callbacks import LatentTSNE
from evaluation.knn_accuracy import knn_accuracy
from tests.callbacks.test_callbacks import Speaks, make_trainer
from tests.callbacks.test_pictures import Dashboard


def clusters(each: int, apart: float) -> tuple[np.ndarray, np.ndarray]:
    """Four clusters in the plane of the first two of eight dimensions, in turns."""
    labels = np.arange(4 * each) % 4
    centres = apart * np.eye(8)[labels]
    return centres + np.random.default_rng(0).normal(size=(4 * each, 8)), labels


def test_clusters_that_lie_apart_are_told_and_shuffled_labels_are_not() -> None:
    points, labels = clusters(each=250, apart=100)
    assert knn_accuracy(points, labels) == 1
    shuffled = np.random.default_rng(1).permutation(labels)
    # of 1,000 tosses with one in four: a standard deviation is .014
    assert knn_accuracy(points, shuffled) == pytest.approx(0.25, abs=0.05)
    assert 0.3 < knn_accuracy(*clusters(each=250, apart=1)) < 0.9


def test_a_small_case_by_hand() -> None:
    points, labels = np.array([[0.0], [1.0], [2.2], [3.6], [5.2]]), np.array([0, 0, 1, 1, 0])
    # nearest of each: 1, 0, 1, 2, 3
    assert knn_accuracy(points, labels, k=1) == 3 / 5
    # two nearest: (1, 2) tie, (0, 2) tie, (1, 3) tie, (2, 4) tie, (3, 2) both of the other class
    assert knn_accuracy(points, labels, k=2) == pytest.approx(4 / 2 / 5)
    # all others: the classes have 2 and 2 for a point of class 0, 3 and 1 for one of class 1
    assert knn_accuracy(points, labels, k=10) == pytest.approx(3 / 2 / 5)


def test_a_point_is_not_its_own_neighbour_where_others_lie_on_it() -> None:
    points = np.zeros((20, 3))
    points[10:] = 1
    lone = np.zeros(20, dtype=int)
    lone[3] = 1  # alone of its class on a place of ten
    assert knn_accuracy(points, lone, k=1) <= 19 / 20
    assert knn_accuracy(points, lone, k=9) == 19 / 20


def test_the_answer_hangs_on_neither_order_nor_scale_nor_names_of_classes() -> None:
    points, labels = clusters(each=30, apart=2)
    order = np.random.default_rng(2).permutation(len(points))
    expected = knn_accuracy(points, labels)
    assert knn_accuracy(points[order], labels[order]) == pytest.approx(expected)
    assert knn_accuracy(8 * points, 100 - 7 * labels) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("n", "labels", "k", "message"),
    [(1, 1, 10, "got 1 points, 1 labels and k=10"), (5, 4, 10, "got 5 points, 4 labels"), (5, 5, 0, "and k=0")],
)
def test_what_cannot_be_counted(n: int, labels: int, k: int, message: str) -> None:
    with pytest.raises(ValueError, match=f"at least two points, a label for each and k of at least 1, .*{message}"):
        knn_accuracy(np.zeros((n, 2)), np.zeros(labels, dtype=int), k)


class Apart(Speaks):
    """Codes in which the classes lie apart, though the images know nothing of them."""

    def encode(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        code = x.flatten(1)[:, :4].clone()
        return code if y is None else code + 100 * torch.nn.functional.one_hot(y, 4)

    def read_batch(self, batch: Any) -> tuple[Tensor, Tensor | None]:
        return batch[0], batch[1] if len(batch) > 1 else None


class Titles(LatentTSNE):
    """Keeps the titles of its pictures."""

    def save(self, trainer: Any, figure: Figure, name: str, when: str) -> Path:
        self.title = figure.axes[0].get_title()
        return super().save(trainer, figure, name, when)


def loader(n: int, labels: bool = True) -> DataLoader:
    x = torch.rand(n, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    return DataLoader(TensorDataset(x, torch.arange(n) % 4) if labels else TensorDataset(x), 8)


def test_tsne_says_and_logs_how_far_classes_lie_apart(tmp_path: Path) -> None:
    class Keeps(Dashboard):
        def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
            self.given += [(metrics, step)] * ("tsne_mean/knn_accuracy_codes" in metrics)

    keeps, tsne = Keeps(), Titles()
    loggers = [TensorBoardLogger(tmp_path, name="run", version=0), keeps]
    make_trainer(tmp_path, tsne, epochs=1, logger=loggers).fit(Apart(), loader(16), loader(80))
    expected = {"tsne_mean/knn_accuracy_codes": 1.0, "tsne_mean/knn_accuracy_plane": 1.0}
    assert keeps.given == [(expected, 2)]
    events = EventAccumulator(str(tmp_path / "run" / "version_0")).Reload()
    for name in expected:
        assert [(point.step, point.value) for point in events.Scalars(name)] == [(2, 1.0)]
    said = "10-nearest-neighbour accuracy 1.000 of the codes, 1.000 in the plane"
    assert tsne.title == f"t-SNE of codes (mean), val split, 80 points\n{said}"


@pytest.mark.parametrize("n", [3, 5, 10, 11])
def test_few_points_have_fewer_neighbours(n: int, tmp_path: Path) -> None:
    tsne = Titles()
    make_trainer(tmp_path, tsne, epochs=1).fit(Apart(), loader(16), loader(n))
    assert f"\n{min(10, n - 1)}-nearest-neighbour accuracy" in tsne.title


def test_without_labels_there_is_no_accuracy(tmp_path: Path) -> None:
    tsne = Titles()
    make_trainer(tmp_path, tsne, epochs=1).fit(Apart(), loader(16, labels=False), loader(20, labels=False))
    assert tsne.title == "t-SNE of codes (mean), val split, 20 points"
    tags = EventAccumulator(str(tmp_path / "run" / "version_0")).Reload().Tags()["scalars"]
    assert not [tag for tag in tags if "knn" in tag]
