"""Tables of boxes: how they are read, and what is said of rows that are no boxes."""

from pathlib import Path

import numpy as np
import pytest

from datamodules.pictures.box_table import BoxTable, check_inside, read_box_table

COLUMNS = ["image_name", "x0", "y0", "x1", "y1"]


def table(folder: Path, text: str) -> Path:
    path = folder / "boxes.csv"
    path.write_text(text)
    return path


def test_columns_are_found_by_name_wherever_they_stand(tmp_path: Path) -> None:
    path = table(tmp_path, "id;y1;x0;y0;x1;image_name;note\n7;40;1;2;30;a.jpg;x\n\n8;4;0;0;3;b.jpg;\n")
    found = read_box_table(path, COLUMNS)
    assert found.names == ["a.jpg", "b.jpg"]
    assert found.corners.tolist() == [[1, 2, 30, 40], [0, 0, 3, 4]]
    assert found.lines == [2, 4]


@pytest.mark.parametrize("header", ["name,width,height,x0,y0,x1,y1\n", ""])
def test_columns_are_found_by_position_with_and_without_names(tmp_path: Path, header: str) -> None:
    path = table(tmp_path, header + "a.jpg,100,80,1,2,30,40\n")
    assert read_box_table(path, [0, 3, 4, 5, 6]).corners.tolist() == [[1, 2, 30, 40]]
    assert read_box_table(path, [0, -4, -3, -2, -1]).corners.tolist() == [[1, 2, 30, 40]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("image_name,x0,y0,x1,y1\n", "has no rows beside its first"),
        ("image_name,x0,y0,x1\na.jpg,1,2,3\n", "columns must name a column of .*got 'y1'"),
        ("image_name,x0,y0,x1,y1\na.jpg,1,2,3\n", "line 2: 4 values, expected 5"),
        ("image_name,x0,y0,x1,y1\na.jpg,1,2,?,4\n", r"line 2: a box must be four numbers .*'\?'"),
        ("image_name,x0,y0,x1,y1\na.jpg,1,2,9,9\nb.jpg,5,2,5,9\n", "line 3: a box must have x0 < x1 and y0 < y1.*x0=5"),
    ],
)
def test_rows_that_are_no_boxes(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_box_table(table(tmp_path, text), COLUMNS)


def test_a_missing_table_and_too_few_columns(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="there is no file"):
        read_box_table(tmp_path / "none.csv", COLUMNS)
    with pytest.raises(ValueError, match="columns must be five"):
        read_box_table(table(tmp_path, "a,1,2,3\n"), [0, 1, 2, 3])


@pytest.mark.parametrize("corners", [[-2.0, 0, 5, 5], [0, 0, 12.0, 5], [0, 0, 5, 22.0]])
def test_a_box_that_leaves_its_picture(corners: list[float]) -> None:
    boxes = BoxTable(["in.jpg", "out.jpg"], np.array([[0.0, 0, 10, 20], corners]), [2, 5])
    with pytest.raises(
        ValueError, match=r"line 5: the box .* leaves its picture 'out.jpg' of 10 x 20 pixels \(1 boxes"
    ):
        check_inside(Path("boxes.csv"), boxes, np.array([[10, 20], [10, 20]]))
