"""A user's own table in a CSV file, also one of small images."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor

from datamodules.table import TableDataModule
from datamodules.tables.layout import Layout, find_layout
from datamodules.tables.reading import read_columns
from datamodules.tables.targets import class_indices, class_names


class CSVDataModule(TableDataModule):
    r"""A table in a CSV file: a column to be predicted, and all others as inputs.

    The first row holds the columns' names if none of its values is a number, or if they count the columns (0, 1, 2).
    Values are separated by commas, semicolons, tabs or bars, whichever is most frequent there, may stand in quotes, and
    have a point for decimals.
    Empty lines are left out. A missing value, a text among the inputs and a row of another length are refused, by line
    and column. The file is read when the object is made, and by every process.

    With `image_shape` the inputs are an image's bytes 0 .. 255, as in MNIST's CSV files: batches are images in [0, 1],
    (B, C, H, W), for every model of images, and nothing is standardized.

    Args:
        path: of the file, in UTF-8.
        target: name of the column to be predicted, or its position, from 0, -1 being the last.
        targets: "classes"; "numbers"; or "auto", which takes text, and up to 100 distinct whole numbers, for classes,
            and says what it took.
        test_path: a file with the same columns, which is then the test split; `test_fraction` and `test_seed` have no
            effect.
        header: whether the first row holds names; None for the rule above.
        ignore: names or positions of columns that are left out.
        image_shape: (C, H, W), for images.
        batch_size: see `TableDataModule`, as all that follow.
        val_fraction: see `TableDataModule`.
        train_fraction: see `TableDataModule`.
        split_seed: see `TableDataModule`.
        drop_last: see `TableDataModule`.
        test_fraction: see `TableDataModule`.
        test_seed: see `TableDataModule`.
        standardize: see `TableDataModule`.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: see above; a column that is not there; one class alone; columns that are no image of `image_shape`.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     path = Path(folder, "flowers.csv")
        ...     _ = path.write_text("length,kind\n" + "1.5,rose\n2.5,lily\n" * 5)
        ...     data = CSVDataModule(str(path), target="kind")
        >>> data.input_shape, data.class_names
        ((1,), ('lily', 'rose'))
    """

    def __init__(
        self,
        path: str,
        target: int | str,
        targets: Literal["auto", "classes", "numbers"] = "auto",
        test_path: str | None = None,
        header: bool | None = None,
        ignore: Sequence[int | str] = (),
        image_shape: Sequence[int] | None = None,
        batch_size: int = 128,
        val_fraction: float = 0.2,
        train_fraction: float = 1.0,
        split_seed: int = 0,
        drop_last: bool = False,
        test_fraction: float = 0.2,
        test_seed: int = 0,
        standardize: bool = True,
    ) -> None:
        super().__init__(
            batch_size, val_fraction, train_fraction, split_seed, drop_last, test_fraction, test_seed, standardize
        )
        if targets not in ("auto", "classes", "numbers"):
            raise ValueError(f"targets must be one of ['auto', 'classes', 'numbers'], got {targets!r}")
        self.layout = find_layout(Path(path), target, header, ignore)
        self.input_shape = self._shape(image_shape)
        self._pixels = image_shape is not None
        inputs, column = self._read(self.layout)
        name = self.layout.names[self.layout.target]
        self.class_names = class_names(column, targets, name)
        self.num_classes = len(self.class_names)
        if targets == "auto":
            other = "numbers" if self.num_classes else "classes"
            rank_zero_info(
                f"{path}: column {name!r} is taken for {self._what()}; targets={other!r} takes it for {other}"
            )
        self._rows = self._with_targets(inputs, column, self.layout)
        self._test_rows: tuple[Tensor, Tensor] | None = None
        if test_path is not None:
            layout = find_layout(Path(test_path), target, header, ignore)
            if layout.names != self.layout.names:
                raise ValueError(f"{test_path} has other columns than {path}: {layout.names} and {self.layout.names}")
            self._test_rows = self._with_targets(*self._read(layout), layout)

    def rows(self) -> tuple[Tensor, Tensor]:
        """See `TableDataModule.rows`."""
        return self._rows

    def test_rows(self) -> tuple[Tensor, Tensor] | None:
        """See `TableDataModule.test_rows`."""
        return self._test_rows

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> tuple[Tensor, Tensor]:
        """See `TensorDataModule.on_after_batch_transfer`; bytes 0 .. 255 to [0, 1]."""
        inputs, labels = super().on_after_batch_transfer(batch, dataloader_idx)
        return inputs.div_(255) if self._pixels else inputs, labels

    def _shape(self, image_shape: Sequence[int] | None) -> tuple[int, ...]:
        columns = len(self.layout.inputs)
        if image_shape is None:
            return (columns,)
        if len(image_shape) != 3 or min(image_shape) < 1 or math.prod(image_shape) != columns:
            raise ValueError(
                f"image_shape must be (channels, height, width) with {columns} pixels, as many as a row of "
                f"{self.layout.path} has, got {tuple(image_shape)}"
            )
        return tuple(image_shape)

    def _read(self, layout: Layout) -> tuple[Tensor, np.ndarray]:
        inputs, column = read_columns(layout, np.uint8 if self._pixels else np.float64)
        return torch.from_numpy(inputs).view(-1, *self.input_shape), column

    def _with_targets(self, inputs: Tensor, column: np.ndarray, layout: Layout) -> tuple[Tensor, Tensor]:
        if self.num_classes:
            return inputs, torch.from_numpy(class_indices(column, self.class_names, str(layout.path)))
        if column.dtype.kind == "U":
            raise ValueError(
                f"{layout.path} holds text in the column {layout.names[layout.target]!r}, expected numbers"
            )
        return inputs, torch.from_numpy(column)

    def _what(self) -> str:
        shown = ", ".join(self.class_names[:5]) + (", ..." if self.num_classes > 5 else "")
        return f"{self.num_classes} classes ({shown})" if self.num_classes else "numbers"
