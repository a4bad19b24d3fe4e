"""Tables: rows of numbers with a class or a number to be predicted, cut at random and standardized."""

from typing import Any

import torch
from torch import Tensor

from datamodules.base import TensorDataModule
from datamodules.splits import train_val_indices


class TableDataModule(TensorDataModule):
    """Rows of D numbers, each with a class or with a number to be predicted.

    A batch is `(inputs, labels)`: floats (B, D) in the model's dtype, and int64 class indices (B,), or numbers (B,) in
    32 bits or more. Columns are standardized by mean and standard deviation of the train split alone, which are then
    `mean` and `std`, (D,) each; a column that never changes is only centred. A subclass writes `rows`, and says what it
    holds, see `TensorDataModule`.

    The test split is drawn by `test_seed` with scikit-learn's `train_test_split`, so that the splits of others who used
    it can be had; validation is then taken from the rest by `split_seed`.

    Args:
        batch_size: see `TensorDataModule`, as the four below but for what is said here.
        val_fraction: share of the rows that are not in the test split.
        train_fraction: share to keep of the train split, of each class.
        split_seed: decides validation and the kept fraction, and not the test split.
        drop_last: leave out the last training batch where it is not full.
        test_fraction: share of all rows in the test split, in [0, 1).
        test_seed: `random_state` of the drawing, at least 0.
        standardize: see above; False leaves the numbers as they are.

    Raises:
        ValueError: see `TensorDataModule`; `test_fraction` or `test_seed` is out of its range, or leaves no row to
            train on; a column to be standardized holds what is no number, or squares too large or small.

    Example:
        >>> class Line(TableDataModule):
        ...     input_shape = (1,)
        ...
        ...     def rows(self):
        ...         x = torch.arange(10.0).unsqueeze(1)
        ...         return x, 3 * x[:, 0] + 1
        >>> data = Line(val_fraction=0.25)
        >>> data.setup()
        >>> [len(data.splits[name]) for name in ("train", "val", "test")]
        [6, 2, 2]
        >>> float(data.split("train")[0].mean().abs()) < 1e-6
        True
    """

    def __init__(
        self,
        batch_size: int = 128,
        val_fraction: float = 0.2,
        train_fraction: float = 1.0,
        split_seed: int = 0,
        drop_last: bool = False,
        test_fraction: float = 0.2,
        test_seed: int = 0,
        standardize: bool = True,
    ) -> None:
        super().__init__(batch_size, val_fraction, train_fraction, split_seed, drop_last)
        if not 0 <= test_fraction < 1:
            raise ValueError(f"test_fraction must be in [0, 1), got {test_fraction}: use 0 for no test split")
        if not 0 <= test_seed < 2**32:
            raise ValueError(f"test_seed must be from 0 to {2**32 - 1}, got {test_seed}")
        self.test_fraction = test_fraction
        self.test_seed = test_seed
        self.standardize = standardize
        self.mean: Tensor | None = None
        self.std: Tensor | None = None

    def rows(self) -> tuple[Tensor, Tensor]:
        """All rows, (N, D), and their classes or numbers, (N,)."""
        raise NotImplementedError

    def test_rows(self) -> tuple[Tensor, Tensor] | None:
        """Those of a test split of its own; None where it is drawn from `rows`."""
        return None

    def read(self) -> dict[str, tuple[Tensor, Tensor]]:
        """See `TensorDataModule.read`; one table under both names where the test split is drawn from it."""
        table, apart = self._checked(*self.rows()), self.test_rows()
        return {"train": table, "test": table if apart is None else self._checked(*apart)}

    def cut(self) -> dict[str, Tensor]:
        """Draw the test split, unless it is there, and then validation."""
        train, test = (torch.arange(len(self.tensors[name][1])) for name in ("train", "test"))
        if self.tensors["train"] is self.tensors["test"]:
            train, test = self._draw_test(len(test))
        chosen, val = train_val_indices(len(train), self.val_fraction, self.split_seed)
        return {"train": train[chosen], "val": train[val], "test": test}

    def setup(self, stage: str | None = None) -> None:
        """See `TensorDataModule.setup`; then standardize."""
        if self.splits:
            return
        super().setup(stage)
        if self.standardize and self.tensors["train"][0].is_floating_point():
            self._standardize()

    def on_before_batch_transfer(self, batch: Any, dataloader_idx: int) -> tuple[Tensor, Tensor]:
        """Numbers, which are held in 64 bits, to those of the model or 32, since some devices have no more."""
        model: Any = self.trainer.lightning_module if self.trainer else None
        dtype = torch.promote_types(model.dtype if model else torch.float32, torch.float32)
        inputs, labels = (part.to(dtype) if part.is_floating_point() else part for part in batch)
        return inputs, labels

    def _draw_test(self, size: int) -> tuple[Tensor, Tensor]:
        """Row numbers of the rest and of the test split, in the order in which they are drawn."""
        from sklearn.model_selection import train_test_split  # here, since every start would wait for it

        count = -int(-self.test_fraction * size // 1)  # rounded up, as there
        if count == 0:
            return torch.arange(size), torch.arange(0)
        if count >= size:
            raise ValueError(
                f"test_fraction={self.test_fraction} leaves no row of {size} to train on: use a smaller one"
            )
        rest, test = train_test_split(range(size), test_size=self.test_fraction, random_state=self.test_seed)
        return torch.tensor(rest), torch.tensor(test)

    def _standardize(self) -> None:
        train = self.split("train")[0]
        self.mean, std = train.mean(0), train.std(0, correction=0)
        low, high = train.amin(0), train.amax(0)
        still = low == high  # rounding may leave it a deviation
        lost = (~std.isfinite() | ((std == 0) & ~still)).flatten().nonzero().flatten()
        if len(lost):
            column = int(lost[0])
            raise ValueError(
                f"column {column} of the inputs, from 0, has no mean and deviation that {train.dtype} can hold, its "
                f"values are from {low.flatten()[column]:g} to {high.flatten()[column]:g}: write it in other units, "
                "leave it out, or use standardize=False"
            )
        self.std = std.masked_fill(still, 1)
        done: dict[int, tuple[Tensor, Tensor]] = {}  # one table may stand under both names
        for name, pair in self.tensors.items():
            if id(pair) not in done:
                done[id(pair)] = ((pair[0] - self.mean) / self.std, pair[1])
            self.tensors[name] = done[id(pair)]
