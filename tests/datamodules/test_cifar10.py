"""CIFAR-10 and what it shares with SVHN: pixels, splits, shares, download, broken and harmful files."""

import hashlib
import pickle
import tarfile
import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from lightning.pytorch import LightningDataModule

from datamodules import CIFAR10DataModule, ImageDataModule
from tests import colour_files
from tests.colour_files import SmallCIFAR10, SmallSVHN, cifar10_files, colour_images, served
from tests.conftest import Harmful

MODULES = [SmallCIFAR10, SmallSVHN]
FOLDER = "cifar-10-batches-py"


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A data folder of one's own, whose files may be broken."""
    colour_files.write_colour_data(tmp_path)
    return tmp_path


def ready(cls: type[ImageDataModule], folder: Path, **options) -> ImageDataModule:
    module = cls(str(folder), **{"batch_size": 32, "download": False} | options)
    module.prepare_data()
    module.setup()
    return module


@pytest.mark.parametrize("cls", MODULES)
def test_pixels_and_labels_are_those_of_the_files(cls: type[ImageDataModule], fake_data: Path) -> None:
    data = ready(cls, fake_data, val_fraction=0)
    for split, size, seed in (("train", 200, 0), ("test", 50, 1)):
        images, labels = (torch.from_numpy(array) for array in colour_images(size, seed))
        assert torch.equal(data.split(split)[0], images)
        assert torch.equal(data.split(split)[1], labels)
    assert data.tensors["train"][0].dtype == torch.uint8
    assert data.tensors["train"][0].is_contiguous()  # or each batch would be gathered byte by byte


@pytest.mark.parametrize("cls", MODULES)
def test_batches_of_all_splits_are_in_unit_range(cls: type[ImageDataModule], fake_data: Path) -> None:
    """The pixel leak of coursework item 14, targets in [-1, 1] for a sigmoid, cannot be had."""
    data = ready(cls, fake_data)
    loaders = {"train": data.train_dataloader(), "val": data.val_dataloader(), "test": data.test_dataloader()}
    for split, loader in loaders.items():
        for batch in loader:
            x, y = data.on_after_batch_transfer(batch, 0)
            assert x.dtype == torch.float32, split
            assert (x.min(), x.max()) == (0, 1), split
            assert torch.equal(x[batch[0] == 255], torch.ones(int((batch[0] == 255).sum())))
            assert torch.equal((x * 255).round().to(torch.uint8), batch[0])
            assert x.shape[1:] == data.image_shape == (3, 32, 32)
            assert y.dtype == torch.int64
    assert len(data.class_names) == data.num_classes == 10


