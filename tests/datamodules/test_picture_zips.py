"""Zips of pictures: odd, damaged, and read by many at once."""

import pickle
import random
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from datamodules.pictures.listing import PictureListing, list_pictures
from tests.datamodules.listings import notices, rows
from tests.datamodules.pictures import pack, write_files
from tests.processes import CONTEXT


def test_names_with_umlauts_and_backslashes_in_a_zip(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name, system in (("./über/1.png", 3), ("dog\\2.png", 0), ("back\\slash/3.png", 3)):
            info = zipfile.ZipInfo(name)
            info.create_system = system  # 0: made on Windows
            archive.writestr(info, name)
    listing = list_pictures(tmp_path / "a.zip")
    assert rows(listing) == [
        ("back\\slash/3.png", "back\\slash", None),
        ("dog/2.png", "dog", None),
        ("über/1.png", "über", None),
    ]
    assert [listing.read(file).decode() for file in listing.files] == [
        "back\\slash/3.png",
        "dog\\2.png",
        "./über/1.png",
    ]


def test_links_in_a_zip_are_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("1.png", b"1")
        info = zipfile.ZipInfo("2.png")
        info.create_system, info.external_attr = 3, 0o120777 << 16
        archive.writestr(info, "1.png")
    assert [file.name for file in list_pictures(tmp_path / "a.zip").files] == ["1.png"]
    assert "'2.png'" in notices(caplog)


def damaged(content: bytes) -> dict[str, bytes]:
    """A zip cut short, and with the signature, the number or the place of its directory's entries changed."""
    directory, end = content.index(b"PK\1\2"), content.index(b"PK\5\6")
    return {
        "empty": b"",
        "a picture": b"\x89PNG\r\n\x1a\n" + bytes(100),
        "cut short": content[:-10],
        "no directory": content[:directory],
        "signature": content[:directory] + b"XXXX" + content[directory + 4 :],
        "place": content[: end + 16] + b"\xff\xff\xff\x7f" + content[end + 20 :],
        "length": content[: end + 12] + b"\x01\xff\xff\x7f" + content[end + 16 :],
        "version": content[: directory + 6] + b"\xff\x00" + content[directory + 8 :],
    }


@pytest.mark.parametrize("damage", damaged(b"PK\1\2" + bytes(50) + b"PK\5\6" + bytes(50)))
def test_damaged_zips(damage: str, tmp_path: Path) -> None:
    path = pack(write_files(tmp_path / "set", ["a/1.png", "b/2.png"]), tmp_path / "a.zip")
    path.write_bytes(damaged(path.read_bytes())[damage])
    with pytest.raises(
        ValueError, match=r"a.zip is no zip, or is cut short or damaged \(.*\): pass a folder or a .zip"
    ):
        list_pictures(path)


def test_any_changed_byte_of_a_zip_is_an_error_in_words_or_does_no_harm(tmp_path: Path) -> None:
    names = ["a/1.png", "b/2.png", "b/metadata.csv"]
    content = pack(write_files(tmp_path / "set", names), tmp_path / "a.zip").read_bytes()
    generator = random.Random(0)
    for position in range(len(content)):
        changed = bytearray(content)
        changed[position] = generator.choice([byte for byte in range(256) if byte != content[position]])
        (tmp_path / "b.zip").write_bytes(changed)
        try:
            listing = list_pictures(tmp_path / "b.zip", "none")
        except (ValueError, FileNotFoundError):
            continue
        for file in listing.files:
            try:
                read = listing.read(file)
            except OSError:
                continue
            assert read in (b"a/1.png", b"b/2.png")  # whatever it is called now


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_picture_that_changed_in_a_zip_is_an_error(compression: int, tmp_path: Path) -> None:
    root = write_files(tmp_path / "set", ["1.png"], bytes(range(256)) * 20)
    path = pack(root, tmp_path / "a.zip", compression=compression)
    listing = list_pictures(path)
    assert listing.read(listing.files[0]) == bytes(range(256)) * 20
    content = bytearray(path.read_bytes())
    content[60] ^= 1
    path.write_bytes(content)
    with pytest.raises(OSError, match="its checksum is wrong: the zip is damaged, or has changed since"):
        listing.read(listing.files[0])
    path.write_bytes(b"")
    with pytest.raises(OSError, match="its checksum is wrong"):
        listing.read(listing.files[0])
    path.unlink()
    with pytest.raises(FileNotFoundError):
        listing.read(listing.files[0])


@pytest.mark.parametrize("name", ["1.png", "metadata.csv"])
def test_encrypted_members(name: str, tmp_path: Path) -> None:
    path = pack(write_files(tmp_path / "set", ["1.png", "metadata.csv"]), tmp_path / "a.zip")
    content = bytearray(path.read_bytes())
    entry = content.index(b"PK\1\2") if name == "1.png" else content.rindex(b"PK\1\2")
    content[entry + 8] |= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"a.zip: '{name}' is encrypted: pack the pictures again without a password"):
        list_pictures(path)


