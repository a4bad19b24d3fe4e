"""Listing of pictures: layouts of folders, the same from a folder and from its zip; errors and notices in words."""

import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from datamodules.pictures.listing import list_pictures
from tests.datamodules.listings import Labels, Row, both, notices, rows
from tests.datamodules.pictures import pack, write_files

# layout; choice of labels; rows that must come out; classes
LAYOUTS: dict[str, tuple[Sequence[str], Any, list[Row], tuple[str, ...]]] = {
    "flat": (["b.png", "a.JPG", "notes.txt"], "auto", [("a.JPG", None, None), ("b.png", None, None)], ()),
    "classes": (
        ["dog/1.png", "cat/2.png"],
        "auto",
        [("cat/2.png", "cat", None), ("dog/1.png", "dog", None)],
        ("cat", "dog"),
    ),
    "deep": (["x/y/z/1.png", "y/1.png"], "folders", [("x/y/z/1.png", "x", None), ("y/1.png", "y", None)], ("x", "y")),
    "no classes": (["b/1.png", "2.png"], "none", [("2.png", None, None), ("b/1.png", None, None)], ()),
    "splits": (
        ["train/b/1.png", "train/a/1.png", "test/b/x/1.png"],
        "auto",
        [("test/b/x/1.png", "b", "test"), ("train/a/1.png", "a", "train"), ("train/b/1.png", "b", "train")],
        ("a", "b"),
    ),
    "flat splits": (
        ["Train/1.png", "TEST/1.png"],
        "auto",
        [("TEST/1.png", None, "test"), ("Train/1.png", None, "train")],
        (),
    ),
    "splits, no classes": (
        ["train/b/1.png", "test/1.png"],
        "none",
        [("test/1.png", None, "test"), ("train/b/1.png", None, "train")],
        (),
    ),
    "train alone": (["train/a/1.png"], "auto", [("train/a/1.png", "a", None)], ("a",)),
    "test alone": (["test/a/1.png"], "auto", [("test/a/1.png", "a", "test")], ("a",)),
    "hidden": (
        ["a/1.png", "b/1.png", ".git/1.png", "__MACOSX/a/1.png", "a/._1.png", "a/.x/1.png", "a/__x/1.png", "__2.png"],
        "auto",
        [("a/1.png", "a", None), ("b/1.png", "b", None)],
        ("a", "b"),
    ),
    "one class": (["cat/1.png"], "folders", [("cat/1.png", "cat", None)], ("cat",)),
}


@pytest.mark.parametrize(("names", "labels", "expected", "classes"), LAYOUTS.values(), ids=LAYOUTS)
def test_layouts(
    names: Sequence[str], labels: str, expected: list[Row], classes: tuple[str, ...], tmp_path: Path
) -> None:
    listing = both(write_files(tmp_path / "set", names), labels)
    assert rows(listing) == expected
    assert listing.class_names == classes
    assert listing.source == (tmp_path / "set").resolve()
    assert [listing.read(file) for file in listing.files] == [(listing.prefix + f.name).encode() for f in listing.files]


def test_times_of_a_folder_and_checksums_of_a_zip(tmp_path: Path) -> None:
    write_files(tmp_path / "set", ["1.png"])
    os.utime(tmp_path / "set" / "1.png", ns=(10, 1234567890123456789))
    assert list_pictures(tmp_path / "set").files[0].time == 1234567890123456789
    before, _ = (list_pictures(pack(write_files(tmp_path / "set", ["1.png"]), tmp_path / f"{n}.zip")) for n in range(2))
    write_files(tmp_path / "set", ["1.png"], b"1.pgn")
    after = list_pictures(pack(tmp_path / "set", tmp_path / "0.zip"))
    assert before.files[0].size == after.files[0].size
    assert before.files[0].time != after.files[0].time


def test_classes_and_files_are_in_natural_order(tmp_path: Path) -> None:
    names = [f"class{number}/img{picture}.png" for number in range(1, 12) for picture in (1, 2, 10)]
    listing = both(write_files(tmp_path / "set", names))
    assert [file.name for file in listing.files] == names
    assert listing.class_names == tuple(f"class{number}" for number in range(1, 12))


