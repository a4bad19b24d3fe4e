"""scikit-learn's diabetes table: a number to be predicted, no download."""

import torch
from torch import Tensor

from datamodules.table import TableDataModule


class DiabetesDataModule(TableDataModule):
    """442 patients by age, sex, body mass index, blood pressure and six blood serum measures, in their own units.

    To be predicted is a measure of how the disease went on within a year, from 25 to 346. They come with scikit-learn
    (`sklearn.datasets.load_diabetes`). For splits and scale see `TableDataModule`.

    Source: B. Efron, T. Hastie, I. Johnstone, R. Tibshirani, "Least angle regression", Annals of Statistics 32, 2004.

    Example:
        >>> data = DiabetesDataModule(standardize=False)
        >>> data.setup()
        >>> inputs, targets = data.split("train")
        >>> inputs.shape, targets.dtype
        (torch.Size([282, 10]), torch.float64)
    """

    input_shape = (10,)

    def rows(self) -> tuple[Tensor, Tensor]:
        """See `TableDataModule.rows`."""
        from sklearn.datasets import load_diabetes  # here, since every start would wait for it

        table = load_diabetes(scaled=False)
        return torch.from_numpy(table.data).double(), torch.from_numpy(table.target).double()