def test_compression_that_is_not_read(tmp_path: Path) -> None:
    path = pack(write_files(tmp_path / "set", ["1.png"]), tmp_path / "a.zip", compression=zipfile.ZIP_BZIP2)
    with pytest.raises(
        ValueError, match=r"'1.png' is packed by method 12, expected 0 \(stored\) or 8 \(deflate\): pack"
    ):
        list_pictures(path)


@pytest.mark.parametrize("name", ["../1.png", "a/../../1.png", "..\\1.png"])
def test_names_that_climb_out_of_a_zip(name: str, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        info = zipfile.ZipInfo(name)
        info.create_system = 0
        archive.writestr(info, b"1")
        archive.writestr("2.png", b"2")
    with pytest.raises(ValueError, match="whose name leads out of the zip: pack it again from inside the folder"):
        list_pictures(tmp_path / "a.zip")


def test_a_zip_behind_other_data_and_with_a_name_twice(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("1.png", b"old")
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("1.png", b"new")
    (tmp_path / "a.zip").write_bytes(b"#!/bin/sh\n" + (tmp_path / "a.zip").read_bytes())
    listing = list_pictures(tmp_path / "a.zip")
    assert [listing.read(file) for file in listing.files] == [b"new"]


def contents(listing: PictureListing) -> list[bytes]:
    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(listing.read, listing.files))


@pytest.mark.parametrize("packed", [False, True])
def test_threads_read_at_once(packed: bool, tmp_path: Path) -> None:
    root = tmp_path / "set"
    expected = [bytes([number % 256]) * (1000 + number) for number in range(300)]
    for number, content in enumerate(expected):
        write_files(root, [f"{number}.png"], content)
    listing = list_pictures(pack(root, tmp_path / "a.zip") if packed else root)
    assert contents(listing) == expected
    again = pickle.loads(pickle.dumps(listing))
    assert again == listing
    assert contents(again) == expected


@pytest.mark.slow
def test_processes_read_at_once(tmp_path: Path) -> None:
    root = tmp_path / "set"
    expected = [bytes([number % 256]) * (1000 + number) for number in range(300)]
    for number, content in enumerate(expected):
        write_files(root, [f"{number}.png"], content)
    listing = list_pictures(pack(root, tmp_path / "a.zip"))
    with CONTEXT.Pool(2) as pool:
        assert pool.map(contents, [listing] * 2) == [expected] * 2


def test_cifar10_copies_as_they_come(real_data: Path) -> None:
    path = real_data / "CIFAR10-JPEG.zip"
    if not path.is_file():
        pytest.skip("CIFAR10-JPEG.zip is not there")
    listing = list_pictures(path)
    assert len(listing.files) == 60_000
    assert sum(file.split == "test" for file in listing.files) == 10_000
    assert listing.class_names[::9] == ("airplane", "truck")
    assert all(listing.read(file)[:2] == b"\xff\xd8" for file in map(listing.files.__getitem__, range(0, 60_000, 1000)))
