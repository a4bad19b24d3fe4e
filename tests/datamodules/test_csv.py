"""CSV files: layouts, classes, numbers, images; what is refused, by line and column."""

from pathlib import Path

import numpy as np
import pytest
import torch

from datamodules import CSVDataModule
from lit_generative import train

IRIS = "length,width,kind\n5.1,3.5,setosa\n6.2,2.9,virginica\n4.9,3.0,setosa\n5.9,3.2,virginica\n6.0,3.1,virginica\n"


def whole(path: Path, target: str | int = -1, **options) -> tuple[torch.Tensor, torch.Tensor, CSVDataModule]:
    """All rows of a file as they are, in its order."""
    data = CSVDataModule(str(path), target, val_fraction=0, test_fraction=0, standardize=False, **options)
    data.setup()
    return *data.split("train"), data


def write(folder: Path, text: str, name: str = "table.csv", encoding: str = "utf-8") -> Path:
    (folder / name).write_bytes(text.encode(encoding))
    return folder / name


@pytest.mark.parametrize(
    ("change", "encoding"),
    [
        (lambda text: text, "utf-8"),
        (lambda text: text, "utf-8-sig"),
        (lambda text: text.replace(",", ";"), "utf-8"),
        (lambda text: text.replace(",", "\t"), "utf-8"),
        (lambda text: text.replace("\n", "\r\n"), "utf-8"),
        (lambda text: text.replace("\n", "\n\n  \n"), "utf-8"),
        (lambda text: text.removesuffix("\n"), "utf-8"),
        (lambda text: "\n" + text, "utf-8"),
        (lambda text: text.replace(",", " , "), "utf-8"),
        (lambda text: text.replace("5.1", '"5.1"').replace("setosa", '"setosa"'), "utf-8"),
        (lambda text: text.replace("length", '"length"'), "utf-8-sig"),
    ],
    ids=[
        "commas",
        "BOM",
        "semicolons",
        "tabs",
        "CRLF",
        "empty lines",
        "no end",
        "late",
        "spaces",
        "quotes",
        "quoted BOM",
    ],
)
def test_layouts(change, encoding: str, tmp_path: Path) -> None:
    x, y, data = whole(write(tmp_path, change(IRIS), encoding=encoding), "kind")
    assert data.class_names == ("setosa", "virginica")
    assert y.tolist() == [0, 1, 0, 1, 1]
    assert x.dtype == torch.float64
    assert x.tolist() == [[5.1, 3.5], [6.2, 2.9], [4.9, 3.0], [5.9, 3.2], [6.0, 3.1]]


def test_a_quoted_name_may_hold_the_delimiter(tmp_path: Path) -> None:
    x, y, _ = whole(write(tmp_path, '"a, in cm",y\n1,0.5\n2,0.25\n'), "y")
    assert (x.tolist(), y.tolist()) == ([[1.0], [2.0]], [0.5, 0.25])


@pytest.mark.parametrize("target", [0, -3, "column 1"])
def test_no_header(target: str | int, tmp_path: Path) -> None:
    path = write(tmp_path, "3,0.5,1\n1,0.25,2\n3,0.125,3\n")
    if isinstance(target, str):
        with pytest.raises(ValueError, match=r"target must be the position of a column .* the first row holds numbers"):
            whole(path, "y")
    x, y, data = whole(path, target)
    assert (data.class_names, y.tolist()) == (("1", "3"), [1, 0, 1])
    assert x.tolist() == [[0.5, 1], [0.25, 2], [0.125, 3]]


def test_names_that_are_numbers_need_to_be_told(tmp_path: Path) -> None:
    path = write(tmp_path, "0,1,y\n5,6,0.5\n7,8,1.5\n")
    with pytest.raises(ValueError, match="targets='numbers', but column 'column 3' holds text such as 'y'"):
        whole(path, -1, targets="numbers")
    x, y, _ = whole(path, "y", header=True)
    assert (x.tolist(), y.tolist()) == ([[5, 6], [7, 8]], [0.5, 1.5])


