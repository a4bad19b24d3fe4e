"""Decoded pictures on disk: what decides which entry is used, and what is left after anything that can go wrong."""

import errno
import gc
import json
import math
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
import PIL
import pytest
import torch
from PIL import Image

from datamodules.loader import BatchLoader, BatchSampler
from datamodules.pictures import cache, decoding, new_folder, threads
from datamodules.pictures.cache import CachedPictures, cache_key, cached_pictures
from datamodules.pictures.decoding import PictureFormat, decode
from datamodules.pictures.files import PictureFile, PictureFiles
from datamodules.pictures.listing import PictureListing, list_pictures
from datamodules.pictures.mapping import allowed_memory
from tests.processes import CONTEXT

SMALL = PictureFormat(image_size=8)
MIB = 2**20


def write_pictures(folder: Path, number: int, seed: int = 0) -> Path:
    """Pictures of random pixels, so that no two are equal."""
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(seed)
    for position in range(number):
        Image.fromarray(rng.integers(0, 256, (12, 12, 3), np.uint8)).save(folder / f"{position:04}.png")
    return folder


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return write_pictures(tmp_path / "photos", 40)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """The folder of the cache, beside the pictures."""
    return tmp_path / "cache"


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The notices."""
    lines: list[str] = []
    monkeypatch.setattr(cache, "rank_zero_info", lines.append)
    return lines


def entries(place: Path) -> list[str]:
    """Names of all that lies in the cache's folder, temporary folders included."""
    return sorted(path.name for path in place.iterdir()) if place.exists() else []


def assert_decoded(pictures: CachedPictures, listing: PictureListing, target: PictureFormat = SMALL) -> None:
    """Each kept picture is its own file's, in the listing's order."""
    assert pictures.images.dtype == torch.uint8
    assert len(pictures.images) == len(pictures.kept)
    for image, position in zip(pictures.images, pictures.kept, strict=True):
        assert np.array_equal(image.numpy(), decode(listing.read(listing.files[position]), target))


def no_decoding(data: bytes, target: PictureFormat) -> np.ndarray:
    raise AssertionError("decoded again")


