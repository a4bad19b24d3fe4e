"""Tables: splits, scale, targets; scikit-learn's two."""

from pathlib import Path

import pytest
import torch
from lightning.pytorch import LightningModule
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split
from torch import Tensor, nn

from datamodules import BreastCancerDataModule, DiabetesDataModule, EncodedDataModule, TableDataModule


class Numbers(TableDataModule):
    """Twenty rows, a column that never changes, and numbers to be predicted."""

    input_shape = (3,)

    def rows(self) -> tuple[Tensor, Tensor]:
        """Three columns of 20 rows."""
        x = torch.arange(20, dtype=torch.float64)
        return torch.stack([x, torch.full_like(x, 0.1), x.square() + 1e6], 1), x / 2


def test_the_courseworks_split_can_be_had() -> None:
    data = BreastCancerDataModule(val_fraction=0, test_fraction=0.3, test_seed=10)
    data.setup()
    x, y = load_breast_cancer(return_X_y=True)
    train, test, _, y_test = train_test_split(x, y, test_size=0.3, random_state=10)
    assert torch.equal(data.split("test")[1], torch.from_numpy(y_test))
    assert data.std is not None
    torch.testing.assert_close(data.split("train")[0] * data.std + data.mean, torch.from_numpy(train))
    torch.testing.assert_close(data.split("test")[0] * data.std + data.mean, torch.from_numpy(test))
    first = [-0.5206, -0.3630, -0.4655, -0.5522, 0.6360, 0.4767, -0.1807]
    torch.testing.assert_close(data.split("train")[0][0, :7], torch.tensor(first).double(), rtol=0, atol=5e-5)
    assert (data.num_classes, data.num_outputs, data.class_names) == (2, 2, ("malignant", "benign"))


@pytest.mark.parametrize("train_fraction", [1.0, 0.5])
def test_the_scale_is_the_train_splits_alone(train_fraction: float) -> None:
    data, raw = (Numbers(val_fraction=0.25, train_fraction=train_fraction, standardize=s) for s in (True, False))
    for module in (data, raw):
        module.setup()
    train = data.split("train")[0]
    torch.testing.assert_close(train.mean(0), torch.zeros(3).double(), rtol=0, atol=1e-9)
    torch.testing.assert_close(train.std(0, correction=0), torch.tensor([1.0, 0, 1]).double(), rtol=0, atol=1e-9)
    assert raw.mean is None
    for split in ("train", "val", "test"):
        own, its = data.split(split)[0], raw.split(split)[0]
        torch.testing.assert_close(own * data.std + data.mean, its)
        assert torch.equal(data.splits[split], raw.splits[split])
    assert len(train) == 12 * train_fraction


def test_validation_moves_and_the_test_split_stays() -> None:
    modules = [Numbers(split_seed=seed) for seed in (0, 1)]
    for data in modules:
        data.setup()
        data.setup()  # twice is once
        assert sorted(torch.cat(list(data.splits.values())).tolist()) == list(range(20))
    assert torch.equal(modules[0].splits["test"], modules[1].splits["test"])
    assert not torch.equal(modules[0].splits["val"], modules[1].splits["val"])


def test_no_test_split() -> None:
    data = Numbers(test_fraction=0, val_fraction=0)
    data.setup()
    assert data.splits["train"].tolist() == list(range(20))
    assert data.test_dataloader() == []


def test_batches_are_of_the_models_precision_and_targets_of_32_bits_or_more() -> None:
    data = Numbers(batch_size=4)
    data.setup()
    batch = next(iter(data.train_dataloader()))
    x, y = data.on_after_batch_transfer(data.on_before_batch_transfer(batch, 0), 0)
    assert (x.dtype, y.dtype, x.shape, y.shape) == (torch.float32, torch.float32, (4, 3), (4,))
    assert (data.num_classes, data.num_outputs) == (0, 1)


class Doubles(LightningModule):
    """Its codes are twice the inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(1, 1)

    def encode(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """(N, 3)."""
        return 2 * x


def test_codes_keep_the_numbers_to_be_predicted() -> None:
    data = Numbers()
    codes = EncodedDataModule(data, Doubles(), baseline=False)
    codes.setup()
    x, y = codes.split("train")
    torch.testing.assert_close(x, 2 * data.split("train")[0].float())
    assert torch.equal(y, data.split("train")[1])


def test_diabetes_is_in_its_own_units() -> None:
    data = DiabetesDataModule(standardize=False, val_fraction=0, test_fraction=0)
    data.setup()
    x, y = data.split("train")
    assert x.shape == (442, 10)
    assert (x[:, 0].min(), x[:, 0].max()) == (19, 79)  # years
    assert (y.min(), y.max()) == (25, 346)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"test_fraction": 1.0}, r"test_fraction must be in \[0, 1\), got 1.0: use 0 for no test split"),
        ({"test_fraction": float("nan")}, r"test_fraction must be in \[0, 1\), got nan"),
        ({"test_seed": -1}, r"test_seed must be from 0 to 4294967295, got -1"),
        ({"test_fraction": 0.99}, r"test_fraction=0.99 leaves no row of 20 to train on: use a smaller one"),
        ({"val_fraction": 0.99}, r"val_fraction=0.99 leaves no training image of 16"),
    ],
)
def test_fractions_out_of_range(options: dict[str, float], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        Numbers(**options).setup()  # type: ignore[arg-type]


@pytest.mark.parametrize("values", [(1e200, -1e200), (1e-200, -1e-200), (1.0, float("nan"))])
def test_columns_without_a_scale_are_refused(values: tuple[float, float]) -> None:
    class Rows(TableDataModule):
        input_shape = (2,)

        def rows(self) -> tuple[torch.Tensor, torch.Tensor]:
            return torch.tensor([[0.0, values[0]], [1.0, values[1]]], dtype=torch.float64), torch.zeros(2)

    with pytest.raises(ValueError, match=r"column 1 of the inputs, from 0, has no mean and deviation .* standardize"):
        Rows(val_fraction=0, test_fraction=0).setup()
    Rows(val_fraction=0, test_fraction=0, standardize=False).setup()
