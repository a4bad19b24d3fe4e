"""Pictures with a box each: one row a picture, and boxes that fit the pixels."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from datamodules import BoxDataModule
from datamodules.collage import boxes_around


def draw(path: Path, size: tuple[int, int], corners: tuple[int, int, int, int], **options: Any) -> None:
    """A black picture with a white box."""
    picture = Image.new("RGB", size)
    picture.paste((255, 255, 255), corners)
    picture.save(path, **options)


def boxes(folder: Path, rows: list[str], **options: Any) -> BoxDataModule:
    path = folder / "boxes.csv"
    path.write_text("\n".join(["image_name,x0,y0,x1,y1", *rows]))
    options = {"image_size": 64, "test_fraction": 0, "val_fraction": 0, "cache_dir": str(folder / "cache")} | options
    return BoxDataModule(str(path), str(folder / "pictures"), **options)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "pictures").mkdir()
    return tmp_path


@pytest.mark.parametrize("resize", ["crop", "pad", "stretch"])
@pytest.mark.parametrize("size", [(160, 80), (80, 160), (64, 64)])
def test_the_box_is_where_the_pixels_are(folder: Path, resize: str, size: tuple[int, int]) -> None:
    width, height = size
    corners = (width // 2 - 10, height // 2 - 20, width // 2 + 16, height // 2 + 8)
    draw(folder / "pictures" / "a.png", size, corners)
    data = boxes(folder, ["a.png," + ",".join(map(str, corners))], resize=resize)
    data.setup()
    images, found = data.split("train")
    # pixels at an edge are mixed, and half of one counts: 1/64 of the side is a pixel
    torch.testing.assert_close(found, boxes_around(images[:, 0] > 127), atol=1 / 64, rtol=0)


def test_a_picture_turned_by_its_exif_data(folder: Path) -> None:
    exif = Image.Exif()
    exif[274] = 6  # stored lying: shown, it is 40 wide and 80 high, and its upper left is stored at the lower left
    draw(folder / "pictures" / "a.png", (80, 40), (0, 20, 40, 40), exif=exif)
    data = boxes(folder, ["a.png,0,0,20,40"], resize="stretch")
    data.setup()
    images, found = data.split("train")
    torch.testing.assert_close(found, boxes_around(images[:, 0] > 127), atol=1 / 64, rtol=0)
    assert found.tolist() == [[0.25, 0.25, 0.5, 0.5]]


def test_one_box_a_picture(folder: Path) -> None:
    rows = []
    for number in range(30):
        draw(folder / "pictures" / f"{number}.png", (40, 40), (0, 0, 10, 10))
        rows += [f"{number}.png,0,0,{10 * k},20" for k in (2, 4, 3)]
    largest = boxes(folder, rows, pick="largest")
    assert largest.table.corners[:, 2].tolist() == [40] * 30
    picked = [boxes(folder, rows, pick_seed=seed).table for seed in (0, 0, 1)]
    assert picked[0].corners.tolist() == picked[1].corners.tolist() != picked[2].corners.tolist()
    assert len(set(picked[0].corners[:, 2].tolist())) == 3
    # a box of another picture changes no choice
    more = boxes(folder, ["0.png,0,0,30,20", *rows[3:]]).table
    assert more.corners[1:].tolist() == picked[0].corners[1:].tolist()


def test_splits_are_of_pictures_and_stay_when_one_is_added(folder: Path) -> None:
    rows = []
    for number in range(60):
        draw(folder / "pictures" / f"{number}.png", (40, 40), (0, 0, 10, 10))
        rows.append(f"{number}.png,0,0,10,{10 + number % 30}")
    data = boxes(folder, rows[:-1], test_fraction=0.3, val_fraction=0.3)
    data.setup()
    whole = boxes(folder, rows, test_fraction=0.3, val_fraction=0.3)
    whole.setup()
    places = {split: {data.table.names[k] for k in index.tolist()} for split, index in data.splits.items()}
    more = {split: {whole.table.names[k] for k in index.tolist()} for split, index in whole.splits.items()}
    assert sum(map(len, places.values())) == 59 == len(set.union(*places.values()))
    assert all(places[split] <= more[split] for split in places)
    images, found = next(iter(data.train_dataloader()))
    images, found = data.on_after_batch_transfer((images, found), 0)
    assert images.shape[1:] == (3, 64, 64)
    assert found.dtype == torch.float32
    assert found.shape == (len(images), 4)


def test_folders_decide_the_test_split(folder: Path) -> None:
    rows = []
    for split in ("train", "test"):
        (folder / "pictures" / split).mkdir()
        for number in range(8):
            draw(folder / "pictures" / split / f"{number}.png", (40, 40), (0, 0, 10, 10))
            rows.append(f"{split}/{number}.png,0,0,10,10")
    data = boxes(folder, rows, val_fraction=0.3)
    data.setup()
    names = {split: {data.table.names[k][:5] for k in index.tolist()} for split, index in data.splits.items()}
    assert names == {"train": {"train"}, "val": {"train"}, "test": {"test/"}}
    assert len(data.splits["test"]) == 8


def test_sizes_that_are_damaged_are_made_anew(folder: Path) -> None:
    draw(folder / "pictures" / "a.png", (40, 20), (0, 0, 10, 10))
    first = boxes(folder, ["a.png,0,0,10,10"])
    first.setup()
    (kept,) = (folder / "cache").glob("*/sizes.npy")
    kept.write_bytes(kept.read_bytes()[:5])
    again = boxes(folder, ["a.png,0,0,10,10"])
    again.setup()
    assert torch.equal(again.split("train")[1], first.split("train")[1])


def test_sizes_are_read_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw(folder / "pictures" / "a.png", (40, 20), (0, 0, 10, 10))
    boxes(folder, ["a.png,0,0,10,10"]).setup()
    monkeypatch.setattr("datamodules.pictures.sizes.picture_size", lambda data: pytest.fail("read again"))
    data = boxes(folder, ["a.png,0,0,20,20"])
    data.setup()
    assert data.split("train")[1].tolist() == [[0.25, 0.5, 0.5, 1.0]]


def test_what_cannot_be_used(folder: Path) -> None:
    draw(folder / "pictures" / "a.png", (160, 80), (0, 0, 20, 20))
    with pytest.raises(ValueError, match=r"boxes.csv names 'b.png': there is no such picture in .*pictures"):
        boxes(folder, ["a.png,0,0,9,9", "b.png,0,0,9,9"])
    with pytest.raises(ValueError, match=r"the box .* leaves its picture 'a.png' of 160 x 80"):
        boxes(folder, ["a.png,0,0,190,9"]).setup()
    for corner in (20, 40.01):  # nothing, and a hundredth of a pixel
        with pytest.raises(ValueError, match=r"crop' to 64 pixels leaves less than a pixel of .* 1 pictures"):
            boxes(folder, [f"a.png,0,0,{corner},20"], resize="crop").setup()
    with pytest.raises(ValueError, match=r"the box \[-0.9, .* leaves its picture 'a.png'"):
        boxes(folder, ["a.png,-0.9,0,-0.5,20"]).setup()
    for seed in range(4):  # also where it is not the one that is taken
        with pytest.raises(ValueError, match=r"leaves its picture 'a.png' of 160 x 80 pixels \(1 boxes do\)"):
            boxes(folder, ["a.png,0,0,50,40", "a.png,0,0,500,5"], pick_seed=seed).setup()
    with pytest.raises(ValueError, match='pick must be "random" or "largest"'):
        boxes(folder, ["a.png,0,0,9,9"], pick="first")
    with pytest.raises(ValueError, match=r"test_fraction must be in \[0, 1\)"):
        boxes(folder, ["a.png,0,0,9,9"], test_fraction=1.0)
    with pytest.raises(FileNotFoundError, match=r"images='.*nowhere': there is no such folder or zip"):
        BoxDataModule(str(folder / "boxes.csv"), str(folder / "nowhere"))
    (folder / "pictures" / "c.png").write_bytes(b"no picture")
    with pytest.raises(ValueError, match="cannot be used as pictures"):
        boxes(folder, ["c.png,0,0,9,9"]).setup()


def test_pictures_that_the_table_does_not_name_are_left_out(folder: Path) -> None:
    draw(folder / "pictures" / "a.png", (40, 40), (0, 0, 10, 10))
    (folder / "pictures" / "b.png").write_bytes(b"no picture")
    data = boxes(folder, ["./a.png,0,0,10,10"])
    data.setup()
    assert data.table.names == ["a.png"]


@pytest.mark.parametrize("resize", ["crop", "pad", "stretch"])
def test_boxes_go_back_to_the_pixels_of_their_files(folder: Path, resize: str) -> None:
    rows = [f"{number}.png,{30 + number},25,50,{40 + 2 * number}" for number in range(6)]
    for number in range(6):
        draw(folder / "pictures" / f"{number}.png", (80 + number, 70), (0, 0, 9, 9))
    data = boxes(folder, rows, resize=resize, test_fraction=0.5)
    data.setup()
    for split in ("train", "test"):
        index = data.splits[split]
        corners = data.corners_of(data.split(split)[1], index)
        table = {row.split(",")[0]: [float(value) for value in row.split(",")[1:]] for row in rows}
        assert data.has_split(split)
        np.testing.assert_allclose(corners, [table[name] for name in data.names_of(index)], atol=1e-4)