@pytest.mark.skipif(sys.platform != "linux", reason="macOS takes UTF-8 alone as names")
def test_any_name_can_be_read(tmp_path: Path) -> None:
    names = [
        "a b.png",
        "line\nend.png",
        "über.png",
        "back\\slash.png",
        os.fsdecode(b"latin\xfc.png"),
        "日本.png",
        "''.png",
    ]
    listing = list_pictures(write_files(tmp_path / "set", names))
    assert {file.name for file in listing.files} == set(names)
    assert all(listing.read(file) == os.fsencode(file.name) for file in listing.files)


@pytest.mark.parametrize(
    "suffix",
    [
        ".jpg",
        ".JPEG",
        ".jpe",
        ".jfif",
        ".png",
        ".webp",
        ".gif",
        ".bmp",
        ".tif",
        ".TIFF",
        ".ppm",
        ".pgm",
        ".pbm",
        ".pnm",
        ".avif",
        ".heic",
        ".heif",
    ],
)
def test_suffixes(suffix: str, tmp_path: Path) -> None:
    assert len(both(write_files(tmp_path / "set", [f"a{suffix}", f"{suffix[1:]}", f"a{suffix}.txt"])).files) == 1


# --- wrapping folders


def test_wrapping_folders_are_stepped_into(tmp_path: Path) -> None:
    listing = both(write_files(tmp_path / "set", ["a/b/x/1.png", "a/b/y/1.png", "a/README", "__MACOSX/a/1.png"]))
    assert listing.prefix == "a/b/"
    assert listing.class_names == ("x", "y")
    assert [file.name for file in listing.files] == ["x/1.png", "y/1.png"]


@pytest.mark.parametrize("beside", ["1.png", "cats/", "metadata.csv", "dataset.json"])
def test_a_folder_with_something_beside_it_is_no_wrapper(beside: str, tmp_path: Path) -> None:
    write_files(
        tmp_path / "set",
        ["dogs/1.png", beside],
        b'{"labels": null}' if beside.endswith("json") else b"file_name\ndogs/1.png",
    )
    assert both(tmp_path / "set", "none").prefix == ""
    if beside != "1.png":
        assert [file.name for file in both(tmp_path / "set").files] == ["dogs/1.png"]


def test_one_folder_of_pictures_is_a_wrapper_unless_classes_are_asked_for(tmp_path: Path) -> None:
    write_files(tmp_path / "set", ["photos/dogs/1.png"])
    assert rows(both(tmp_path / "set")) == [("1.png", None, None)]
    listing = both(tmp_path / "set", "folders")
    assert (listing.prefix, rows(listing)) == ("photos/", [("dogs/1.png", "dogs", None)])


# --- links


