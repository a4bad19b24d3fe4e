"""What is SVHN's own: label 10, MATLAB's files, scipy. What it shares with CIFAR-10 is in test_cifar10.py."""

import hashlib
import importlib.util
from pathlib import Path

import pytest
import torch
from scipy.io import loadmat

from datamodules import SVHNDataModule
from tests import colour_files
from tests.colour_files import SmallSVHN, served


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """The folder with the `.mat` files, which may be broken."""
    colour_files.write_colour_data(tmp_path)
    return tmp_path / "SVHN"


def test_label_10_is_the_digit_0(files: Path) -> None:
    content = loadmat(files / "test_32x32.mat")
    assert content["X"].shape == (32, 32, 3, 50)
    assert sorted(set(content["y"].flatten().tolist())) == list(range(1, 11))
    data = SmallSVHN(str(files.parent), download=False)
    data.setup()
    labels = data.split("test")[1]
    assert torch.equal(labels, torch.from_numpy(content["y"]).flatten().long() % 10)
    assert data.class_names[int(labels[0])] == "0"


def test_the_files_are_downloaded(files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "localhost")
    data = SmallSVHN(str(tmp_path / "elsewhere"))
    with served(files) as address:
        listed = colour_files.SVHN.split_list.items()
        here = {split: [f"{address}/{name}", name, md5] for split, (_, name, md5) in listed}
        monkeypatch.setattr(colour_files.SVHN, "split_list", here)
        data.prepare_data()
    data.prepare_data()  # all is there, and nothing answers any more
    data.setup()
    assert sorted(path.name for path in tmp_path.glob("elsewhere/SVHN/*")) == ["test_32x32.mat", "train_32x32.mat"]
    assert len(data.split("test")[1]) == 50


@pytest.mark.parametrize("name", ["train_32x32.mat", "test_32x32.mat"])
@pytest.mark.parametrize("damage", ["truncated", "empty", "one bit"])
def test_a_broken_file_is_named(name: str, damage: str, files: Path) -> None:
    content = (files / name).read_bytes()
    flipped = content[:40] + bytes([content[40] ^ 1]) + content[41:]
    (files / name).write_bytes({"truncated": content[:-7], "empty": b"", "one bit": flipped}[damage])
    official = hashlib.md5(content).hexdigest()
    message = rf"{files / name} is truncated or corrupt \(its MD5 is \w+, the official file's {official}\): delete it"
    with pytest.raises(ValueError, match=message):
        SmallSVHN(str(files.parent), download=False).setup()


def test_the_official_files_are_expected_by_default(files: Path) -> None:
    with pytest.raises(ValueError, match=r"train_32x32.mat .*, the official file's e26dedcc434d2e4c54c9b2d4a06d8373\)"):
        SVHNDataModule(str(files.parent)).setup()


def test_without_scipy(files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr("datamodules.svhn.find_spec", lambda name: None if name == "scipy" else find_spec(name))
    with pytest.raises(ImportError, match=r"reading them needs scipy: pip install scipy"):
        SmallSVHN(str(files.parent)).setup()
    with pytest.raises(ImportError, match=r"reading them needs scipy"):
        SmallSVHN(str(tmp_path / "nowhere")).prepare_data()
    assert not (tmp_path / "nowhere").exists()


def test_official_files(real_data: Path) -> None:
    if not (real_data / "SVHN").is_dir():
        pytest.skip("real data: no SVHN in LIT_GENERATIVE_DATA")
    data = SVHNDataModule(str(real_data), download=False)
    data.setup()
    assert [len(data.splits[split]) for split in ("train", "val", "test")] == [58_606, 14_651, 26_032]
    assert data.tensors["test"][1].bincount().tolist() == [1744, 5099, 4149, 2882, 2523, 2384, 1977, 2019, 1660, 1595]
