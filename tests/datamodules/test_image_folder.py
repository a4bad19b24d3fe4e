"""A folder of pictures as a data module: labels, splits, ranges, processes, and the way through the command line."""

import zipfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from datamodules import ImageFolderDataModule
from lit_generative import train
from tests.datamodules.pictures import write_picture


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """30 red cats and 30 blue dogs, each of a brightness of its own."""
    for number in range(30):
        write_picture(tmp_path / "animals" / "cat" / f"{number}.png", size=(12, 9), colour=(100 + 4 * number, 0, 0))
        write_picture(tmp_path / "animals" / "dog" / f"{number}.jpg", size=(9, 12), colour=(0, 0, 100 + 4 * number))
    return tmp_path / "animals"


@pytest.fixture
def module(tmp_path: Path) -> "partial[ImageFolderDataModule]":
    return partial(ImageFolderDataModule, image_size=8, cache_dir=str(tmp_path / "cache"))


def names(data: ImageFolderDataModule, split: str) -> set[str]:
    """The files of a split."""
    data.setup()
    return {data.listing.files.names[position] for position in data.splits[split].tolist()}


def test_classes_and_pixels(folder: Path, module: "partial[ImageFolderDataModule]") -> None:
    data = module(str(folder), test_fraction=0.3, val_fraction=0.3)
    data.prepare_data()
    data.setup()
    assert data.class_names == ("cat", "dog")
    assert (data.num_classes, data.image_shape) == (2, (3, 8, 8))
    for split in ("train", "val", "test"):
        for batch in data.loader(split):
            images, labels = data.on_after_batch_transfer(batch, 0)
            assert images.dtype == torch.float32
            assert 0.35 < float(images.amax()) <= 1
            assert float(images.amin()) >= 0
            red, _, blue = images.mean((2, 3)).unbind(1)
            assert torch.equal(labels, (blue > red).long())
    assert sum(len(index) for index in data.splits.values()) == 60


def test_the_first_pictures_of_a_split_are_of_both_classes(
    folder: Path, module: "partial[ImageFolderDataModule]"
) -> None:
    data = module(str(folder))
    data.setup()
    _, labels = next(iter(data.loader("train")))
    assert 2 <= int(labels[:8].sum()) <= 6


def test_added_files_move_no_others(folder: Path, module: "partial[ImageFolderDataModule]") -> None:
    shares = {"test_fraction": 0.3, "val_fraction": 0.3}
    before = module(str(folder), **shares)
    splits = {split: names(before, split) for split in ("train", "val", "test")}
    for number in range(20):
        write_picture(folder / "ant" / f"{number}.png")
        write_picture(folder / "cat" / f"new{number}.png")
    after = module(str(folder), **shares)
    for split, files in splits.items():
        assert {name for name in names(after, split) if "new" not in name and "ant" not in name} == files
    assert len(names(after, "train") | names(after, "val") | names(after, "test")) == 100


def test_another_seed_validates_on_others_and_tests_on_the_same(
    folder: Path, module: "partial[ImageFolderDataModule]"
) -> None:
    one, other = module(str(folder), val_fraction=0.3), module(str(folder), val_fraction=0.3, split_seed=1)
    assert names(one, "test") == names(other, "test")
    assert names(one, "val") != names(other, "val")


def test_the_shares_are_met_on_average(tmp_path: Path, module: "partial[ImageFolderDataModule]") -> None:
    for number in range(300):
        write_picture(tmp_path / "many" / f"{number}.png", size=(2, 2))
    data = module(str(tmp_path / "many"), test_fraction=0.2, val_fraction=0.25)
    data.setup()
    assert abs(len(data.splits["test"]) - 60) < 4 * (300 * 0.2 * 0.8) ** 0.5
    assert abs(len(data.splits["val"]) - 60) < 4 * (240 * 0.25 * 0.75) ** 0.5


