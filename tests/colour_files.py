"""Small generated CIFAR-10 and SVHN files in the true formats, and data modules that take them for official ones."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from threading import Thread
from typing import ClassVar

import numpy as np
from scipy.io import savemat
from torchvision import datasets

from datamodules import CIFAR10DataModule, CollageDataModule, SVHNDataModule

CLASSES = CIFAR10DataModule.class_names
TRAIN_SIZE, TEST_SIZE = 200, 50


def colour_images(size: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Images (size, 3, 32, 32), uint8, and labels (size,): class c is a bar at column 3c + 1, left half red, on blue.

    The bar is 255 in its own channel, and 0 in green, so that both ends of the scale are there. Rows 0 .. 7 are green
    noise: up is up, and no two channels are alike.
    """
    rng = np.random.default_rng(seed)
    labels = np.arange(size) % 10
    images = np.zeros((size, 3, 32, 32), dtype=np.uint8)
    images[:, 2] = rng.integers(60, 120, (size, 32, 32))
    images[:, 1, :8] = rng.integers(100, 200, (size, 8, 32))
    for column in (1, 2):
        images[np.arange(size), 0, :, 3 * labels + column] = 255
    return images, labels


def python2_array(array: np.ndarray) -> bytes:
    """Opcodes that make a uint8 array, as NumPy 1.x of Python 2 wrote them: flags as numbers, bytes as str."""
    shape = b"".join(b"J" + size.to_bytes(4, "little") for size in array.shape)
    dtype = b"cnumpy\ndtype\n(U\x02u1K\x00K\x01tR(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    content = b"T" + array.size.to_bytes(4, "little") + array.tobytes()
    start = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tU\x01btR"
    return start + b"(K\x01(" + shape + b"t" + dtype + b"I00\n" + content + b"tb"


def python2_strings(strings: tuple[str, ...]) -> bytes:
    """Opcodes of a list of short str."""
    return b"](" + b"".join(b"U" + bytes([len(string)]) + string.encode() for string in strings) + b"e"


def python2_dict(**values: bytes) -> bytes:
    """A pickle, protocol 2, of a dict with those opcodes as values."""
    items = b"".join(b"U" + bytes([len(key)]) + key.encode() + value for key, value in values.items())
    return b"\x80\x02}(" + items + b"u."


def cifar10_batch(images: np.ndarray, labels: np.ndarray) -> bytes:
    """A file such as `data_batch_1`: rows of 3072 bytes, red, green, blue, and a list of labels."""
    numbers = b"](" + b"".join(b"K" + bytes([label]) for label in labels.tolist()) + b"e"
    return python2_dict(data=python2_array(images.reshape(len(images), 3072)), labels=numbers)


@cache
def cifar10_files(train_size: int = TRAIN_SIZE, test_size: int = TEST_SIZE) -> dict[str, bytes]:
    """Content by name, in `cifar-10-batches-py`."""
    images, labels = colour_images(train_size)
    parts = np.array_split(np.arange(train_size), 5)
    files = {f"data_batch_{k + 1}": cifar10_batch(images[part], labels[part]) for k, part in enumerate(parts)}
    files["test_batch"] = cifar10_batch(*colour_images(test_size, seed=1))
    return {**files, "batches.meta": python2_dict(label_names=python2_strings(CLASSES))}


def svhn_file(images: np.ndarray, labels: np.ndarray) -> bytes:
    """A file such as `train_32x32.mat`: X (32, 32, 3, N) uint8 and y (N, 1) in 1 .. 10, 10 being the digit 0."""
    stream = BytesIO()
    y = np.where(labels == 0, 10, labels).astype(np.uint8)[:, None]
    savemat(stream, {"X": images.transpose(2, 3, 1, 0), "y": y})
    # the header says when the file was written, and the same content must have the same MD5
    return b"MATLAB 5.0 MAT-file".ljust(116) + stream.getvalue()[116:]


@cache
def svhn_files(train_size: int = TRAIN_SIZE, test_size: int = TEST_SIZE) -> dict[str, bytes]:
    """Content by name, in `SVHN`."""
    images = {"train": colour_images(train_size), "test": colour_images(test_size, seed=1)}
    return {f"{split}_32x32.mat": svhn_file(*pair) for split, pair in images.items()}


def write_colour_data(root: Path) -> None:
    """Both data sets into a data folder."""
    for folder, files in (("cifar-10-batches-py", cifar10_files()), ("SVHN", svhn_files())):
        (root / folder).mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (root / folder / name).write_bytes(content)


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address at which a web server of this machine offers a folder's files."""
    server = ThreadingHTTPServer(("localhost", 0), partial(_Silent, directory=str(folder)))
    thread = Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://localhost:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Silent(SimpleHTTPRequestHandler):
    """Writes no log."""

    def log_message(self, *args: object) -> None:
        """Nothing."""


def _md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


class CIFAR10(datasets.CIFAR10):
    """torchvision's reader, to which the generated files are the official ones; nothing answers at its address."""

    url = "http://localhost:9/cifar-10-python.tar.gz"
    train_list: ClassVar = [
        [name, _md5(content)] for name, content in cifar10_files().items() if name.startswith("data")
    ]
    test_list: ClassVar = [["test_batch", _md5(cifar10_files()["test_batch"])]]
    meta: ClassVar = {**datasets.CIFAR10.meta, "md5": _md5(cifar10_files()["batches.meta"])}


class SVHN(datasets.SVHN):
    """torchvision's reader, to which the generated files are the official ones; nothing answers at its addresses."""

    split_list: ClassVar = {
        split: ["http://localhost:9/" + name, name, _md5(content)]
        for split, (name, content) in zip(("train", "test"), svhn_files().items(), strict=True)
    }


class SmallCIFAR10(CIFAR10DataModule):
    """Takes generated files."""

    dataset_class = CIFAR10


class SmallCollage(CollageDataModule):
    """Takes generated files."""

    photograph_data = SmallCIFAR10


class SmallSVHN(SVHNDataModule):
    """Takes generated files."""

    dataset_class = SVHN
