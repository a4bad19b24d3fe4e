"""scikit-learn's table of breast tumours: two classes, no download."""

import torch
from torch import Tensor

from datamodules.table import TableDataModule


class BreastCancerDataModule(TableDataModule):
    """569 tumours by 30 measures of their cells' nuclei: malignant (212) or benign (357).

    They come with scikit-learn (`sklearn.datasets.load_breast_cancer`). For splits and scale see `TableDataModule`.

    Source: W. H. Wolberg, W. N. Street, O. L. Mangasarian, "Breast Cancer Wisconsin (Diagnostic)", UCI Machine Learning
    Repository, 1993.

    Example:
        >>> data = BreastCancerDataModule(val_fraction=0.0, test_fraction=0.3)
        >>> data.setup()
        >>> data.split("train")[0].shape, data.split("test")[0].shape
        (torch.Size([398, 30]), torch.Size([171, 30]))
    """

    input_shape = (30,)
    num_classes = 2
    class_names = ("malignant", "benign")

    def rows(self) -> tuple[Tensor, Tensor]:
        """See `TableDataModule.rows`."""
        from sklearn.datasets import load_breast_cancer  # here, since every start would wait for it

        table = load_breast_cancer()
        return torch.from_numpy(table.data), torch.from_numpy(table.target)