@pytest.mark.parametrize(("workers", "channels"), [(1, 3), (3, 1), (None, 3)])
def test_pictures_are_decoded_once(
    workers: int | None, channels: int, photos: Path, place: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    listing, target = list_pictures(photos), PictureFormat(image_size=8, channels=channels)
    first = cached_pictures(listing, target, workers=workers, cache_dir=place)
    assert first.images.shape == (40, channels, 8, 8)
    assert first.kept.tolist() == list(range(40))
    assert_decoded(first, listing, target)
    assert len(said) == 1
    assert f"Decoding 40 pictures of {photos} to {channels} x 8 x 8, once: 0.0 MB in {first.folder}" in said[0]
    assert "may be deleted" in said[0]
    monkeypatch.setattr(decoding, "decode", no_decoding)
    again = cached_pictures(listing, target, cache_dir=str(place))
    assert torch.equal(again.images, first.images)
    assert again.folder == first.folder
    assert len(said) == 1
    assert entries(place) == [first.folder.name]
    about = json.loads((first.folder / "about.json").read_text())
    assert (about["number"], about["shape"], about["skipped"]) == (40, [channels, 8, 8], [])
    assert sorted(path.name for path in first.folder.iterdir()) == ["about.json", "pictures.u8"]


def test_one_picture(tmp_path: Path) -> None:
    listing = list_pictures(write_pictures(tmp_path / "one", 1))
    assert_decoded(cached_pictures(listing, SMALL, cache_dir=tmp_path / "cache"), listing)


def test_pictures_in_a_zip(photos: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        for path in sorted(photos.iterdir()):
            archive.write(path, path.name)
    zipped = list_pictures(tmp_path / "photos.zip")
    pictures = cached_pictures(zipped, SMALL, cache_dir=tmp_path / "cache", workers=3)
    assert torch.equal(pictures.images, cached_pictures(list_pictures(photos), SMALL, cache_dir=tmp_path / "b").images)
    before = cache_key(zipped, SMALL, "raise")
    os.utime(zipped.source, ns=(0, 0))
    assert cache_key(list_pictures(tmp_path / "photos.zip"), SMALL, "raise") != before


# --- where entries lie, and which is used


def listing_of(*files: PictureFile, source: str = "/photos", prefix: str = "") -> PictureListing:
    return PictureListing(Path(source), prefix, PictureFiles.of(*files), ())


A, B = PictureFile("a.png", 10, 5, None, None), PictureFile("b.png", 11, 6, None, None)


@pytest.mark.parametrize(
    "other",
    [
        listing_of(A._replace(name="c.png"), B),
        listing_of(A._replace(size=9), B),
        listing_of(A._replace(time=4), B),
        listing_of(A),
        listing_of(B, A),
        listing_of(A, B, source="/elsewhere"),
        listing_of(A, B, prefix="photos/"),
    ],
)
def test_the_entry_depends_on_the_files(other: PictureListing) -> None:
    assert cache_key(other, SMALL, "raise") != cache_key(listing_of(A, B), SMALL, "raise")


@pytest.mark.parametrize("name", [chr(0xDCFF), chr(0xD800), "ä", "a\nb"])
def test_every_name_of_a_file_has_an_entry_of_its_own(name: str) -> None:
    keys = {cache_key(listing_of(A._replace(name=one)), SMALL, "raise") for one in (name, "?", "�", "a")}
    assert len(keys) == 4


@pytest.mark.parametrize("change", [{"image_size": 9}, {"channels": 1}, {"resize": "pad"}, {"background": 0}])
def test_the_entry_depends_on_the_arguments(change: dict[str, int | str]) -> None:
    before = cache_key(listing_of(A), SMALL, "raise")
    assert cache_key(listing_of(A), replace(SMALL, **change), "raise") != before
    assert cache_key(listing_of(A), SMALL, "skip") != before


def test_the_entry_depends_on_pillow(monkeypatch: pytest.MonkeyPatch) -> None:
    before = cache_key(listing_of(A), SMALL, "raise")
    monkeypatch.setattr(PIL, "__version__", "0.0")
    assert cache_key(listing_of(A), SMALL, "raise") != before


def test_labels_and_splits_share_an_entry() -> None:
    labelled = replace(listing_of(A._replace(label="cat", split="train")), class_names=("cat",))
    assert cache_key(labelled, SMALL, "raise") == cache_key(listing_of(A), SMALL, "raise")


@pytest.mark.parametrize("xdg", [True, False])
def test_the_usual_place(xdg: bool, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg") if xdg else "")
    folder = cached_pictures(list_pictures(photos), SMALL).folder
    assert folder.parent == tmp_path / ("xdg" if xdg else ".cache") / "lit-generative" / "pictures"
    assert cached_pictures(list_pictures(photos), SMALL, cache_dir="~/here").folder.parent == tmp_path / "here"


def test_a_file_that_changes_between_two_runs(photos: Path, place: Path) -> None:
    before = cached_pictures(list_pictures(photos), SMALL, cache_dir=place)
    Image.new("RGB", (12, 12), "red").save(photos / "0007.png")
    listing = list_pictures(photos)
    after = cached_pictures(listing, SMALL, cache_dir=place)
    assert_decoded(after, listing)
    differs = (after.images != before.images).flatten(1).any(1)
    assert differs.nonzero().flatten().tolist() == [7]
    assert len(entries(place)) == 2


# --- files that are no pictures


def test_every_bad_file_is_listed_and_nothing_is_kept(photos: Path, place: Path) -> None:
    (photos / "0003.png").write_bytes(b"text")
    (photos / "0021.png").write_bytes(b"")
    for _ in range(2):
        with pytest.raises(ValueError, match=r"2 of 40 files in .*photos.*: delete or repair.*on_error skip") as caught:
            cached_pictures(list_pictures(photos), SMALL, cache_dir=place)
        lines = str(caught.value).splitlines()[1:]
        assert [line.split(": ")[0] for line in lines] == ["0003.png", "0021.png"]
        assert all(line.split(": ")[1] for line in lines)
        assert entries(place) == []
    for name in ("0003.png", "0021.png"):
        shutil.copy(photos / "0000.png", photos / name)
    assert len(cached_pictures(list_pictures(photos), SMALL, cache_dir=place).images) == 40


def test_bad_files_are_skipped_and_noted(tmp_path: Path, place: Path, said: list[str]) -> None:
    photos = write_pictures(tmp_path / "photos", 200)
    for name in ("0001.png", "0150.png"):
        (photos / name).write_bytes(b"text")
    listing = list_pictures(photos)
    for _ in range(2):
        pictures = cached_pictures(listing, SMALL, "skip", cache_dir=place)
        assert pictures.kept.tolist() == [n for n in range(200) if n not in (1, 150)]
        assert_decoded(pictures, listing)
        assert said[-1] == (
            f"2 of 200 files are left out: see {pictures.folder / 'skipped.txt'}, and "
            "delete that folder to try them again"
        )
    lines = (pictures.folder / "skipped.txt").read_text().splitlines()
    assert [line.split(": ")[0] for line in lines] == ["0001.png", "0150.png"]
    (photos / "0002.png").write_bytes(b"text")
    with pytest.raises(ValueError, match=r"3 of 200 files .*: delete or repair them; only 1% may be skipped\n0001.png"):
        cached_pictures(list_pictures(photos), SMALL, "skip", cache_dir=place)
    with pytest.raises(ValueError, match=r"3 of 200 files .* --data.on_error skip\n"):
        cached_pictures(list_pictures(photos), SMALL, cache_dir=place)


def test_one_bad_file_of_few_is_skipped_but_not_all(tmp_path: Path, place: Path) -> None:
    photos = write_pictures(tmp_path / "photos", 2)
    (photos / "0000.png").write_bytes(b"text")
    assert cached_pictures(list_pictures(photos), SMALL, "skip", cache_dir=place).kept.tolist() == [1]
    (photos / "0001.png").unlink()
    with pytest.raises(ValueError, match="1 of 1 files"):
        cached_pictures(list_pictures(photos), SMALL, "skip", cache_dir=place)


def test_files_that_are_gone_by_now(photos: Path, place: Path) -> None:
    listing = list_pictures(photos)
    (photos / "0005.png").unlink()
    with pytest.raises(ValueError, match=r"1 of 40 .*\n0005.png: it cannot be read: No such file"):
        cached_pictures(listing, SMALL, cache_dir=place)
    assert cached_pictures(listing, SMALL, "skip", cache_dir=place).kept.tolist() == [n for n in range(40) if n != 5]


def test_names_that_are_no_text_are_shown_on_one_line(photos: Path, place: Path) -> None:
    for name in (b"a\nb.png", b"\xff.png"):
        Path(os.fsdecode(os.fsencode(photos) + b"/" + name)).write_bytes(b"text")
    with pytest.raises(ValueError, match="2 of 42") as caught:
        cached_pictures(list_pictures(photos), SMALL, cache_dir=place)
    names = sorted(line.split(": ")[0] for line in str(caught.value).splitlines()[1:])
    assert names == ["\\udcff.png", "a\\nb.png"]


def test_an_entry_that_another_run_completes_between_two_looks(
    photos: Path, place: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    listing, opened = list_pictures(photos), cache._opened
    theirs = cached_pictures(listing, SMALL, cache_dir=place)
    answers = iter([None])  # it is not there yet at the first look
    monkeypatch.setattr(cache, "_opened", lambda *arguments: next(answers, opened(*arguments)))
    monkeypatch.setattr(decoding, "decode", no_decoding)
    made = theirs.folder.stat().st_ino
    assert cached_pictures(listing, SMALL, cache_dir=place).folder.stat().st_ino == made
    assert len(said) == 1


# --- arguments and places that cannot be


def test_bad_arguments(photos: Path, place: Path) -> None:
    listing = list_pictures(photos)
    with pytest.raises(ValueError, match="workers must be at least 1, got 0"):
        cached_pictures(listing, SMALL, workers=0, cache_dir=place)
    with pytest.raises(ValueError, match='on_error must be "raise" or "skip", got \'ignore\''):
        cached_pictures(listing, SMALL, "ignore", cache_dir=place)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"/photos holds no pictures: .* --data.data_dir"):
        cached_pictures(listing_of(), SMALL, cache_dir=place)
    with pytest.raises(ValueError, match=r"cannot hold decoded pictures \(.*\): .* --data.cache_dir"):
        cached_pictures(listing, SMALL, cache_dir="~nobody_of_this_name/cache")


@pytest.mark.parametrize("below", ["", "cache", "cat/cache"])
def test_a_place_among_the_pictures(below: str, photos: Path) -> None:
    """The next run would find another folder beside those of the pictures, and other classes."""
    with pytest.raises(ValueError, match=r"cache_dir=.* lies among the pictures of .*/photos.*--data.cache_dir"):
        cached_pictures(list_pictures(photos), SMALL, cache_dir=photos / below)
    assert cached_pictures(list_pictures(photos), SMALL, cache_dir=photos / ".cache" / below).images.shape[0] == 40
    assert len(list_pictures(photos).files) == 40


def test_a_place_that_is_no_folder(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(OSError, match=r"could not be (read|written) at .* \(.*\): name .* --data.cache_dir"):
            cached_pictures(list_pictures(photos), SMALL, cache_dir=place)


def test_a_disk_that_is_too_small(photos: Path, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    large = PictureFormat(image_size=128)  # 2 MB
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**9, 10**9 - 10**6, 10**6))
    monkeypatch.setattr(decoding, "decode", no_decoding)
    with pytest.raises(OSError, match=r"2 MB are needed, 1 MB are free.*cache_dir, or .* --data.image_size") as error:
        cached_pictures(list_pictures(photos), large, cache_dir=place)
    assert error.value.errno == errno.ENOSPC
    assert entries(place) == []


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], check=False).returncode:
        pytest.skip("only the superuser may mount a small tmpfs")
    yield disk
    subprocess.run(["umount", "--lazy", disk], check=True)


def test_a_disk_that_fills_up(photos: Path, disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another program takes the room that was there at the start."""
    large = PictureFormat(image_size=128)  # 2 MB
    with pytest.raises(OSError, match="2 MB are needed, 1 MB are free"):
        cached_pictures(list_pictures(photos), large, cache_dir=disk)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**9, 0, 10**9))
    with pytest.raises(OSError, match=r"could not be written .*No space left.*--data.image_size") as error:
        cached_pictures(list_pictures(photos), large, cache_dir=disk)
    assert error.value.errno == errno.ENOSPC
    assert entries(disk) == []
    assert len(cached_pictures(list_pictures(photos), SMALL, cache_dir=disk).images) == 40


def test_a_disk_that_may_only_be_read(photos: Path, disk: Path) -> None:
    """What lies there is used; what does not is an error in words."""
    before = cached_pictures(list_pictures(photos), SMALL, cache_dir=disk)
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    assert torch.equal(cached_pictures(list_pictures(photos), SMALL, cache_dir=disk).images, before.images)
    with pytest.raises(OSError, match=r"could not be written at .*Read-only file system.*--data.cache_dir"):
        cached_pictures(list_pictures(photos), PictureFormat(image_size=9), cache_dir=disk)


# --- the file behind the tensor


def test_writing_to_the_tensor_does_not_reach_the_file(photos: Path, place: Path) -> None:
    pictures = cached_pictures(list_pictures(photos), SMALL, cache_dir=place)
    original = pictures.images.clone()
    pictures.images.zero_()
    assert torch.equal(cached_pictures(list_pictures(photos), SMALL, cache_dir=place).images, original)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts open files by /proc, as Linux has it")
def open_files(folder: Path) -> int:
    """How often this process has files of the folder open."""
    found = [os.path.realpath(f"/proc/self/fd/{number}") for number in os.listdir("/proc/self/fd")]
    return sum(name.startswith(str(folder.resolve())) for name in found)


def test_the_file_is_closed_with_the_tensor(photos: Path, place: Path) -> None:
    pictures = cached_pictures(list_pictures(photos), SMALL, cache_dir=place)
    assert open_files(place) == 1
    del pictures
    gc.collect()
    assert open_files(place) == 0


def test_a_cache_whose_name_is_no_text(photos: Path, tmp_path: Path) -> None:
    place = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff"))
    for _ in range(2):
        assert_decoded(cached_pictures(list_pictures(photos), SMALL, cache_dir=place), list_pictures(photos))


def test_deleting_the_cache_while_it_is_used(photos: Path, place: Path) -> None:
    pictures = cached_pictures(list_pictures(photos), SMALL, cache_dir=place)
    shutil.rmtree(place)
    assert_decoded(pictures, list_pictures(photos))
    assert_decoded(cached_pictures(list_pictures(photos), SMALL, cache_dir=place), list_pictures(photos))


DAMAGES: dict[str, Callable[[Path], object]] = {
    "shorter": lambda entry: os.truncate(entry / "pictures.u8", 1000),
    "a picture shorter": lambda entry: os.truncate(entry / "pictures.u8", 39 * 3 * 8 * 8),
    "empty": lambda entry: os.truncate(entry / "pictures.u8", 0),
    "longer": lambda entry: (entry / "pictures.u8").open("ab").write(b"0"),
    "without pixels": lambda entry: (entry / "pictures.u8").unlink(),
    "without notes": lambda entry: (entry / "about.json").unlink(),
    "half the notes": lambda entry: os.truncate(entry / "about.json", 50),
    "other notes": lambda entry: (entry / "about.json").write_text("[1]"),
    "notes without positions": lambda entry: (entry / "about.json").write_text('{"skipped": ["a"]}'),
    "positions out of range": lambda entry: (entry / "about.json").write_text('{"skipped": [40]}'),
    "no bytes that are text": lambda entry: (entry / "about.json").write_bytes(b"\xff"),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_damaged_entry_is_made_anew(
    damage: Callable[[Path], object], photos: Path, place: Path, said: list[str]
) -> None:
    listing = list_pictures(photos)
    entry = cached_pictures(listing, SMALL, cache_dir=place).folder
    damage(entry)
    pictures = cached_pictures(listing, SMALL, cache_dir=place)
    assert said[1] == f"{entry} is damaged, and made anew"
    assert_decoded(pictures, listing)
    assert entries(place) == [entry.name]


# --- what is stopped, killed, or done twice at once


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_a_stop_leaves_nothing(
    error: type[BaseException], photos: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded = []

    def stops(data: bytes, target: PictureFormat) -> np.ndarray:
        decoded.append(data)
        time.sleep(0.02)  # the other thread is not done when this one raises
        if len(decoded) == 20:
            raise error
        return decode(data, target)

    monkeypatch.setattr(decoding, "decode", stops)
    with pytest.raises(error):
        cached_pictures(list_pictures(photos), SMALL, cache_dir=place, workers=2)
    assert entries(place) == []
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("decode")]


def test_decoding_is_only_a_little_ahead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory does not grow with the listing: what is decoded waits for what is written."""
    listing = list_pictures(write_pictures(tmp_path / "photos", 300))
    decoded = []
    monkeypatch.setattr(decoding, "decode", lambda data, target: decoded.append(1) or decode(data, target))
    parts = threads.decode_in_order(listing, SMALL, workers=2)
    used = 0
    for part in parts:
        used += len(part.pixels)
        time.sleep(0.02)
        assert len(decoded) <= used + 2 * 2 * threads._FILES
    assert used == len(decoded) == 300


def build(photos: str, place: str, together: int = 1, hangs_at: int | str = "") -> None:
    """In a process of its own: begin to decode when `together` processes are there; stop for good at some point.

    That point is after so many pictures, or "rename": when all is written, before it is put into its place. A file
    `reached` says that it came there.
    """
    decoded = []

    def hang(*_: object) -> None:
        Path(place, "../reached").touch()
        time.sleep(1000)

    def waits(data: bytes, target: PictureFormat) -> np.ndarray:
        wait_until(lambda: len(entries(Path(place))) >= together)
        if len(decoded) == hangs_at:
            hang()
        decoded.append(data)
        return decode(data, target)

    decoding.decode = waits  # type: ignore[assignment]
    if hangs_at == "rename":
        Path.rename = hang  # type: ignore[method-assign, assignment]
    cached_pictures(list_pictures(photos), SMALL, cache_dir=place, workers=1)


def start(photos: Path, place: Path, *arguments: int | str) -> BaseProcess:
    process = CONTEXT.Process(target=build, args=(str(photos), str(place), *arguments), daemon=True)
    process.start()
    return process


def wait_until(seen: Callable[[], bool], *processes: BaseProcess) -> None:
    """Return as soon as it is so; a process that ends before is a failure."""
    until = time.monotonic() + 120
    while not seen():
        assert all(process.is_alive() for process in processes)
        assert time.monotonic() < until
        time.sleep(0.002)


@pytest.mark.slow
def test_a_kill_leaves_no_entry_and_the_next_run_cleans_up(photos: Path, place: Path) -> None:
    """Killed before the first picture, in the middle, and with all written but the last step."""
    reached = place.parent / "reached"
    for point in (0, 35, "rename"):
        killed = start(photos, place, 1, point)
        wait_until(reached.exists, killed)
        killed.kill()
        killed.join()
        assert killed.exitcode == -signal.SIGKILL
        (left,) = entries(place)
        assert left.startswith(".tmp-")
        reached.unlink()
    assert (place / left / "pictures.u8").stat().st_size == 40 * 3 * 8 * 8
    listing = list_pictures(photos)
    pictures = cached_pictures(listing, SMALL, cache_dir=place)
    assert_decoded(pictures, listing)
    assert entries(place) == [pictures.folder.name]


@pytest.mark.slow
def test_two_processes_that_build_at_once(photos: Path, place: Path) -> None:
    """Neither decodes before both have a temporary folder."""
    for process in [start(photos, place, 2) for _ in range(2)]:
        process.join(240)
        assert process.exitcode == 0
    listing = list_pictures(photos)
    pictures = cached_pictures(listing, SMALL, cache_dir=place)
    assert_decoded(pictures, listing)
    assert entries(place) == [pictures.folder.name]


def test_the_first_of_two_stays(tmp_path: Path) -> None:
    place = tmp_path / "entry"
    with new_folder.new_folder(place) as second:
        (second / "a").write_text("second")
        with new_folder.new_folder(place) as first:
            (first / "a").write_text("first")
    assert (place / "a").read_text() == "first"
    assert entries(tmp_path) == ["entry"]


def test_which_temporary_folders_are_removed(tmp_path: Path) -> None:
    here = new_folder._host()
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    names = {
        f".tmp-a@{here}@{ended.pid}@0": False,
        f".tmp-a@{here}@{os.getpid()}@1": True,
        f".tmp-a@{here}@1@2": True,  # another user's, but for the superuser
        f".tmp-a@elsewhere@{ended.pid}@3": True,
        ".tmp-a@elsewhere@1@4": False,
        f".tmp-a@{here}@word@5": True,
        ".tmp-mine": True,
        "b": True,
    }
    for name in names:
        (tmp_path / name).mkdir()
        (tmp_path / name / "pictures.u8").write_text("")
    old = tmp_path / ".tmp-a@elsewhere@1@4"
    for path in (old / "pictures.u8", old):
        os.utime(path, (0, 0))
    with new_folder.new_folder(tmp_path / "c"):
        pass
    assert entries(tmp_path) == sorted([name for name, stays in names.items() if stays] + ["c"])


# --- sets larger than memory


def memory(name: str) -> int:
    """Bytes of this process, by /proc/self/status."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def read_with_little_memory(place: str, number: int) -> None:
    """Random batches of the whole set, while a quarter of it may be allocated beside the map."""
    listing = listing_of(*[PictureFile(str(n), n, n, None, None) for n in range(number)])
    size = number * 3 * 64 * 64
    limit = memory("VmData") + size + size // 4  # a private map counts as data
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    images = cached_pictures(listing, PictureFormat(), cache_dir=place).images
    assert images.nbytes == size
    sampler = BatchSampler(size=number, batch_size=128, shuffle=True)
    loader = BatchLoader(images, torch.zeros(number, dtype=torch.int64), torch.arange(number), sampler)
    for _ in zip(loader, range(5), strict=False):
        pass
    before, seen = memory("RssAnon"), 0
    for batch, _ in loader:
        seen += len(batch)
        assert memory("RssAnon") - before < 32 * MIB
    assert seen == number
    assert memory("RssFile") > size // 2  # it was read
    with pytest.raises(RuntimeError, match="memory"):  # so the limit does hold
        images.clone()


def sparse_entry(place: Path, number: int, target: PictureFormat) -> PictureListing:
    """An entry of black pictures, which takes no room on the disk."""
    listing = listing_of(*[PictureFile(str(n), n, n, None, None) for n in range(number)])
    entry = place / cache_key(listing, target, "raise")
    entry.mkdir(parents=True)
    (entry / "about.json").write_text('{"skipped": []}')
    (entry / "pictures.u8").touch()
    os.truncate(entry / "pictures.u8", number * math.prod(target.shape))
    return listing


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems reserve nothing")
def test_a_set_larger_than_the_memory_of_the_machine(place: Path) -> None:
    if Path("/proc/sys/vm/overcommit_memory").read_text().strip() == "2":
        pytest.skip("this machine reserves memory for every map, by its owner's choice")
    target = PictureFormat(image_size=2048)
    number = 2 * os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // math.prod(target.shape)
    images = cached_pictures(sparse_entry(place, number, target), target, cache_dir=place).images
    assert len(images) == number
    assert images[-1, -1, -1, -1] == 0
    assert "rr" in flags_of_map(place)  # no pages are read that were not asked for


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="reads the map's flags from /proc, as Linux has it")
def test_a_set_that_fits_is_read_with_its_neighbours(photos: Path, place: Path) -> None:
    pictures = cached_pictures(list_pictures(photos), SMALL, cache_dir=place)
    assert "rr" not in flags_of_map(place)
    assert len(pictures.images) == 40


def flags_of_map(place: Path) -> list[str]:
    """What the kernel notes of the one map of a file in this folder: "rr" where it reads no neighbours."""
    (words,) = re.findall(rf"{place}/.*?VmFlags: (.*?)\n", Path("/proc/self/smaps").read_text(), re.DOTALL)
    return words.split()


@pytest.mark.parametrize(
    ("groups", "limits", "expected"),
    [
        ("0::/job/step", {"job/step/memory.max": "max", "job/memory.max": "5000"}, 5000),
        ("0::/job/step", {"job/step/memory.max": "4000", "job/memory.max": "5000"}, 4000),
        ("0::/outside", {"memory.max": "3000"}, 3000),
        ("4:memory:/a\n3:cpu,cpuacct:/b", {"memory/a/memory.limit_in_bytes": "2000", "b/memory.max": "1"}, 2000),
        ("4:memory:/", {"memory/memory.limit_in_bytes": "9223372036854771712"}, None),
        ("", {}, None),
    ],
)
def test_memory_that_may_be_used(groups: str, limits: dict[str, str], expected: int | None, tmp_path: Path) -> None:
    files = {"proc/self/cgroup": groups} | {f"sys/fs/cgroup/{name}": text for name, text in limits.items()}
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text + "\n")
    physical = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert allowed_memory(tmp_path if groups else tmp_path / "nothing") == (expected or physical)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads memory from /proc, as Linux has it")
def test_a_set_four_times_the_memory(place: Path) -> None:
    number = 256 * MIB // (3 * 64 * 64)
    sparse_entry(place, number, PictureFormat())
    process = CONTEXT.Process(target=read_with_little_memory, args=(str(place), number), daemon=True)
    process.start()
    process.join(120)
    assert process.exitcode == 0
