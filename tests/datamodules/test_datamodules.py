"""The data modules as users meet them: shapes, scales, splits, download and broken files."""

from pathlib import Path
from types import SimpleNamespace
from urllib.error import URLError

import numpy as np
import pytest
import torch
from torchvision.datasets import mnist

from datamodules import (
    DigitsDataModule,
    FashionMNISTDataModule,
    ImageDataModule,
    KMNISTDataModule,
    MNISTDataModule,
    TensorDataModule,
)
from tests.colour_files import SmallCIFAR10, SmallSVHN
from tests.conftest import write_dataset, write_idx

IDX_MODULES = [MNISTDataModule, KMNISTDataModule, FashionMNISTDataModule]


@pytest.fixture
def data(fake_data: Path) -> MNISTDataModule:
    module = MNISTDataModule(str(fake_data), batch_size=32, download=False)
    module.setup()
    return module


@pytest.mark.parametrize("cls", IDX_MODULES)
def test_batches_are_floats_in_unit_range(cls: type[ImageDataModule], fake_data: Path) -> None:
    module = cls(str(fake_data), batch_size=32, download=False)
    module.prepare_data()
    module.setup()
    images, labels = next(iter(module.train_dataloader()))
    assert images.dtype == torch.uint8
    x, y = module.on_after_batch_transfer((images, labels), 0)
    assert x.shape == (32, *module.image_shape) == (32, 1, 28, 28)
    assert x.dtype == torch.float32
    assert torch.equal((x * 255).round().to(torch.uint8), images)
    assert y.dtype == torch.int64
    assert len(module.class_names) == module.num_classes == 10


def test_floats_take_the_models_dtype(data: MNISTDataModule) -> None:
    batch = next(iter(data.test_dataloader()))
    data.trainer = SimpleNamespace(lightning_module=SimpleNamespace(dtype=torch.float64))  # type: ignore[assignment]
    assert data.on_after_batch_transfer(batch, 0)[0].dtype == torch.float64


def test_split_sizes_and_seed(fake_data: Path) -> None:
    def val_images(**options) -> torch.Tensor:
        module = MNISTDataModule(str(fake_data), val_fraction=0.3, **options)
        module.setup()
        assert [len(module.splits[split]) for split in ("train", "val", "test")] == [140, 60, 50]
        return module.split("val")[0]

    assert torch.equal(val_images(split_seed=4), val_images(split_seed=4, batch_size=7))
    assert not torch.equal(val_images(split_seed=4), val_images(split_seed=5))


def test_no_validation_split(fake_data: Path) -> None:
    module = MNISTDataModule(str(fake_data), val_fraction=0)
    module.setup()
    assert module.val_dataloader() == []
    assert not module.has_split("val")
    assert module.has_split("train")
    assert len(module.split("train")[1]) == 200


def test_train_fraction_is_stratified_and_leaves_the_others_alone(fake_data: Path) -> None:
    module = MNISTDataModule(str(fake_data), val_fraction=0, train_fraction=0.1)
    module.setup()
    assert module.split("train")[1].bincount().tolist() == [2] * 10
    assert len(module.split("test")[1]) == 50


def test_processes_get_shares_and_unsharded_loaders_get_all(data: MNISTDataModule) -> None:
    def labels_of(rank: int, sharded: bool) -> list[int]:
        data.trainer = SimpleNamespace(global_rank=rank, world_size=2)  # type: ignore[assignment]
        return [int(i) for step in data.loader("test", sharded=sharded).batch_sampler for i in step]

    assert sorted(labels_of(0, True) + labels_of(1, True)) == list(range(50))
    assert labels_of(0, False) == labels_of(1, False) == list(range(50))


def test_unknown_split(data: MNISTDataModule) -> None:
    with pytest.raises(ValueError, match=r"unknown split 'valid': use one of \['train', 'val', 'test'\]"):
        data.loader("valid")


