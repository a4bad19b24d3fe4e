"""Colour images in every picture: the channels in their order, the scale of [0, 1], no image beside its place."""

from pathlib import Path

import numpy as np
import pytest
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader

from callbacks import (
    ChainStrips,
    DenoisingGrid,
    Dictionary,
    FilterGrid,
    Interpolation,
    LatentTraversal,
    LatentTSNE,
    ReconstructionGrid,
    ReconstructionMSE,
    SampleGrid,
)
from callbacks.picture import PictureCallback
from tests.callbacks.test_callbacks import Mute, make_trainer

SHAPE = (3, 4, 6)


def one_image(value: float) -> Tensor:
    """Not the same in any channel, mirrored or turned: red, a dim orange and blue on dark green."""
    image = torch.tensor([0.0, 0.25, 0.0])[:, None, None].repeat(1, *SHAPE[1:])
    image[:, 0, 0] = torch.tensor([1.0, 0.0, 0.0])
    image[:, 0, 5] = torch.tensor([0.5, 0.25, 0.0])
    image[:, 3, 0] = torch.tensor([0.0, 0.0, 1.0])
    image[2, 1, 1] = value
    return image


class Paints(Mute):
    """Answers each verb with the images that it is given, or with one of its own."""

    def sample(self, n: int, y: Tensor | None = None) -> Tensor:
        return torch.stack([one_image(0.125 * i / n) for i in range(n)]).to(self.dtype)

    def read_batch(self, batch: Tensor) -> tuple[Tensor, None]:
        return batch.to(self.dtype), None

    def reconstruct(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return x

    def corrupt(self, x: Tensor) -> Tensor:
        return 2 * x - 0.5

    def encode(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return x.flatten(1)

    def decode(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        return z.unflatten(1, SHAPE)

    def unit_kl(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return x.flatten(1)

    def prior_moments(self, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return torch.full((72,), 0.5), torch.full((72,), 0.125)

    def dictionary(self) -> Tensor:
        return torch.eye(72, dtype=self.dtype).unflatten(1, SHAPE)

    def filters(self) -> Tensor:
        return 4 * self.sample(3) - 2

    def run_chains(self, n: int, at: list[int]) -> Tensor:
        return self.sample(n * len(at)).unflatten(0, (n, len(at)))


def draw(
    folder: Path, monkeypatch: pytest.MonkeyPatch, callback: PictureCallback, dtype: torch.dtype, count: int = 8
) -> dict[str, np.ndarray]:
    """What each figure of a run shows, (H, W, 3), by the picture's name."""
    drawn, save = {}, PictureCallback.save

    def keep(self: PictureCallback, trainer: Trainer, figure: Figure, name: str, when: str) -> Path:
        (shown,) = figure.axes[0].images
        drawn[name] = np.asarray(shown.get_array())
        return save(self, trainer, figure, name, when)

    monkeypatch.setattr(PictureCallback, "save", keep)
    images = torch.stack([one_image(0.125 * i / count) for i in range(count)])
    trainer = make_trainer(folder, callback, epochs=1)
    trainer.fit(Paints().to(dtype), DataLoader(images, 4), DataLoader(images, 4))  # type: ignore[arg-type]
    return drawn


def at(picture: np.ndarray, row: int, column: int, gap: int = 0) -> Tensor:
    """The image in a row and column of a picture with lines between the images, (C, H, W)."""
    top, left = row * (SHAPE[1] + 1), column * (SHAPE[2] + 1) + gap
    return torch.from_numpy(picture[top : top + SHAPE[1], left : left + SHAPE[2]]).permute(2, 0, 1)


GAP = SHAPE[2] // 2 + 1  # between the groups of a row of strips
FIRST = one_image(0.0)
# callback, name of its picture, where the first image of the data or the model must stand: row, column, gaps before it
PLACES = [
    (SampleGrid(rows=2, columns=3), "samples", [(0, 0, 0)]),
    (ReconstructionGrid(columns=3), "reconstructions_val", [(0, 0, 0), (1, 0, 0)]),
    (DenoisingGrid(columns=3), "denoising", [(0, 0, 0)]),
    (Dictionary(images=2, k=4), "dictionary", [(0, 0, 0)]),
    (ChainStrips(chains=2, at=(1, 2)), "chains", [(0, 0, 0)]),
    (LatentTraversal(units=2, columns=3), "traversals", [(0, 3, GAP), (0, 4, GAP)]),
]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("callback", "name", "places"), PLACES, ids=[row[1] for row in PLACES])
def test_images_are_shown_as_they_are(
    callback: PictureCallback, name: str, places: list, dtype: torch.dtype, tmp_path: Path, monkeypatch
) -> None:
    picture = draw(tmp_path, monkeypatch, callback, dtype)[name]
    assert picture.shape[2] == 3
    assert 0 <= picture.min() <= picture.max() <= 1
    for place in places:
        assert torch.equal(at(picture, *place), FIRST), place


def test_a_batch_of_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    picture = draw(tmp_path, monkeypatch, ReconstructionGrid(), torch.float32, count=1)["reconstructions_val"]
    assert torch.equal(at(picture, 1, 0), FIRST)
    assert picture.shape == (2 * 5, 7, 3)


def test_ends_of_an_interpolation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    picture = draw(tmp_path, monkeypatch, Interpolation(rows=2, steps=4), torch.float32)["interpolations"]
    for original, decoded in (((0, 0, 0), (0, 1, GAP)), ((1, 5, 2 * GAP), (1, 4, GAP))):
        assert torch.equal(at(picture, *original), at(picture, *decoded))
        assert torch.equal(at(picture, *original)[:2], FIRST[:2])


def test_noisy_images_are_cut_to_the_scale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    picture = draw(tmp_path, monkeypatch, DenoisingGrid(columns=3), torch.float32)["denoising"]
    assert torch.equal(at(picture, 1, 0), (2 * FIRST - 0.5).clamp(0, 1))


def test_a_dictionary_vector_of_one_channel_changes_that_channel_alone(tmp_path: Path, monkeypatch) -> None:
    picture = draw(tmp_path, monkeypatch, Dictionary(images=1, k=2), torch.float32)["dictionary"]
    vectors = {tuple(map(int, (at(picture, 0, column) == 1).nonzero()[0])) for column in (1, 2)}
    assert vectors == {(0, 0, 0), (2, 3, 0)}  # red at the top left, blue at the bottom left: the largest two
    assert (at(picture, 0, 1) == 0.5).sum() == 71


def test_filters_share_one_scale_in_all_channels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    picture = draw(tmp_path, monkeypatch, FilterGrid(columns=3), torch.float32)["filters"]
    assert torch.equal(at(picture, 0, 0), FIRST)


def test_traversal_moves_one_pixel_of_one_channel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    picture = draw(tmp_path, monkeypatch, LatentTraversal(units=1, columns=3), torch.float32)["traversals"]
    rows = torch.stack([at(picture, 0, column) for column in range(3)])
    assert (rows.diff(dim=0) != 0).sum() == 2  # one value in each step
    assert torch.equal(rows[:, 0, 0, 0], torch.tensor([0.125, 0.5, 0.875]))  # unit 0, red at the top left


def test_thumbnails_of_the_projector_are_in_colour(tmp_path: Path) -> None:
    trainer = make_trainer(
        tmp_path, LatentTSNE(), ReconstructionMSE(), epochs=1, logger=TensorBoardLogger(tmp_path, "run", 0)
    )
    images = torch.stack([one_image(i / 8) for i in range(9)])
    trainer.fit(Paints(), DataLoader(images, 4), DataLoader(images, 4))
    assert trainer.callback_metrics["val/reconstruction_mse"] == 0
    (path,) = tmp_path.rglob("sprite.png")
    with Image.open(path) as sprite:
        colours = set(map(tuple, np.asarray(sprite.convert("RGB")).reshape(-1, 3).tolist()))
    assert {(255, 0, 0), (0, 0, 255)} <= colours


def test_the_file_shows_the_colours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw(tmp_path, monkeypatch, SampleGrid(rows=1, columns=2), torch.float32)
    (path,) = tmp_path.rglob("samples_epoch001.png")
    with Image.open(path) as picture:
        colours = set(map(tuple, np.asarray(picture.convert("RGB")).reshape(-1, 3).tolist()))
    assert {(255, 0, 0), (0, 0, 255), (0, 63, 0), (127, 63, 0)} <= colours
