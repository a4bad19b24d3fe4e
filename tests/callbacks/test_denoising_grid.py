"""DenoisingGrid: which images, which noise, what is shown."""

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer
from matplotlib.figure import Figure
from torch import Tensor

from callbacks import DenoisingGrid
from datamodules import DigitsDataModule
from tests.callbacks.test_callbacks import Mute, make_trainer, pictures
from tests.callbacks.test_pictures import loader


class Cleans(Mute):
    """Adds noise that is known by its seed, and remembers what it was asked to clean."""

    def __init__(self) -> None:
        super().__init__()
        self.noisy: list[Tensor] = []

    def corrupt(self, x: Tensor) -> Tensor:
        assert not self.training
        return x + torch.randn_like(x)

    def reconstruct(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        assert not torch.is_grad_enabled()
        self.noisy.append(x)
        return torch.full_like(x, 0.25)


class Keeps(DenoisingGrid):
    """Keeps the pictures, (rows * (H + 1), columns * (W + 1)) each."""

    def save(self, trainer: Trainer, figure: Figure, name: str, when: str) -> Path:
        (shown,) = figure.axes[0].get_images()
        self.shown = torch.as_tensor(shown.get_array())
        self.labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
        return super().save(trainer, figure, name, when)


def rows(picture: Tensor, columns: int, size: int = 28) -> list[Tensor]:
    """Each row's images side by side, (H, columns * W), without the white lines."""
    cells = picture.reshape(-1, size + 1, columns, size + 1)[:, :size, :, :size]
    return list(cells.flatten(2))


def test_original_noisy_denoised(tmp_path: Path) -> None:
    data, model, grid = DigitsDataModule(), Cleans(), Keeps()
    make_trainer(tmp_path, grid, epochs=2).fit(model, datamodule=data)
    assert pictures(tmp_path) == {"denoising_epoch001.png", "denoising_epoch002.png"}
    assert grid.labels == ["original", "noisy", "denoised"]
    original, noisy, denoised = rows(grid.shown, 5)
    held_out = data.split("val")[0][:5].float() / 255
    torch.testing.assert_close(original, torch.cat(list(held_out[:, 0]), 1))
    torch.testing.assert_close(noisy, torch.cat(list(model.noisy[-1][:, 0].clamp(0, 1)), 1))
    assert (denoised == 0.25).all()
    assert model.noisy[-1].min() < -1  # the model is given the noise uncut


def test_the_noise_is_the_same_each_time(tmp_path: Path) -> None:
    model, other = Cleans(), Cleans()
    make_trainer(tmp_path, DenoisingGrid(columns=3)).fit(model, datamodule=DigitsDataModule())
    first, second = model.noisy
    assert first.shape == (3, 1, 28, 28)
    assert torch.equal(first, second)
    make_trainer(tmp_path, DenoisingGrid(columns=3, seed=1), epochs=1).fit(other, datamodule=DigitsDataModule())
    assert not torch.equal(first, other.noisy[0])


def test_in_test_the_images_are_of_the_test_split(tmp_path: Path) -> None:
    data, grid = DigitsDataModule(), Keeps(columns=2)
    make_trainer(tmp_path, grid).test(Cleans(), datamodule=data, verbose=False)
    assert pictures(tmp_path) == {"denoising_test.png"}
    shown = rows(grid.shown, 2)[0]
    torch.testing.assert_close(shown, torch.cat(list(data.split("test")[0][:2, 0].float() / 255), 1))


@pytest.mark.parametrize("n", [1, 4])
def test_few_images_have_a_smaller_picture(n: int, tmp_path: Path) -> None:
    grid = Keeps()
    make_trainer(tmp_path, grid, epochs=1).fit(Cleans(), loader(8), loader(n))
    assert grid.shown.shape == (3 * 29, n * 29)


def test_no_held_out_split_no_picture(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path, DenoisingGrid(), epochs=1)
    trainer.limit_val_batches = 0
    trainer.fit(Cleans(), loader(8), loader(8))
    assert pictures(tmp_path) == set()


def test_colour(tmp_path: Path) -> None:
    x: Any = torch.rand(6, 3, 8, 8)
    batches = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, torch.zeros(6).long()), 3)
    grid = Keeps(columns=2)
    make_trainer(tmp_path, grid, epochs=1).fit(Cleans(), batches, batches)
    assert grid.shown.shape == (27, 18, 3)


def test_a_model_that_does_not_corrupt(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=r"DenoisingGrid needs a model with corrupt\(x\) and reconstruct\(x, y=None\)"):
        make_trainer(tmp_path, DenoisingGrid()).fit(Mute(), datamodule=DigitsDataModule())


def test_no_columns() -> None:
    with pytest.raises(ValueError, match="columns must be at least 1, got 0"):
        DenoisingGrid(columns=0)