@pytest.mark.parametrize(
    ("column", "targets", "names"),
    [
        (["0", "1.0", "1"], "auto", ("0", "1")),
        (["0.5", "1", "1"], "auto", ()),
        (["0.5", "1", "1"], "classes", ("0.5", "1")),
        (["7", "1", "1"], "numbers", ()),
        (["10", "9", "9"], "auto", ("9", "10")),
        (["10", "9", "a"], "auto", ("10", "9", "a")),
        (["1e3", "-2", "-2"], "auto", ("-2", "1000")),
    ],
)
def test_classes_or_numbers(column: list[str], targets: str, names: tuple[str, ...], tmp_path: Path) -> None:
    text = "x,y\n" + "".join(f"{row},{value}\n" for row, value in enumerate(column))
    _, y, data = whole(write(tmp_path, text), "y", targets=targets)
    assert data.class_names == names
    if names:
        assert [float(names[index]) if names[index] != "a" else "a" for index in y] == [
            float(value) if value != "a" else "a" for value in column
        ]
    else:
        assert y.tolist() == [float(value) for value in column]


def test_classes_with_long_numbers_stay_apart(tmp_path: Path) -> None:
    text = "x,y\n1,1000000000000001\n2,1000000000000002\n3,1000000000000001\n"
    _, y, data = whole(write(tmp_path, text), "y")
    assert data.class_names == ("1000000000000001", "1000000000000002")
    assert y.tolist() == [0, 1, 0]


def test_numbers_with_a_comma_may_be_names_of_classes(tmp_path: Path) -> None:
    assert whole(write(tmp_path, "x;y\n1;1,5\n2;2\n"), "y", targets="classes")[2].class_names == ("1,5", "2")


def test_many_whole_numbers_are_no_classes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    text = "x,y\n" + "".join(f"{row % 3},{row}\n" for row in range(101))
    with caplog.at_level("INFO"):
        assert whole(write(tmp_path, text), "y")[2].num_classes == 0
    assert "column 'y' is taken for numbers; targets='classes' takes it for classes" in caplog.text
    assert whole(write(tmp_path, text), "y", targets="classes")[2].num_classes == 101


def test_columns_that_are_left_out(tmp_path: Path) -> None:
    path = write(tmp_path, ",name,x,y\n0,ann,0.5,1\n1,bob,0.25,0\n")
    with pytest.raises(ValueError, match=r"column 1 has no name, .* leave it out with ignore=\[0\]"):
        whole(path, "y", header=True)
    path = write(tmp_path, "id,name,x,y\n0,ann,0.5,1\n1,bob,0.25,0\n")
    x, y, _ = whole(path, "y", ignore=["name", 0])
    assert (x.tolist(), y.tolist()) == ([[0.5], [0.25]], [1, 0])


def digits(folder: Path, name: str, rows: int, header: bool = True) -> np.ndarray:
    """A CSV of images as MNIST's are: the label first."""
    generator = np.random.default_rng(rows)
    table = np.c_[np.arange(rows) % 10, generator.integers(0, 256, (rows, 784))]
    names = ",".join(["label", *(f"{row}x{column}" for row in range(1, 29) for column in range(1, 29))])
    np.savetxt(folder / name, table, fmt="%d", delimiter=",", header=names if header else "", comments="")
    return table


@pytest.mark.parametrize("header", [True, False])
def test_images_as_csv(header: bool, tmp_path: Path) -> None:
    table, test = (digits(tmp_path, name, rows, header) for name, rows in (("train.csv", 60), ("test.csv", 20)))
    words = [f"--data.path={tmp_path}/train.csv", f"--data.test_path={tmp_path}/test.csv", "--data.target=0"]
    words += ["--data.image_shape=[1,28,28]", "--data.batch_size=8", "--trainer.log_every_n_steps=1"]
    words += ["--trainer.max_epochs=1", f"--trainer.default_root_dir={tmp_path}/runs", "--trainer.accelerator=cpu"]
    cli = train.main(["fit", "--model=LitVAE", "--model.encoder.hidden_dims=[8]", "--data=CSVDataModule", *words])
    assert cli.model.image_shape == (1, 28, 28)
    data = cli.datamodule
    assert (data.num_classes, data.class_names, len(data.splits["val"])) == (10, tuple("0123456789"), 12)
    for split, expected in (("train", table[data.splits["train"]]), ("test", test)):
        images, labels = data.split(split)
        assert images.dtype == torch.uint8
        assert np.array_equal(images.flatten(1).numpy(), expected[:, 1:])
        assert np.array_equal(labels.numpy(), expected[:, 0])
    data.trainer = None
    images, _ = data.on_after_batch_transfer(next(iter(data.test_dataloader())), 0)
    torch.testing.assert_close(images, torch.from_numpy(test[:8, 1:] / 255).float().view(8, 1, 28, 28))


CONCRETE = ["cement", "slag", "flyash", "water", "superplasticizer", "coarseaggregate", "fineaggregate", "age", "csMPa"]


