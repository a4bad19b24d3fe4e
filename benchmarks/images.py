"""A folder of photos to batches of 64 x 64: ImageFolderDataModule beside torchvision's ImageFolder and DataLoader.

Writes JPEG photos of 500 x 500, always the same ones, and measures in turns: the first start, which decodes all of them
with a thread for each core; a later start, which lists the files and maps what is decoded already; batches of 128 from
the map; and an epoch of torchvision's ImageFolder with Resize(64), CenterCrop(64), ToTensor and two worker processes,
which decodes all of them again. A later start is measured on many small files too, hard links of a few, since it costs
what their number says. Imports are off the clock, and files are in the system's memory. Medians (lowest .. highest).

Run: uv run python -m benchmarks.images
"""

import os
import tempfile
import time
from argparse import ArgumentDefaultsHelpFormatter, ArgumentParser
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import CenterCrop, Compose, Resize, ToTensor

from benchmarks.options import add_count
from benchmarks.turns import spread
from datamodules.image_folder import ImageFolderDataModule

BATCH = 128
SIZE = 64
PHOTO = 500  # pixels, height and width


def photos(count: int) -> Iterator[Image.Image]:
    """Windows, `PHOTO` pixels wide and high, of a large picture with detail of every size, at random places."""
    random, side = np.random.default_rng(0), 2 * PHOTO
    whole = np.full((side, side, 3), 128.0)
    for grid, contrast in ((8, 60), (32, 40), (128, 25), (500, 14), (side, 4)):
        coarse = Image.fromarray(random.integers(0, 256, (grid, grid, 3), dtype=np.uint8))
        whole += (np.asarray(coarse.resize((side, side), Image.Resampling.BICUBIC), float) / 128 - 1) * contrast
    picture = Image.fromarray(whole.clip(0, 255).astype(np.uint8))
    for left, top in random.integers(0, side - PHOTO, (count, 2)).tolist():
        yield picture.crop((left, top, left + PHOTO, top + PHOTO))


def write_photos(folder: Path, count: int) -> int:
    """Write that many photos, in two class folders, and say how many bytes they have."""
    for name in ("even", "odd"):
        (folder / name).mkdir(parents=True)
    for number, photo in enumerate(photos(count)):
        photo.save(folder / ("even", "odd")[number % 2] / f"{number}.jpg", quality=90)
    return sum(file.stat().st_size for file in folder.glob("*/*.jpg"))


def write_links(folder: Path, count: int, distinct: int = 100) -> None:
    """Write `distinct` small pictures and hard links of them, `count` files in all, in ten class folders."""
    for number in range(10):
        (folder / f"class {number}").mkdir(parents=True)
    paths = [folder / f"class {number % 10}" / f"{number}.jpg" for number in range(count)]
    for number, path in enumerate(paths):
        if number < distinct:
            Image.new("L", (8, 8), number % 256).save(path)
        else:  # of many files in turn, since file systems have a limit of links
            os.link(paths[number % distinct], path)


def start(folder: Path, cache: Path, size: int = SIZE) -> tuple[ImageFolderDataModule, float]:
    """The data module after the steps of a run's start, and their seconds."""
    begin = time.perf_counter()
    data = ImageFolderDataModule(
        str(folder), image_size=size, test_fraction=0, val_fraction=0, batch_size=BATCH, cache_dir=str(cache)
    )
    data.prepare_data()
    data.setup()
    return data, time.perf_counter() - begin


def batches(data: ImageFolderDataModule) -> list[float]:
    """Seconds of each training batch of an epoch."""
    seconds, begin = [], time.perf_counter()
    for _ in data.train_dataloader():
        seconds.append(time.perf_counter() - begin)
        begin = time.perf_counter()
    return seconds


def torchvision_epoch(folder: Path) -> float:
    """Seconds of an epoch that decodes every photo, as notebooks do it."""
    change = Compose([Resize(SIZE), CenterCrop(SIZE), ToTensor()])
    loader = DataLoader(ImageFolder(str(folder), change), BATCH, shuffle=True, num_workers=2)
    begin = time.perf_counter()
    for _ in loader:
        pass
    return time.perf_counter() - begin


def main() -> None:
    """Write the files, measure in turns, and print a row each."""
    parser = ArgumentParser(description=__doc__.splitlines()[0], formatter_class=ArgumentDefaultsHelpFormatter)
    add_count(parser, "--images", 2000, 1, "photos that are decoded")
    add_count(parser, "--files", 100_000, 1, "small files that are listed")
    add_count(parser, "--turns", 3, 1, "how often everything is measured")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        print_table(Path(place), options.images, options.files, options.turns)


def print_table(place: Path, images: int, files: int, turns: int) -> None:
    """Measure in that folder, and print."""
    size = write_photos(place / "photos", images)
    write_links(place / "links", files)
    start(place / "links", place / "links decoded", size=8)
    first, later, many, batch, torchvision = [], [], [], [], []
    for turn in range(turns):
        cache = place / f"decoded {turn}"
        first.append(start(place / "photos", cache)[1] / images)
        data, seconds = start(place / "photos", cache)
        later.append(seconds / images)
        many.append(start(place / "links", place / "links decoded", size=8)[1] / files)
        batch += batches(data)
        torchvision.append(torchvision_epoch(place / "photos") / images)
    decoded = sum(file.stat().st_size for file in cache.rglob("*") if file.is_file())
    rows = {
        f"first start, {images:,} photos: ms an image": [1e3 * value for value in first],
        f"later start, {images:,} photos: s per 100,000 files": [1e5 * value for value in later],
        f"later start, {files:,} small files: s per 100,000 files": [1e5 * value for value in many],
        f"batch of {BATCH} from the map: ms": [1e3 * value for value in batch],
        "torchvision, every epoch: ms an image": [1e3 * value for value in torchvision],
    }
    print("| what | time |\n|---|---|")
    for name, values in rows.items():
        print(f"| {name} | {spread(values)} |")
    print(f"\nOn disk: photos {size / 1e6:,.1f} MB, decoded {decoded / 1e6:,.1f} MB")


if __name__ == "__main__":
    main()
