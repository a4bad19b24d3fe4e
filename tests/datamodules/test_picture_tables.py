"""Tables of pictures: metadata.csv and dataset.json, in a folder and in its zip."""

from pathlib import Path

import pytest

from datamodules.pictures.listing import list_pictures
from tests.datamodules.listings import both, notices, rows
from tests.datamodules.pictures import pack, write_files

CSV = b"file_name,label\n1.png,cat\n2.png,dog\n"
JSON = b'{"labels": [["00000/1.png", 10], ["00000/2.png", 9]]}'


@pytest.mark.parametrize(
    "content",
    [
        CSV,
        b"\xef\xbb\xbf" + CSV,
        CSV.replace(b"\n", b"\r\n"),
        b'file_name, label\n1.png, "cat"\n2.png,dog \n',
        b'label,more,"file_name"\ncat,"x, ""y""\nz",./1.png\n\ndog,,2.png',
    ],
    ids=["plain", "byte order mark", "Windows", "spaces", "quotes"],
)
def test_metadata_gives_pictures_and_classes(content: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_files(tmp_path / "set", ["1.png", "2.png", "3.png", "x/4.png"])
    write_files(tmp_path / "set", ["metadata.csv"], content)
    assert rows(both(tmp_path / "set")) == [("1.png", "cat", None), ("2.png", "dog", None)]
    assert "2 pictures are left out" in notices(caplog)
    assert "no pictures" not in notices(caplog)  # the table is not counted as something unknown
    assert len(both(tmp_path / "set", "none").files) == 4


def test_metadata_at_the_top_of_splits(tmp_path: Path) -> None:
    write_files(tmp_path / "set", ["train/1.png", "train/2.png", "test/1.png"])
    write_files(tmp_path / "set", ["metadata.csv"], b"file_name,label\ntrain/1.png,b\ntest\\1.png,b\ntrain/2.png,a")
    listing = both(tmp_path / "set")
    assert rows(listing) == [("test/1.png", "b", "test"), ("train/1.png", "b", "train"), ("train/2.png", "a", "train")]
    assert listing.class_names == ("a", "b")


def test_metadata_in_each_split(tmp_path: Path) -> None:
    write_files(tmp_path / "set", ["train/1.png", "train/2.png", "test/2.png", "test/x/1.png"])
    write_files(tmp_path / "set", ["train/metadata.csv"], CSV)
    write_files(tmp_path / "set", ["test/metadata.csv"], b"file_name,label\nx/1.png,dog")
    expected = [("test/x/1.png", "dog", "test"), ("train/1.png", "cat", "train"), ("train/2.png", "dog", "train")]
    assert rows(both(tmp_path / "set", "folders")) == expected


def test_metadata_without_labels_leaves_classes_to_the_folders(tmp_path: Path) -> None:
    write_files(tmp_path / "set", ["a/1.png", "a/2.png", "b/1.png"])
    write_files(tmp_path / "set", ["metadata.csv"], "file_name,größe\na/2.png,3\nb/1.png,4".encode())
    assert rows(both(tmp_path / "set")) == [("a/2.png", "a", None), ("b/1.png", "b", None)]


def test_metadata_names_files_with_any_letter(tmp_path: Path) -> None:
    write_files(tmp_path / "set", ["über 1.png", "a,b.png"])
    write_files(tmp_path / "set", ["metadata.csv"], 'file_name,label\nüber 1.png,ü\n"a,b.png",x'.encode())
    assert both(tmp_path / "set").class_names == ("x", "ü")


def test_dataset_json(tmp_path: Path) -> None:
    write_files(tmp_path / "set", ["00000/1.png", "00000/2.png"])
    write_files(tmp_path / "set", ["dataset.json"], JSON)
    listing = both(tmp_path / "set")
    assert rows(listing) == [("00000/1.png", "10", None), ("00000/2.png", "9", None)]
    assert listing.class_names == ("9", "10")


def test_dataset_json_without_labels_has_no_classes(tmp_path: Path) -> None:
    write_files(tmp_path / "set", ["00000/1.png", "00001/2.png"])
    write_files(tmp_path / "set", ["dataset.json"], b'{"labels": null}')
    assert rows(both(tmp_path / "set")) == [("00000/1.png", None, None), ("00001/2.png", None, None)]


def test_two_tables_must_agree_on_whether_there_are_classes(tmp_path: Path) -> None:
    root = write_files(tmp_path / "set", ["train/1.png", "train/2.png", "test/1.png"])
    write_files(root, ["train/metadata.csv"], CSV)
    write_files(root, ["test/metadata.csv"], b"file_name\n1.png")
    with pytest.raises(ValueError, match="must either all give classes or none"):
        list_pictures(root)


# the table beside 1.png; the error's words
BAD_CSV = {
    b"file_name;label\n1.png;a": r"has the columns \['file_name;label'\], expected 'file_name'.*separated by commas",
    b"": r"has the columns \[\]",
    b"file_name\n1.png\n2.png\n../1.png\n1.txt\n9.png\n": "names '2.png', '../1.png', '1.txt' and 1 more: there is no",
    b"file_name\n1.png\n./1.png\n": "names '1.png' more than once: leave one row",
    b"label,file_name\na,1.png\n\nb\n": "line 4, has no file_name: write one",
    b"file_name,label\n1.png, \n": "line 2, has no label: write one",
    "file_name\nü.png".encode("latin-1"): r"is not in UTF-8 \(.*save it in that",
    "file_name\nx".encode("utf-16-le"): r"is not in UTF-8 \(it holds zero bytes\): save it in that",
    b"file_name,label\n": "names no pictures: write a row for each",
    b'file_name\n"1.png\n': "line 2, is no line of a CSV file",
}
BAD_JSON = {
    b'{"labels": [["2.png", 0]]}': "names '2.png': there is no such picture",
    b'{"labels": []}': "names no pictures: write a row for each",
    b'{"labels": [["1.png", 0], ["1.png", 1]]}': "names '1.png' more than once",
} | dict.fromkeys(
    [
        b"",
        b"[]",
        b"{}",
        b'{"labels": 3}',
        b'{"labels": [3]}',
        b'{"labels": [["1.png"]]}',
        b'{"labels": [["1.png", "a"]]}',
        b'{"labels": [["1.png", 1.0]]}',
        b'{"labels": [["1.png", true]]}',
        b'{"labels": [["1.png", [0, 1]]]}',
        b'{"labels": [[1, 1]]}',
        b'{"labels": {"1.png": 1}}',
        b"\xff\xfe",
        b"[" * 100_000,
    ],
    "is not StyleGAN's.*correct it, remove it, or use",
)


@pytest.mark.parametrize(
    ("table", "content", "message"),
    [("metadata.csv", *row) for row in BAD_CSV.items()] + [("dataset.json", *row) for row in BAD_JSON.items()],
    ids=lambda value: str(value)[:40],
)
def test_bad_tables(table: str, content: bytes, message: str, tmp_path: Path) -> None:
    root = write_files(write_files(tmp_path / "set", ["1.png"]), [table], content)
    for data_dir in (root, pack(root, tmp_path / "set.zip")):
        with pytest.raises(ValueError, match=rf"data_dir='.*set.*': {table}.*{message}"):
            list_pictures(data_dir)


@pytest.mark.parametrize(
    ("table", "content"), [("metadata.csv", b"file_name\n1.png"), ("dataset.json", b'{"labels": null}')]
)
def test_a_table_without_classes_where_classes_are_asked_for(table: str, content: bytes, tmp_path: Path) -> None:
    root = write_files(write_files(tmp_path / "set", ["1.png"]), [table], content)
    with pytest.raises(
        ValueError, match=r"there are no class folders, expected .* or a column 'label' in metadata.csv"
    ):
        list_pictures(root, "folders")


def test_one_table_only(tmp_path: Path) -> None:
    root = write_files(tmp_path / "set", ["1.png", "metadata.csv", "dataset.json"])
    with pytest.raises(ValueError, match=r"there are both metadata.csv and dataset.json: remove one"):
        list_pictures(root)


def test_a_table_for_each_split(tmp_path: Path) -> None:
    root = write_files(tmp_path / "set", ["train/1.png", "test/1.png"])
    write_files(root, ["train/metadata.csv"], b"file_name\n1.png")
    with pytest.raises(
        ValueError, match=r"'train/metadata.csv' is there, but nothing like it in test/: write one there"
    ):
        list_pictures(root)


def test_classes_of_the_test_split_must_be_known(tmp_path: Path) -> None:
    root = write_files(tmp_path / "set", ["train/1.png", "test/1.png"])
    write_files(root, ["metadata.csv"], b"file_name,label\ntrain/1.png,a\ntest/1.png,b")
    with pytest.raises(ValueError, match="test/ has the classes 'b', which train/ has not"):
        list_pictures(root)
