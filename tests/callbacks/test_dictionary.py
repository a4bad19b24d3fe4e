"""Dictionary: which vectors, in which order, on which scale."""

from pathlib import Path

import pytest
import torch
from lightning.pytorch import Trainer
from matplotlib.figure import Figure
from torch import Tensor

from callbacks import Dictionary
from callbacks.dictionary import top_vectors
from datamodules import DigitsDataModule
from tests.callbacks.test_callbacks import Mute, make_trainer, pictures


class Adds(Mute):
    """Four units that each brighten a quarter of the image; the last one is never used."""

    def encode(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        assert not self.training
        return torch.tensor([1.0, -2.0, 0.5, 0.0], dtype=torch.bfloat16).expand(len(x), -1)

    def dictionary(self) -> Tensor:
        vectors = torch.zeros(4, 1, 28, 28, dtype=torch.bfloat16)
        for unit in range(4):
            vectors[unit, :, 7 * unit : 7 * unit + 7] = 1.0 if unit != 2 else 10.0
        return vectors


class Keeps(Dictionary):
    """Keeps the last picture."""

    def save(self, trainer: Trainer, figure: Figure, name: str, when: str) -> Path:
        (shown,) = figure.axes[0].get_images()
        self.shown = torch.as_tensor(shown.get_array())
        self.labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
        return super().save(trainer, figure, name, when)


def test_an_image_and_its_largest_vectors(tmp_path: Path) -> None:
    data, pages = DigitsDataModule(), Keeps(every_n_epochs=1)
    make_trainer(tmp_path, pages, epochs=1).fit(Adds(), datamodule=data)
    assert pictures(tmp_path) == {"dictionary_epoch001.png"}
    assert pages.labels == ["3 of 4"] * 3
    cells = pages.shown.reshape(3, 29, -1, 29)[:, :28, :, :28].transpose(1, 2)  # (row, column, H, W)
    assert cells.shape[1] == 4  # the image, and the three units that are not 0
    torch.testing.assert_close(cells[:, 0], data.split("val")[0][:3, 0].float() / 255)
    third, second, first = cells[0, 1], cells[0, 2], cells[0, 3]  # by 5, 2 and 1 times the same norm
    for shown, rows, value in ((third, slice(14, 21), 1.0), (second, slice(7, 14), 0.0), (first, slice(0, 7), 1.0)):
        assert (shown[rows] == value).all()
        assert shown.sum() == pytest.approx(0.5 * 28 * 21 + value * 28 * 7)  # grey elsewhere


@pytest.mark.parametrize("channels", [1, 3])
def test_vectors_are_ranked_by_what_they_add(channels: int) -> None:
    code, vectors = torch.randn(50), torch.randn(50, channels, 4, 4) * torch.rand(50, 1, 1, 1)
    code[::2] = 0
    top = top_vectors(code, vectors, 7)
    assert top.shape == (7, channels, 4, 4)
    assert top.min() >= 0
    assert top.max() <= 1
    added = code[:, None, None, None] * vectors
    order = added.flatten(1).norm(dim=1).argsort(descending=True)[:7]
    for shown, effect in zip(top, added[order], strict=True):
        torch.testing.assert_close((shown - 0.5) * 2 * effect.abs().max(), effect.sign() * effect.abs())


def test_fewer_units_than_asked_for() -> None:
    vectors = torch.rand(6, 1, 4, 4)
    assert len(top_vectors(torch.tensor([0.0, 0, 3, 0, 1, 0]), vectors, 5)) == 2
    assert len(top_vectors(torch.zeros(6), vectors, 5)) == 0


def test_a_code_that_is_all_zero(tmp_path: Path) -> None:
    class Silent(Adds):
        def encode(self, x: Tensor, y: Tensor | None = None) -> Tensor:
            return torch.zeros(len(x), 4)

    pages = Keeps(images=2)
    make_trainer(tmp_path, pages).test(Silent(), datamodule=DigitsDataModule(), verbose=False)
    assert pages.shown.shape == (2 * 29, 29)
    assert pages.labels == ["0 of 4"] * 2
    assert pictures(tmp_path) == {"dictionary_test.png"}


def test_a_model_without_a_dictionary(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=r"Dictionary needs a model with dictionary\(\) and encode\(x, y=None\)"):
        make_trainer(tmp_path, Dictionary()).fit(Mute(), datamodule=DigitsDataModule())


@pytest.mark.parametrize("counts", [(0, 5), (3, 0)])
def test_counts_below_one(counts: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=f"images and k must be at least 1, got {counts[0]} and {counts[1]}"):
        Dictionary(*counts)