def test_a_table_of_concrete_by_one_command(tmp_path: Path) -> None:
    """The coursework's own columns, generated: least squares finds what made them."""
    generator = np.random.default_rng(0)
    x = generator.uniform(0, 500, (200, 8)).round(1)
    slopes = np.array([0.12, 0.1, 0.09, -0.15, 0.29, 0.02, 0.02, 0.11])
    y = (x @ slopes - 23).round(2)
    np.savetxt(
        tmp_path / "concrete.csv", np.c_[x, y], fmt="%.6g", delimiter=",", header=",".join(CONCRETE), comments=""
    )
    words = ["--config=configs/linear_regression_diabetes.yaml", "--data=CSVDataModule", "--data.target=csMPa"]
    words += [f"--data.path={tmp_path}/concrete.csv", "--data.standardize=false", "--trainer.precision=64-true"]
    cli = train.main(["fit", *words, f"--trainer.default_root_dir={tmp_path}/runs", "--trainer.accelerator=cpu"])
    assert cli.model.num_outputs == 1
    found = cli.model.head.linear
    np.testing.assert_allclose(found.weight.detach().numpy()[0], slopes, atol=1e-3)
    assert float(found.bias.detach()) == pytest.approx(-23, abs=0.1)
    assert float(cli.trainer.callback_metrics["val/r2"]) > 0.999


# text; arguments; kind; words
BAD: list[tuple[str, dict, type[Exception], str]] = [
    ("", {}, ValueError, "table.csv is empty: pass a file with rows"),
    ("\n \n", {}, ValueError, "table.csv is empty"),
    ("x,y\n", {}, ValueError, "table.csv has no rows beside its first, .* header=False .* reads it"),
    ("y\n1\n2\n", {}, ValueError, "has no column beside the target 'y': it was read with the delimiter ','"),
    (IRIS, {"target": "colour"}, ValueError, "target must name a column of .*, got 'colour': there are 3, 'length', "),
    (
        IRIS,
        {"target": 3},
        ValueError,
        "target must name a column of .*, got 3: .* a whole number is a position, from 0",
    ),
    (IRIS, {"target": 0.0}, ValueError, "target must name a column of .*, got 0.0"),
    (IRIS, {"ignore": ["id"]}, ValueError, "ignore must name a column of .*, got 'id'"),
    (IRIS, {"targets": "numbers"}, ValueError, "targets='numbers', but column 'kind' holds text such as 'setosa'"),
    (IRIS, {"targets": "labels"}, ValueError, r"targets must be one of \['auto', 'classes', 'numbers'\], got 'labels'"),
    ("x,x,y\n1,2,3\n", {}, ValueError, "two columns are named 'x': rename one"),
    ("x,y\n1,2\n,3\n", {}, ValueError, "line 3, column 'x': the value is missing: fill it in, or delete the line"),
    ("x;y\n1;1,5\n2;2\n", {}, ValueError, "column 'y' holds numbers with a comma such as '1,5': write decimals with"),
    ("x;y\n1;1,5\n2;2\n", {"targets": "numbers"}, ValueError, "holds numbers with a comma such as '1,5'"),
    ('x,y\n1,a\n2,b\n3,"a\n4,b\n', {}, ValueError, "ends in line 5 runs over several lines, beginning with 'a'"),
    (f"x,y\n1,{2**53}\n2,{2**53 + 1}\n3,1\n", {}, ValueError, "whole numbers up to 9.0.*e.15, too large to be told"),
    ("x,y\n1,2\n\nNA,3\n", {}, ValueError, "line 4, column 'x': the value is missing"),
    ("x,y\n1,2\nnan,3\n", {}, ValueError, "line 3, column 'x': the value is missing"),
    ("x,y\n1,a\n2,\n", {}, ValueError, "line 3, column 'y': the value is missing, and it is the one to be predicted"),
    ("x,y\n1,2\nred,3\n", {}, ValueError, r"line 3, column 'x': 'red' is no number: .* ignore=\['x'\]"),
    ("x;y\n1,5;2\n2,5;3\n", {}, ValueError, "line 2, column 'x': '1,5' is no number: write decimals with a point"),
    ("x,y\n1,2\ninf,3\n", {}, ValueError, "line 3, column 'x': 'inf' is no number"),
    ("x,y\n1,2\n1_0,3\n", {}, ValueError, "line 3, column 'x': '1_0' is no number"),
    ("x,y\n1,2\n1,2,3\n", {}, ValueError, "line 3: 3 values, expected 2 as in the first row: repair or delete"),
    ("x,y\n1,2\n1\n", {}, ValueError, "line 3: 1 values, expected 2"),
    ("x,y\n1,2\n3,2\n", {}, ValueError, "the column 'y' holds '2' alone: to tell classes apart needs at least two"),
    ("x,y\n1,a\n3,a\n", {}, ValueError, "the column 'y' holds 'a' alone"),
    (
        "a,b,y\n1,2,1\n1,256,0\n",
        {"image_shape": [1, 1, 2]},
        ValueError,
        "whole numbers from 0 to 255, got 256 in col.* 'b'",
    ),
    ("a,b,y\n1,2,1\n1,0.5,0\n", {"image_shape": [1, 1, 2]}, ValueError, "got 0.5 in column 'b': leave image_shape out"),
    ("a,b,y\n1,2,1\n1,-1,0\n", {"image_shape": [1, 1, 2]}, ValueError, "got -1 in column 'b'"),
    ("a,b,y\n1,2,1\n1,0,0\n", {"image_shape": [1, 2, 2]}, ValueError, r"with 2 pixels, .* got \(1, 2, 2\)"),
    ("a,b,y\n1,2,1\n1,0,0\n", {"image_shape": [2]}, ValueError, r"image_shape must be .* got \(2,\)"),
]