def test_links_are_followed_and_loops_are_not(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_files(tmp_path / "elsewhere", ["1.png", "more/2.png"])
    root = write_files(tmp_path / "set", ["a/0.png"])
    (root / "b").symlink_to(tmp_path / "elsewhere")
    (root / "a" / "5.png").symlink_to(tmp_path / "elsewhere" / "1.png")
    (root / "a" / "loop").symlink_to(root)
    (root / "a" / "self").symlink_to(root / "a")
    (tmp_path / "elsewhere" / "more" / "back").symlink_to("..")
    expected = {"a/0.png", "a/5.png", "b/1.png", "b/more/2.png"}
    assert {file.name for file in list_pictures(root).files} == expected
    assert notices(caplog) == ""
    (tmp_path / "link").symlink_to(root)
    assert list_pictures(tmp_path / "link") == list_pictures(root)


def test_broken_links_are_left_out_with_a_notice(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = write_files(tmp_path / "set", ["0.png"])
    (root / "gone.png").symlink_to("nowhere")
    (root / "self.png").symlink_to("self.png")
    (root / "folder").symlink_to("nowhere")
    assert [file.name for file in list_pictures(root).files] == ["0.png"]
    kind, named = notices(caplog).split(": ")
    assert kind == "Links that cannot be followed are left out"
    assert sorted(named.split(", ")) == ["'folder'", "'gone.png'", "'self.png'"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes")
def test_what_is_no_file_is_no_picture(tmp_path: Path) -> None:
    write_files(tmp_path / "set", ["1.png", "folder.png/2.png"])
    os.mkfifo(tmp_path / "set" / "pipe.png")
    assert [f.name for f in list_pictures(tmp_path / "set", "none").files] == ["1.png", "folder.png/2.png"]


# --- notices


def test_empty_class_folders_are_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = write_files(
        tmp_path / "set", ["train/a/1.png", "train/c10/", "train/c2/old/notes.txt", "test/a/1.png", "x/y/"]
    )
    assert both(root).class_names == ("a",)
    assert "Class folders without pictures are left out: 'train/c2', 'train/c10'\n" in notices(caplog) + "\n"


def test_validation_folder_beside_splits_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = write_files(tmp_path / "set", ["train/a/1.png", "val/a/1.png"])
    assert [file.name for file in both(root).files] == ["train/a/1.png"]
    assert "beside train/ is left out: 'val/'. Validation pictures are cut from train/" in notices(caplog)
    assert "--data.val_fraction" in notices(caplog)
    write_files(root, ["test/a/1.png", "more/1.png", "cover.png"])
    assert [file.name for file in both(root).files] == ["test/a/1.png", "train/a/1.png"]
    assert "'more/', 'val/', 'cover.png'" in notices(caplog)


def test_other_files_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    both(write_files(tmp_path / "set", ["1.png", "README", "inner.zip", ".hidden"]))
    assert re.findall(
        r"^2 files that are no pictures are left out, such as '(README|inner.zip)'$", notices(caplog), re.MULTILINE
    )


def test_nothing_to_say(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    both(write_files(tmp_path / "set", ["a/1.png", "b/1.png", ".hidden"]))
    assert notices(caplog) == ""


# --- errors

# files; choice of labels; kind of error; its words
BAD: dict[str, tuple[Sequence[str], Any, type[Exception], str]] = {
    "unknown choice": (["1.png"], "yes", ValueError, "labels must be one of 'auto', 'folders', 'none', got 'yes'"),
    "nothing": ([], "auto", FileNotFoundError, r"data_dir='.*set.*there are no pictures \(\.avif.*\): pass a folder"),
    "no pictures": (["a.txt"], "none", FileNotFoundError, "there are no pictures"),
    "hidden pictures": ([".a.png", "__b/1.png"], "auto", FileNotFoundError, "there are no pictures"),
    "zip inside": (["a.zip"], "auto", FileNotFoundError, "pass the zip in it, 'a.zip', itself"),
    "mixed": (
        ["1.png", "a/2.png"],
        "auto",
        ValueError,
        "data_dir='.*in class folders, such as 'a/2.png', and 1 outside, such as '1.png'.*--data.labels none",
    ),
    "mixed, asked for": (["1.png", "a/2.png"], "folders", ValueError, "move these into class folders"),
    "mixed splits": (["train/1.png", "test/a/2.png"], "auto", ValueError, "such as 'test/a/2.png', and 1 outside"),
    "flat": (["1.png"], "folders", ValueError, "no class folders, expected one for each class.*--data.labels none"),
    "flat splits": (["train/1.png", "test/1.png"], "folders", ValueError, "no class folders"),
    "class of test": (
        ["train/a/1.png", "test/b/1.png", "test/c/1.png"],
        "auto",
        ValueError,
        "test/ has the classes 'b', 'c', which train/ has not: give both",
    ),
    "a class called train": (
        ["car/1.png", "train/1.png"],
        "auto",
        ValueError,
        "train/ may be a split or a class, as there is 'car/' beside",
    ),
    "pictures beside train": (["train/1.png", "2.png"], "none", ValueError, "as there is '2.png' beside it"),
    "test without train": (["test/1.png", "val/1.png"], "auto", ValueError, "test/ may be a split or a class"),
}


@pytest.mark.parametrize(("names", "labels", "kind", "message"), BAD.values(), ids=BAD)
def test_bad_layouts(names: Sequence[str], labels: Labels, kind: type[Exception], message: str, tmp_path: Path) -> None:
    root = write_files(tmp_path / "set", names)
    for data_dir in (root, pack(root, tmp_path / "set.zip")):
        with pytest.raises(kind, match=message):
            list_pictures(data_dir, labels)


def test_a_picture_that_is_gone(tmp_path: Path) -> None:
    listing = list_pictures(write_files(tmp_path / "set", ["1.png"]))
    (tmp_path / "set" / "1.png").unlink()
    with pytest.raises(FileNotFoundError):
        listing.read(listing.files[0])


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"data_dir='.*nowhere': there is no such folder or zip"):
        list_pictures(tmp_path / "nowhere")


def test_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    write_files(tmp_path / "photos", ["1.png"])
    assert list_pictures("~/photos").source == (tmp_path / "photos").resolve()