@pytest.mark.parametrize(("test_fraction", "val_fraction"), [(0.1, 0.1), (0.0, 0.1), (0.1, 0.0), (0.0, 0.0)])
def test_three_pictures_fill_the_splits_that_are_asked_for(
    test_fraction: float, val_fraction: float, tmp_path: Path, module: "partial[ImageFolderDataModule]"
) -> None:
    for number in range(3):
        write_picture(tmp_path / "few" / f"{number}.png")
    data = module(str(tmp_path / "few"), test_fraction=test_fraction, val_fraction=val_fraction)
    data.setup()
    assert data.has_split("test") == bool(test_fraction)
    assert data.has_split("val") == bool(val_fraction)
    assert data.has_split("train")


@pytest.mark.parametrize(("count", "words"), [(1, "test_fraction, or 0"), (2, "no training image of 1.* or 0")])
def test_too_few_pictures_for_all_splits(
    count: int, words: str, tmp_path: Path, module: "partial[ImageFolderDataModule]"
) -> None:
    for number in range(count):
        write_picture(tmp_path / "few" / f"{number}.png")
    with pytest.raises(ValueError, match=words):
        module(str(tmp_path / "few")).setup()


def test_test_pictures_that_were_all_skipped_are_not_replaced(
    folder: Path, tmp_path: Path, module: "partial[ImageFolderDataModule]"
) -> None:
    (tmp_path / "sets").mkdir()
    folder.rename(tmp_path / "sets" / "train")
    bad = write_picture(tmp_path / "sets" / "test" / "cat" / "bad.png")
    bad.write_bytes(b"")
    data = module(str(tmp_path / "sets"), on_error="skip")
    data.setup()
    assert not data.has_split("test")


def test_given_test_pictures_are_the_test_split(tmp_path: Path, module: "partial[ImageFolderDataModule]") -> None:
    for split, count in (("train", 10), ("test", 3)):
        for number in range(count):
            write_picture(tmp_path / "sets" / split / f"{number}.png")
    data = module(str(tmp_path / "sets"), test_fraction=0.9, val_fraction=0.3)
    assert names(data, "test") == {f"test/{number}.png" for number in range(3)}
    assert not any(name.startswith("test") for name in names(data, "train") | names(data, "val"))


def test_a_zip_gives_what_its_folder_gives(
    folder: Path, tmp_path: Path, module: "partial[ImageFolderDataModule]"
) -> None:
    archive = tmp_path / "animals.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in folder.rglob("*.*"):
            file.write(path, path.relative_to(folder.parent))
    one, other = module(str(folder)), module(str(archive))
    for split in ("train", "val", "test"):
        assert names(one, split) == names(other, split)
        assert all(torch.equal(a, b) for a, b in zip(one.split(split), other.split(split), strict=True))


def test_skipped_pictures_shift_no_labels(
    folder: Path, module: "partial[ImageFolderDataModule]", tmp_path: Path
) -> None:
    for number in range(100):
        write_picture(folder / "dog" / f"x{number}.png", colour=(0, 0, 200))
    (folder / "cat" / "00.png").write_bytes(b"")
    data = module(str(folder), on_error="skip", test_fraction=0, val_fraction=0)
    data.setup()
    images, labels = data.split("train")
    assert len(labels) == 160
    assert torch.equal(labels, (images[:, 2].float().mean((1, 2)) > images[:, 0].float().mean((1, 2))).long())
    assert "cat/00.png" in next((tmp_path / "cache").rglob("skipped.txt")).read_text()


def test_without_classes(folder: Path, module: "partial[ImageFolderDataModule]") -> None:
    data = module(str(folder), labels="none")
    data.setup()
    assert (data.num_classes, data.class_names) == (0, ())
    assert not data.split("train")[1].any()


def test_grey_and_binarized(folder: Path, module: "partial[ImageFolderDataModule]") -> None:
    data = module(str(folder), channels=1, binarize=True)
    data.setup()
    assert data.image_shape == (1, 8, 8)
    assert set(data.split("val")[0].unique().tolist()) <= {0, 255}
    assert data.tensors["train"][0] is data.tensors["test"][0]  # drawn once, as they are the same pictures


