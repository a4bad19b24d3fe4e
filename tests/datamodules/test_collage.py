"""Collages: made from a seed, with boxes and masks that fit the pixels."""

from pathlib import Path
from typing import Any

import pytest
import torch

from datamodules import CollageDataModule
from datamodules.collage import boxes_around
from tests.colour_files import SmallCollage


def collages(fake_data: Path, target: Any = "box", **options: Any) -> CollageDataModule:
    data = SmallCollage(target, str(fake_data), **({"train_size": 50, "test_size": 20} | options))
    data.setup()
    return data


def test_box_and_mask_are_of_the_same_collage(fake_data: Path) -> None:
    images, boxes = collages(fake_data).split("train")
    same, masks = collages(fake_data, "mask").split("train")
    _, digits = collages(fake_data, "digit_mask").split("train")
    assert torch.equal(images, same)
    assert images.shape[1:] == (3, 64, 64)
    torch.testing.assert_close(boxes, boxes_around(masks > 0))
    assert torch.equal(digits > 0, masks > 0)
    assert all(len(mask[mask > 0].unique()) == 1 for mask in digits)
    assert digits.max() <= 10


def test_the_seed_decides_all(fake_data: Path) -> None:
    one, same = collages(fake_data), collages(fake_data)
    other = collages(fake_data, collage_seed=1)
    for split in ("train", "val", "test"):
        assert torch.equal(one.split(split)[0], same.split(split)[0])
        assert not torch.equal(one.split(split)[0], other.split(split)[0])
    assert not torch.equal(one.split("train")[0][:20], one.split("test")[0])


def test_sizes_and_places(fake_data: Path) -> None:
    _, boxes = collages(fake_data, train_size=200, digit_sizes=(8, 64)).split("train")
    edges = torch.cat([boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2], 1)
    assert (edges >= 0).all()
    assert (edges <= 1).all()
    assert boxes[:, 2].min() < 0.2 < 0.5 < boxes[:, 2].max()


def test_photographs_of_a_folder(fake_data: Path, tmp_path: Path) -> None:
    data = collages(fake_data, backgrounds=str(fake_data / "pictures"), train_size=30, test_size=5)
    assert data.split("test")[0].shape == (5, 3, 64, 64)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target": "boxes"}, 'target must be "box", "mask" or "digit_mask"'),
        ({"digit_sizes": (7, 20)}, "digit_sizes must be the smallest and the largest side, from 8 to image_size=64"),
        ({"digit_sizes": (20, 80)}, "digit_sizes must be"),
        ({"train_size": 0}, "train_size must be at least 1"),
        ({"train_size": 10**6}, "train_size is 1000000, but there are 200 digits"),
        ({"test_size": 60}, "test_size is 60, but there are 50 digits"),
    ],
)
def test_arguments_that_cannot_be(fake_data: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        collages(fake_data, **options)


def test_missing_files(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="MNIST: files are missing"):
        CollageDataModule(data_dir=str(tmp_path), download=False).setup()


def test_an_empty_mask_has_no_box() -> None:
    with pytest.raises(ValueError, match="an empty mask has no box"):
        boxes_around(torch.zeros(2, 4, 4, dtype=torch.bool))
