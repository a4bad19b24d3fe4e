"""Shared fixtures: small generated data in the true file format, and where the real data may lie."""

import gc
import os
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.colour_files import write_colour_data
from tests.datamodules.pictures import write_picture

CLASSES = 10


class Harmful:
    """Makes a folder when it is unpickled."""

    def __reduce__(self) -> tuple:
        return os.mkdir, ("harm",)


def write_idx(path: Path, array: np.ndarray) -> None:
    """Write uint8 data as an IDX file: two zero bytes, type 8, number of axes, big-endian sizes, bytes."""
    header = bytes([0, 0, 8, array.ndim]) + b"".join(size.to_bytes(4, "big") for size in array.shape)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(header + array.astype(np.uint8).tobytes())


def write_dataset(root: Path, name: str, train_size: int = 200, test_size: int = 50) -> None:
    """A data set in which class c is a bright bar at row 2c + 4 on noise, so that there is something to learn."""
    rng = np.random.default_rng(0)
    for prefix, size in (("train", train_size), ("t10k", test_size)):
        labels = np.arange(size) % CLASSES
        images = rng.integers(0, 60, (size, 28, 28))
        images[np.arange(size), 2 * labels + 4, 6:22] = 255
        write_idx(root / name / "raw" / f"{prefix}-images-idx3-ubyte", images)
        write_idx(root / name / "raw" / f"{prefix}-labels-idx1-ubyte", labels)


def pytest_collection_finish() -> None:
    """What was imported stays: no garbage collection needs to look at its million objects again."""
    gc.freeze()


def pytest_sessionfinish() -> None:
    """At its end the interpreter collects everything; what it does not find counts as a leak to some libraries."""
    gc.unfreeze()


@pytest.fixture(scope="session")
def fake_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with small generated MNIST, KMNIST, FashionMNIST, CIFAR-10 and SVHN files, and pictures."""
    root = tmp_path_factory.mktemp("data")
    for name in ("MNIST", "KMNIST", "FashionMNIST"):
        write_dataset(root, name)
    write_colour_data(root)
    for number in range(120):
        write_picture(root / "pictures" / f"{number}.png", size=(20, 30), colour=(2 * number, 100, 255 - 2 * number))
    return root


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder with the official files, named by the environment variable LIT_GENERATIVE_DATA."""
    folder = os.environ.get("LIT_GENERATIVE_DATA", "")
    if not folder or not Path(folder).is_dir():
        pytest.skip("real data: set LIT_GENERATIVE_DATA to a folder with MNIST/raw, KMNIST/raw and FashionMNIST/raw")
    return Path(folder)


@pytest.fixture
def quick_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """A quarter of t-SNE's iterations and figures without a layout, for tests of whole runs, which look at none."""
    from matplotlib.figure import Figure
    from sklearn.manifold import TSNE

    monkeypatch.setattr("sklearn.manifold.TSNE", partial(TSNE, max_iter=250))
    monkeypatch.setattr("callbacks.picture.Figure", lambda figsize, **_: Figure(figsize, dpi=30))


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test starts from the same random state and without the seed that another test's run left behind."""
    monkeypatch.delenv("PL_GLOBAL_SEED", raising=False)
    torch.manual_seed(0)