def test_two_processes_see_all_pictures_once(folder: Path, module: "partial[ImageFolderDataModule]") -> None:
    data = module(str(folder), batch_size=4)
    data.setup()
    seen = []
    for rank in range(2):
        loader = data.loader("train")
        loader.batch_sampler.rank, loader.batch_sampler.world_size = rank, 2
        seen += [image.flatten() for images, _ in loader for image in images]
    assert len(torch.stack(seen).unique(dim=0)) == len(data.split("train")[0].flatten(1).unique(dim=0))
    assert len(seen) == len(data.splits["train"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"test_fraction": 1.0}, r"test_fraction must be in \[0, 1\), got 1.0"),
        ({"image_size": 0}, "image_size must be .* got 0"),
        ({"channels": 4}, "channels must be .* got 4"),
        ({"resize": "squash"}, "resize must be .* got 'squash'"),
        ({"background": 256}, "background must be .* got 256"),
        ({"labels": "csv"}, "labels must be .* got 'csv'"),
        ({"on_error": "ignore"}, "on_error must be .* got 'ignore'"),
        ({"workers": 0}, "workers must be .* got 0"),
    ],
)
def test_arguments_out_of_range(words: dict, message: str, folder: Path, module: "partial") -> None:
    with pytest.raises(ValueError, match=message):
        module(str(folder), **words).prepare_data()


def words(root: Path, pictures: Path, *more: str) -> Sequence[str]:
    return [
        "fit",
        "--data=ImageFolderDataModule",
        f"--data.data_dir={pictures}",
        f"--data.cache_dir={root / 'cache'}",
        "--data.image_size=8",
        "--trainer.max_epochs=1",
        "--trainer.enable_progress_bar=false",
        f"--trainer.default_root_dir={root / 'runs'}",
        *more,
    ]


def test_from_folder_to_conditional_samples(folder: Path, tmp_path: Path) -> None:
    grid = "--trainer.callbacks=[{class_path: SampleGrid}, {class_path: ReconstructionGrid}]"
    cli = train.main(words(tmp_path, folder, "--model=LitVAE", "--model.conditional=true", grid))
    assert cli.model.num_classes == 2
    assert len(list((tmp_path / "runs").rglob("samples_*.png"))) == 1


def test_a_checkpoint_of_other_classes(folder: Path, tmp_path: Path) -> None:
    cli = train.main(words(tmp_path, folder, "--model=LitVAE", "--model.conditional=true"))
    checkpoint = f"--ckpt_path={cli.trainer.checkpoint_callback.best_model_path}"
    tested = words(tmp_path, folder, "--model=LitVAE", "--model.conditional=true", checkpoint)[1:]
    tested = ["test", *(word for word in tested if "max_epochs" not in word)]
    train.main(tested)
    (folder / "cat").rename(folder / "fox")
    with pytest.warns(UserWarning, match=r"classes 'cat', 'dog', .* has 'dog', 'fox': labels mean other classes"):
        train.main(tested)


def test_a_flat_folder_and_a_conditional_model(tmp_path: Path) -> None:
    for number in range(4):
        write_picture(tmp_path / "flat" / f"{number}.png")
    said = "conditional model, got 0: use data with classes .for pictures, a folder for each class."
    for model in ("LitVAE", "LitGAN"):
        with pytest.raises(ValueError, match=said):
            train.main(words(tmp_path, tmp_path / "flat", f"--model={model}", "--model.conditional=true"))
    with pytest.raises(ValueError, match=r"at least 2, got 0: use data with classes .for pictures, a folder for each"):
        train.main(words(tmp_path, tmp_path / "flat", "--model=LitClassifier"))
    train.main(words(tmp_path, tmp_path / "flat", "--model=LitVAE"))


@pytest.mark.filterwarnings("ignore:predict without --ckpt_path")
def test_codes_of_pictures_without_classes_have_no_labels(tmp_path: Path) -> None:
    for number in range(4):
        write_picture(tmp_path / "flat" / f"{number}.png")
    given = [word for word in words(tmp_path, tmp_path / "flat", "--model=LitVAE")[1:] if "max_epochs" not in word]
    train.main(["predict", *given])
    with np.load(next(tmp_path.rglob("codes.npz"))) as file:
        assert list(file) == ["codes", "names"]