@pytest.mark.parametrize("cls", MODULES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_floats_take_the_models_dtype(cls: type[ImageDataModule], dtype: torch.dtype, fake_data: Path) -> None:
    data = ready(cls, fake_data, batch_size=1)
    data.trainer = SimpleNamespace(lightning_module=SimpleNamespace(dtype=dtype))  # type: ignore[assignment]
    x, _ = data.on_after_batch_transfer(next(iter(data.loader("test", sharded=False))), 0)
    assert x.dtype == dtype
    assert (x.min(), x.max(), len(x)) == (0, 1, 1)


@pytest.mark.parametrize("cls", MODULES)
def test_splits_and_shares(cls: type[ImageDataModule], fake_data: Path) -> None:
    data = ready(cls, fake_data, val_fraction=0.3, split_seed=4)
    assert [len(data.splits[split]) for split in ("train", "val", "test")] == [140, 60, 50]
    assert torch.equal(data.split("val")[0], ready(cls, fake_data, val_fraction=0.3, split_seed=4).split("val")[0])
    assert not torch.equal(data.split("val")[0], ready(cls, fake_data, val_fraction=0.3).split("val")[0])
    seen: list[int] = []
    for rank in (0, 1):
        data.trainer = SimpleNamespace(global_rank=rank, world_size=2)  # type: ignore[assignment]
        seen += [int(i) for share in data.loader("train", shuffle=True).batch_sampler for i in share]
    assert sorted(seen) == list(range(140))


@pytest.mark.parametrize("cls", MODULES)
def test_an_epoch_goes_on_where_it_was_left(cls: type[ImageDataModule], fake_data: Path) -> None:
    whole = [labels.tolist() for _, labels in ready(cls, fake_data).train_dataloader()]
    first, second = (ready(cls, fake_data).train_dataloader() for _ in range(2))
    batches = iter(first)
    seen = [next(batches)[1].tolist() for _ in range(2)]
    second.load_state_dict(first.state_dict())
    assert seen + [labels.tolist() for _, labels in second] == whole


@pytest.mark.parametrize("cls", MODULES)
def test_binarize_is_refused(cls: type[ImageDataModule], fake_data: Path) -> None:
    with pytest.raises(ValueError, match="binarize=True is for grey images, got images of 3 channels"):
        ready(cls, fake_data, binarize=True)


@pytest.mark.parametrize("cls", MODULES)
def test_missing_files(cls: type[ImageDataModule], tmp_path: Path) -> None:
    name = "data_batch_3" if cls is SmallCIFAR10 else "test_32x32.mat"
    colour_files.write_colour_data(tmp_path)
    next(tmp_path.glob(f"*/{name}")).unlink()
    message = rf"files are missing, and download=False: [^,]*{name}\. Pass .* as data_dir \(it is '{tmp_path}'\)"
    with pytest.raises(FileNotFoundError, match=message):
        ready(cls, tmp_path)
    with pytest.raises(FileNotFoundError, match=rf"files could not be downloaded: [^,]*{name}\. Pass .* a network"):
        ready(cls, tmp_path, download=True)


@pytest.mark.parametrize("cls", MODULES)
def test_nothing_is_downloaded_where_all_is_there(cls: type[LightningDataModule], fake_data: Path) -> None:
    cls(str(fake_data), download=True).prepare_data()  # nothing answers at the address


def test_the_archive_is_downloaded_and_unpacked(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = files / "cifar-10-python.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(files / FOLDER, FOLDER)
    monkeypatch.setenv("no_proxy", "localhost")
    monkeypatch.setattr(colour_files.CIFAR10, "tgz_md5", hashlib.md5(archive.read_bytes()).hexdigest())
    with served(files) as address:
        monkeypatch.setattr(colour_files.CIFAR10, "url", f"{address}/{archive.name}")
        data = ready(SmallCIFAR10, files / "elsewhere", download=True)
    data.prepare_data()  # all is there, and nothing answers any more
    assert len(data.split("test")[1]) == 50


@pytest.mark.parametrize("name", [*cifar10_files()])
@pytest.mark.parametrize("damage", ["truncated", "empty", "one bit"])
def test_a_broken_file_is_named(name: str, damage: str, files: Path) -> None:
    path = files / FOLDER / name
    content = path.read_bytes()
    flipped = content[:40] + bytes([content[40] ^ 1]) + content[41:]
    path.write_bytes({"truncated": content[:-7], "empty": b"", "one bit": flipped}[damage])
    official = hashlib.md5(content).hexdigest()
    message = rf"{path} is truncated or corrupt \(its MD5 is \w+, the official file's {official}\): delete it and"
    with pytest.raises(ValueError, match=message):
        ready(SmallCIFAR10, files)


@pytest.mark.parametrize("name", ["data_batch_1", "test_batch", "batches.meta"])
def test_a_file_that_is_not_the_official_one_is_not_unpickled(
    name: str, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (files / FOLDER / name).write_bytes(pickle.dumps(Harmful()))
    monkeypatch.chdir(files)
    with pytest.raises(ValueError, match=f"{name} is truncated or corrupt"):
        ready(SmallCIFAR10, files)
    assert not (files / "harm").exists()


def test_the_official_files_are_expected_by_default(files: Path) -> None:
    with pytest.raises(ValueError, match=r"data_batch_1 .*, the official file's c99cafc152244af753f735de768cd75f\)"):
        ready(CIFAR10DataModule, files)


@pytest.mark.parametrize(("message", "shown"), [("dtype(): align should be passed as bool", 0), ("disk failing", 2)])
def test_numpys_warning_of_old_pickles_is_kept_from_users_and_no_other(
    message: str, shown: int, fake_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Warns(colour_files.CIFAR10):
        def _load_meta(self) -> None:
            super()._load_meta()
            warnings.warn(message, np.exceptions.VisibleDeprecationWarning, stacklevel=1)

    monkeypatch.setattr(SmallCIFAR10, "dataset_class", Warns)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        ready(SmallCIFAR10, fake_data)
    assert len(caught) == shown  # once a split


def test_official_files(real_data: Path) -> None:
    if not (real_data / FOLDER).is_dir():
        pytest.skip(f"real data: no {FOLDER} in LIT_GENERATIVE_DATA")
    data = ready(CIFAR10DataModule, real_data)
    assert [len(data.splits[split]) for split in ("train", "val", "test")] == [40_000, 10_000, 10_000]
    assert data.tensors["train"][1].bincount().tolist() == [5_000] * 10
    assert data.tensors["test"][1].bincount().tolist() == [1_000] * 10