@pytest.mark.parametrize(("text", "options", "kind", "message"), BAD)
def test_what_is_refused(text: str, options: dict, kind: type[Exception], message: str, tmp_path: Path) -> None:
    with pytest.raises(kind, match=message):
        whole(write(tmp_path, text), **({"target": -1} | options))


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"there is no file .*nowhere.csv: pass the path of a CSV file"):
        whole(tmp_path / "nowhere.csv")
    with pytest.raises(FileNotFoundError, match="there is no file"):
        whole(tmp_path)
    with pytest.raises(ValueError, match="is no text in UTF-8: save it as CSV in UTF-8"):
        whole(write(tmp_path, "größe,y\n1,2\n", encoding="latin-1"))
    (tmp_path / "late.csv").write_bytes(b"x,y\n" + b"1,2\n" * 5000 + b"\xff,1\n")
    with pytest.raises(ValueError, match="is no text in UTF-8"):
        whole(tmp_path / "late.csv")


def test_a_test_file_must_have_the_same_columns_and_classes(tmp_path: Path) -> None:
    train_path = write(tmp_path, IRIS)
    other = write(tmp_path, IRIS.replace("width", "height"), "other.csv")
    with pytest.raises(ValueError, match=r"other.csv has other columns than .*'height'"):
        whole(train_path, "kind", test_path=str(other))
    new = write(tmp_path, IRIS.replace("setosa", "versicolor"), "new.csv")
    with pytest.raises(
        ValueError, match=r"new.csv holds the class 'versicolor', which the training table does not have"
    ):
        whole(train_path, "kind", test_path=str(new))
    words = write(tmp_path, "x,y\n1,a\n2,b\n", "words.csv")
    with pytest.raises(ValueError, match=r"words.csv holds text in the column 'y', expected numbers"):
        whole(write(tmp_path, "x,y\n1,0.5\n2,1\n", "numbers.csv"), "y", test_path=str(words))
    _, _, data = whole(train_path, "kind", test_path=str(train_path))
    assert data.split("test")[1].tolist() == [0, 1, 0, 1, 1]
    scaled = CSVDataModule(str(train_path), "kind", test_path=str(train_path), val_fraction=0)
    scaled.setup()
    assert torch.equal(scaled.split("test")[0], scaled.split("train")[0])


def test_a_first_row_that_counts_the_columns_holds_names(tmp_path: Path) -> None:
    """As pandas writes a table without names: it must not become a row of numbers."""
    (tmp_path / "table.csv").write_text("0,1,2\n" + "".join(f"{n}.5,{n},{n % 2}\n" for n in range(20)))
    data = CSVDataModule(str(tmp_path / "table.csv"), target="2")
    data.setup()
    assert sum(len(rows) for rows in data.splits.values()) == 20
    assert data.num_classes == 2


def test_a_comma_in_decimals_is_no_delimiter(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("1,5\t0\n1,7\t1\n2,5\t0\n")
    with pytest.raises(ValueError, match="'1,5' is no number: write decimals with a point"):
        CSVDataModule(str(tmp_path / "table.csv"), target=1).setup()