def test_drop_last_only_drops_training_images(fake_data: Path) -> None:
    module = MNISTDataModule(str(fake_data), batch_size=32, drop_last=True)
    module.setup()
    assert sum(len(y) for _, y in module.train_dataloader()) == 160
    assert sum(len(y) for _, y in module.val_dataloader()) == 40
    assert sum(len(y) for _, y in module.test_dataloader()) == 50


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"val_fraction": 1.0}, r"val_fraction must be in \[0, 1\), got 1.0"),
        ({"val_fraction": -0.1}, r"val_fraction must be in \[0, 1\), got -0.1"),
        ({"val_fraction": float("nan")}, r"val_fraction must be in \[0, 1\), got nan"),
        ({"train_fraction": 0.0}, r"train_fraction must be in \(0, 1\], got 0.0"),
        ({"train_fraction": 1.5}, r"train_fraction must be in \(0, 1\], got 1.5"),
        ({"split_seed": -1}, "split_seed must be at least 0, got -1"),
    ],
)
def test_arguments_out_of_range(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MNISTDataModule(**options)


def test_batch_larger_than_the_train_split_with_drop_last(fake_data: Path) -> None:
    module = MNISTDataModule(str(fake_data), batch_size=500, drop_last=True)
    module.setup()
    with pytest.raises(ValueError, match=r"batch_size=500 .* leaves no batch of a split of 160 images"):
        module.train_dataloader()


def test_val_fraction_that_leaves_nothing(fake_data: Path) -> None:
    module = MNISTDataModule(str(fake_data), val_fraction=0.999)
    with pytest.raises(ValueError, match=r"val_fraction=0.999 leaves no training image of 200"):
        module.setup()


@pytest.mark.parametrize("cls", [MNISTDataModule, SmallCIFAR10, SmallSVHN])
def test_the_home_folder(cls: type[ImageDataModule], fake_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No shell expands the "~" of --data.data_dir=~/data."""
    monkeypatch.setenv("HOME", str(fake_data.parent))
    data = cls(f"~/{fake_data.name}", download=False)
    data.setup()
    assert data.has_split("train")


def test_missing_folder_without_download(tmp_path: Path) -> None:
    module = MNISTDataModule(str(tmp_path / "nowhere"), download=False)
    module.prepare_data()
    with pytest.raises(FileNotFoundError, match=r"are missing, and download=False: .*train-images.*data_dir.*nowhere"):
        module.setup()


@pytest.mark.parametrize("cls", IDX_MODULES)
def test_missing_folder_and_no_network(
    cls: type[ImageDataModule], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(*args: object, **kwargs: object) -> None:
        raise URLError("unreachable")

    monkeypatch.setattr(mnist, "download_and_extract_archive", unreachable)
    with pytest.raises(FileNotFoundError, match=r"could not be downloaded: .*Pass the folder .* as data_dir"):
        cls(str(tmp_path)).prepare_data()


def test_download_fetches_all_four_files_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fetched = []

    def fetch(url: str, download_root: str, filename: str, md5: str) -> None:
        assert len(md5) == 32  # torchvision checks what it fetches
        if not fetched:
            write_dataset(tmp_path, "KMNIST")
        fetched.append(filename)

    monkeypatch.setattr(mnist, "download_and_extract_archive", fetch)
    module = KMNISTDataModule(str(tmp_path))
    module.prepare_data()
    module.prepare_data()
    assert len(fetched) == 4
    module.setup()
    assert len(module.split("test")[1]) == 50


@pytest.mark.parametrize("name", ["train-images-idx3-ubyte", "t10k-labels-idx1-ubyte"])
@pytest.mark.parametrize("damage", ["truncated", "empty", "noise"])
def test_broken_file_is_named(tmp_path: Path, name: str, damage: str) -> None:
    write_dataset(tmp_path, "MNIST")
    path = tmp_path / "MNIST" / "raw" / name
    content = path.read_bytes()
    path.write_bytes({"truncated": content[:-7], "empty": b"", "noise": b"not an IDX file"}[damage])
    with pytest.raises(ValueError, match=rf"{name} is truncated or corrupt: delete it"):
        MNISTDataModule(str(tmp_path)).setup()


def test_images_and_labels_that_do_not_belong_together(tmp_path: Path) -> None:
    write_dataset(tmp_path, "MNIST")
    write_idx(tmp_path / "MNIST/raw/train-labels-idx1-ubyte", np.zeros(150))
    with pytest.raises(ValueError, match=r"holds 200 images but .*train-labels.* 150 labels"):
        MNISTDataModule(str(tmp_path)).setup()


def test_images_of_another_size(tmp_path: Path) -> None:
    write_dataset(tmp_path, "MNIST")
    write_idx(tmp_path / "MNIST/raw/train-images-idx3-ubyte", np.zeros((200, 14, 14)))
    with pytest.raises(ValueError, match=r"holds images of \(14, 14\), expected \(28, 28\)"):
        MNISTDataModule(str(tmp_path)).setup()


def test_digits_are_real_and_their_test_split_is_fixed() -> None:
    splits = []
    for split_seed in (0, 1):
        module = DigitsDataModule(split_seed=split_seed)
        module.setup()
        splits.append({name: module.split(name) for name in module.splits})
        assert sum(len(index) for index in module.splits.values()) == 1797
        images = module.split("train")[0]
        assert images.shape[1:] == module.image_shape == (1, 28, 28)
        assert images.max() > 250
        assert images.min() == 0
    assert torch.equal(splits[0]["test"][0], splits[1]["test"][0])
    assert not torch.equal(splits[0]["val"][0], splits[1]["val"][0])


@pytest.mark.parametrize("cls", IDX_MODULES)
def test_official_files(cls: type[ImageDataModule], real_data: Path) -> None:
    module = cls(str(real_data), download=False)
    module.setup()
    assert [len(module.splits[split]) for split in ("train", "val", "test")] == [48_000, 12_000, 10_000]
    assert module.split("test")[1].bincount().tolist() != [0] * 10
    assert all(module.split("test")[1].bincount() > 800)


class Table(TensorDataModule):
    """Rows of a table, whose shape is known only to the instance."""

    def __init__(self, labels: torch.Tensor) -> None:
        super().__init__(batch_size=8, val_fraction=0.25)
        self.labels = labels
        self.input_shape = (3,)

    def load(self, train: bool) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.arange(60.0).reshape(20, 3), self.labels


@pytest.mark.parametrize(
    "dtype", [torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.uint16, torch.uint64]
)
def test_labels_of_every_integer_type(dtype: torch.dtype) -> None:
    data = Table((torch.arange(20) % 2).to(dtype))
    data.setup()
    inputs, labels = next(iter(data.train_dataloader()))
    assert labels.dtype == torch.int64
    # the first column is three times the row's number
    assert torch.equal(inputs[:, 0].long() // 3 % 2, labels)
    assert (data.num_classes, data.class_names) == (0, ())


def test_splits_are_indices_into_what_was_loaded() -> None:
    data = Table(torch.arange(20))
    data.setup()
    assert {name: len(index) for name, index in data.splits.items()} == {"train": 15, "val": 5, "test": 20}
    assert data.loader("train").inputs is data.loader("val").inputs is data.tensors["train"][0]
    inputs, labels = data.split("val")
    assert torch.equal(inputs[:, 0].long() // 3, labels)


def test_what_a_load_may_not_give() -> None:
    classes = Table(torch.rand(20))
    classes.num_classes = 2
    with pytest.raises(TypeError, match=r"Table.load gave labels of torch.float32: give class indices"):
        classes.setup()
    with pytest.raises(TypeError, match=r"Table.load gave labels of torch.complex64: give class indices"):
        Table(torch.rand(20).to(torch.complex64)).setup()
    with pytest.raises(ValueError, match=r"Table.load gave 20 inputs but 19 labels"):
        Table(torch.arange(19)).setup()
    table = Table(torch.arange(20))
    table.input_shape = (4,)
    with pytest.raises(ValueError, match=r"inputs of shape \(3,\), expected input_shape=\(4,\)"):
        table.setup()


def test_an_empty_test_split_has_no_loader() -> None:
    class NoTest(Table):
        def load(self, train: bool) -> tuple[torch.Tensor, torch.Tensor]:
            inputs, labels = super().load(train)
            return (inputs, labels) if train else (inputs[:0], labels[:0])

    data = NoTest(torch.arange(20))
    data.setup()
    assert data.test_dataloader() == data.predict_dataloader() == []
