"""Pictures with a mask each: colours and indices, pairs by name, and what is said of masks that do not fit."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import v2

from datamodules import MaskDataModule
from datamodules.pictures.mask_format import IGNORED

COLORS = {"background": [0, 0, 0], "face": [255, 0, 0], "ignore": [255, 255, 255]}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    return tmp_path


def add(folder: Path, name: str, mask: Image.Image, **options: Any) -> None:
    Image.new("RGB", mask.size, (10, 20, 30)).save(folder / "images" / f"{name}.jpg")
    mask.save(folder / "masks" / f"{name}.png", **options)


def data(folder: Path, *colors: Any, **options: Any) -> MaskDataModule:
    small = {"image_size": 16, "test_fraction": 0, "val_fraction": 0, "cache_dir": str(folder / "cache")}
    return MaskDataModule(str(folder / "images"), str(folder / "masks"), *colors, **(small | options))


def indices(rows: int = 16, columns: int = 16) -> np.ndarray:
    values = np.zeros((rows, columns), np.uint8)
    values[:8, :4] = 1
    values[-1] = IGNORED
    return values


def in_colors(values: np.ndarray) -> Image.Image:
    table = np.zeros((256, 3), np.uint8)
    table[1], table[IGNORED] = COLORS["face"], COLORS["ignore"]
    return Image.fromarray(table[values])


def in_a_palette(values: np.ndarray) -> Image.Image:
    palette = Image.new("P", values.shape[::-1])
    palette.putdata(values.flatten().tolist())
    palette.putpalette([200, 10, 10, 10, 200, 10] + [0] * (3 * 254))
    return palette


@pytest.mark.parametrize("kind", ["colors", "grey", "palette", "grey in three channels"])
def test_the_same_mask_in_four_forms(folder: Path, kind: str) -> None:
    values = indices()
    grey = Image.fromarray(values)
    masks = {"colors": in_colors(values), "grey": grey, "palette": in_a_palette(values)}
    add(folder, "a", masks.get(kind, grey.convert("RGB")))
    found = data(folder, COLORS) if kind == "colors" else data(folder, num_classes=2)
    found.setup()
    images, read = found.split("train")
    assert images.shape == (1, 3, 16, 16)
    assert read[0].tolist() == values.tolist()
    assert found.num_classes == 2
    assert found.class_names == (("background", "face") if kind == "colors" else ("0", "1"))


def test_resizing_mixes_no_classes_and_padding_is_of_no_class(folder: Path) -> None:
    values = np.kron(np.arange(9).reshape(3, 3) * 20, np.ones((20, 40))).astype(np.uint8)
    add(folder, "a", Image.fromarray(values))
    for resize in ("crop", "stretch", "pad"):
        found = data(folder, num_classes=200, resize=resize)
        found.setup()
        read = found.split("train")[1]
        assert set(read.unique().tolist()) <= {*range(0, 161, 20), *([IGNORED] if resize == "pad" else [])}
        assert (read[0, 0] == IGNORED).all() == (resize == "pad")


def test_batches_are_classes_and_change_with_their_images(folder: Path) -> None:
    for number in range(4):
        add(folder, str(number), in_colors(indices()))
    found = data(folder, COLORS, augment=[v2.RandomHorizontalFlip(1.0)], batch_size=4)
    found.setup()
    _, masks = found.on_after_batch_transfer(next(iter(found.train_dataloader())), 0)
    assert masks.dtype == torch.int64
    assert masks[0].tolist() == np.fliplr(indices()).tolist()
    _, plain = found.on_after_batch_transfer(next(iter(found.loader("train"))), 0)
    assert plain[0].tolist() == indices().tolist()
    for fill in (0, 1):  # black and white images
        turned = data(folder, COLORS, augment=[v2.RandomRotation((45, 45), fill=fill)], batch_size=4)
        turned.setup()
        images, masks = turned.on_after_batch_transfer(next(iter(turned.train_dataloader())), 0)
        assert (images[:, :, 0, 0] == fill).all()
        assert (masks[:, 0, 0] == IGNORED).all()


def test_names_are_paired_in_folders_below(folder: Path) -> None:
    for place in ("images", "masks"):
        (folder / place / "street").mkdir()
    add(folder, "street/1", in_colors(indices()))
    add(folder, "2", in_colors(np.zeros((16, 16), np.uint8)))
    found = data(folder, COLORS)
    found.setup()
    names = [Path(name).stem for name in found.listing.files.names]
    assert [Path(name).stem for name in found.mask_listing.files.names] == names
    masks = found.tensors["train"][1]
    assert [int(mask[0, 0]) for mask in masks] == [1 if name == "1" else 0 for name in names]


def test_folders_decide_the_test_split(folder: Path) -> None:
    for split in ("train", "test"):
        for place in ("images", "masks"):
            (folder / place / split).mkdir()
        for number in range(6):
            add(folder, f"{split}/{number}", in_colors(indices()))
    found = data(folder, COLORS, val_fraction=0.3)
    found.setup()
    names = {split: {found.listing.files.names[k][:5] for k in index.tolist()} for split, index in found.splits.items()}
    assert names == {"train": {"train"}, "val": {"train"}, "test": {"test/"}}


def test_black_and_white_without_a_table_of_colours(folder: Path) -> None:
    add(folder, "a", Image.fromarray(np.where(indices() == 1, 255, 0).astype(np.uint8)))
    with pytest.raises(ValueError, match=r"hold the values 0 and 255 alone.*class_colors=\{background"):
        data(folder, num_classes=2).setup()
    found = data(folder, {"background": [0, 0, 0], "object": [255, 255, 255]})
    found.setup()
    assert found.split("train")[1].unique().tolist() == [0, 1]


def test_jpegs_are_no_masks_and_alpha_is_no_colour(folder: Path) -> None:
    add(folder, "a", Image.merge("LA", [Image.fromarray(indices()), Image.new("L", (16, 16), 255)]))
    found = data(folder, num_classes=2)
    found.setup()
    assert found.split("train")[1][0].tolist() == indices().tolist()
    (folder / "masks" / "a.png").unlink()
    Image.fromarray(indices()).save(folder / "masks" / "a.jpg")
    with pytest.raises(ValueError, match=r"correct them, or what the arguments say.*\na.jpg: a JPEG, which blurs"):
        data(folder, num_classes=2).setup()


def test_a_checkpoint_of_other_classes(folder: Path) -> None:
    add(folder, "a", Image.fromarray(indices()))
    trained = data(folder, num_classes=2, class_names=["background", "face"]).state_dict()
    with pytest.warns(UserWarning, match="trained with the classes 'background', 'face'"):
        data(folder, num_classes=2, class_names=["face", "background"]).load_state_dict(trained)


def test_partners_that_are_missing(folder: Path) -> None:
    add(folder, "1", in_colors(indices()))
    Image.new("RGB", (16, 16)).save(folder / "images" / "2.jpg")
    with pytest.raises(ValueError, match=r"1 pictures in .*images have no mask in .*masks: '2.jpg'"):
        data(folder, COLORS)
    (folder / "images" / "2.jpg").unlink()
    in_colors(indices()).save(folder / "masks" / "3.png")
    with pytest.raises(ValueError, match=r"1 masks in .*masks have no picture in .*images: '3.png'"):
        data(folder, COLORS)
    (folder / "masks" / "3.png").unlink()
    Image.new("RGB", (16, 16)).save(folder / "images" / "1.png")
    with pytest.raises(ValueError, match=r"holds '1.jpg' and '1.png', which differ by their suffix alone"):
        data(folder, COLORS)


def test_masks_that_do_not_fit(folder: Path) -> None:
    values = indices()
    add(folder, "a", in_colors(values))
    with pytest.raises(ValueError, match=r"a.png: the colour \[255, 0, 0\] at column 0, row 0 is no class's"):
        data(folder, {"background": [0, 0, 0], "sky": [0, 0, 255]}).setup()
    with pytest.raises(ValueError, match="a mask of colours: say with class_colors"):
        data(folder, num_classes=2).setup()
    add(folder, "a", Image.fromarray(values + 3))
    with pytest.raises(ValueError, match=r"the value 4 at column 0, row 0 is no class of 0 .. 1, nor 255"):
        data(folder, num_classes=2).setup()
    Image.new("RGB", (20, 16)).save(folder / "images" / "a.jpg")
    with pytest.raises(ValueError, match=r"1 masks have another size .*'a.png' of 16 x 16 for a picture of 20 x 16"):
        data(folder, num_classes=8).setup()


@pytest.mark.parametrize(
    ("colors", "options", "message"),
    [
        (None, {}, "say which classes the masks hold: class_colors"),
        (COLORS, {"num_classes": 3}, "leave num_classes and class_names out"),
        ({"a": [0, 0, 0], "b": [0, 0, 0]}, {}, r"gives \[0, 0, 0\] to more than one class"),
        ({"a": [0, 0, 0], "b": [0, 0, 300]}, {}, "must be three whole numbers 0 .. 255"),
        ({"a": [0, 0, 0]}, {}, "from 2 to 254 classes, the background included, got 1"),
        (None, {"num_classes": 300}, "from 2 to 254 classes"),
        (None, {"num_classes": 3, "class_names": ["a"]}, "class_names must be 3"),
        (COLORS, {"test_fraction": -1}, r"test_fraction must be in \[0, 1\)"),
    ],
)
def test_arguments_that_cannot_be(folder: Path, colors: Any, options: dict[str, Any], message: str) -> None:
    add(folder, "a", in_colors(indices()))
    with pytest.raises(ValueError, match=message):
        data(folder, colors, **options)
