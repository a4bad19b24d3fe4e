"""Callbacks under any Trainer: plain loaders, other data modules, several loaders, batches of any form, bfloat16."""

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback, LightningDataModule, Trainer
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, TensorDataset

from callbacks import ClassCoverage, LatentTSNE, ReconstructionGrid, ReconstructionMSE, SampleGrid
from callbacks.batches import batches, class_names, first_images, has_split
from datamodules import DigitsDataModule
from tests.callbacks.test_callbacks import Speaks, make_trainer, pictures
from tests.callbacks.test_classes import Brightness


def images(n: int, value: float | None = None) -> TensorDataset:
    x = torch.rand(n, 1, 28, 28, generator=torch.Generator().manual_seed(0)) if value is None else torch.ones(1)
    return TensorDataset(
        x if value is None else x.reshape(1, 1, 1, 1).expand(n, 1, 28, 28) * value, torch.arange(n) % 3
    )


def everything() -> list[Callback]:
    return [
        SampleGrid(),
        ReconstructionGrid(),
        ReconstructionMSE(),
        LatentTSNE(max_points=20),
        ClassCoverage(Brightness()),
    ]


class Reads(Speaks):
    """Reads batches of any form, and notes the order of its training images."""

    def __init__(self, conditional: bool = False) -> None:
        super().__init__(conditional)
        self.order: list[float] = []

    def read_batch(self, batch: Any) -> tuple[Tensor, Tensor | None]:
        if isinstance(batch, dict):
            return batch["image"], batch.get("label")
        return (batch, None) if isinstance(batch, Tensor) else (batch[0], batch[1] if len(batch) > 1 else None)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        self.order += self.read_batch(batch)[0][:, 0, 0, 0].tolist()
        return self.weight.square()


@pytest.mark.slow
def test_every_callback_works_with_plain_loaders(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path, *everything(), epochs=1)
    trainer.fit(Reads(), DataLoader(images(40), 8), DataLoader(images(20), 8))
    assert pictures(tmp_path) == {
        f"{name}_epoch001.png"
        for name in ("samples", "reconstructions_train", "reconstructions_val", "tsne_mean", "class_coverage")
    }
    x = images(20)[:][0]
    expected = (0.5 * x).square().mean().item()
    assert trainer.callback_metrics["val/reconstruction_mse"].item() == pytest.approx(expected, rel=1e-5)
    trainer.test(Reads(), DataLoader(images(20), 8), verbose=False)
    assert "reconstructions_test_test.png" in pictures(tmp_path)
    assert trainer.callback_metrics["test/reconstruction_mse"].item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.filterwarnings("ignore:You defined a `validation_step` but have no")
def test_without_validation_there_is_no_held_out_picture(tmp_path: Path) -> None:
    trainer = make_trainer(
        tmp_path, ReconstructionGrid(), ReconstructionMSE(), LatentTSNE(), epochs=1, limit_val_batches=0
    )
    trainer.fit(Reads(), DataLoader(images(40), 8))
    assert pictures(tmp_path) == {"reconstructions_train_epoch001.png", "tsne_mean_epoch001.png"}
    assert set(trainer.callback_metrics) == {"train/reconstruction_mse"}


class Foreign(LightningDataModule):
    """A data module of somebody else's, whose batches are dicts and which scales bytes itself."""

    def setup(self, stage: str) -> None:
        self.stage = stage

    def _loader(self) -> DataLoader:
        def collate(rows: list[tuple[Tensor, Tensor]]) -> dict[str, Tensor]:
            return {"image": torch.stack([255 * x for x, _ in rows]), "label": torch.stack([y for _, y in rows])}

        return DataLoader(images(30), 8, collate_fn=collate)

    def train_dataloader(self) -> DataLoader:
        return self._loader()

    def val_dataloader(self) -> dict[str, DataLoader]:
        return {"one": self._loader(), "other": self._loader()}

    def test_dataloader(self) -> DataLoader:
        if self.stage != "test":
            raise AttributeError("the test split is not there yet")
        return self._loader()

    def on_after_batch_transfer(self, batch: dict[str, Tensor], dataloader_idx: int) -> dict[str, Tensor]:
        return {**batch, "image": batch["image"] / 255}


@pytest.mark.slow
def test_every_callback_works_with_another_data_module(tmp_path: Path) -> None:
    class Model(Reads):
        def validation_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None: ...

    trainer = make_trainer(tmp_path, *everything(), epochs=1)
    trainer.fit(Model(), datamodule=Foreign())
    assert {"tsne_mean_epoch001.png", "reconstructions_val_epoch001.png"} < pictures(tmp_path)
    assert has_split(trainer, "train")
    assert not has_split(trainer, "test")
    # two validation loaders are read one after the other
    assert sum(len(x) for x, _ in batches(trainer, trainer.lightning_module, "val")) == 60
    trainer.test(Model(), datamodule=Foreign(), verbose=False)
    assert "tsne_mean_test.png" in pictures(tmp_path)


def test_two_validation_loaders(tmp_path: Path) -> None:
    class Model(Reads):
        def validation_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None: ...

    trainer = make_trainer(tmp_path, ReconstructionGrid(), ReconstructionMSE(), epochs=1)
    val = [DataLoader(images(20, 0.2), 8), DataLoader(images(20, 0.6), 8)]
    trainer.fit(Model(), DataLoader(images(20), 8), val)
    expected = ((0.1**2) + (0.3**2)) / 2
    assert trainer.callback_metrics["val/reconstruction_mse"].item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("form", ["tensor", "list", "dict"])
def test_batches_without_labels(form: str, tmp_path: Path) -> None:
    def collate(rows: list[tuple[Tensor, Tensor]]) -> Any:
        x = torch.stack([x for x, _ in rows])
        return {"tensor": x, "list": [x], "dict": {"image": x}}[form]

    trainer = make_trainer(tmp_path, *everything(), epochs=1)
    loader = DataLoader(images(30), 8, collate_fn=collate)
    trainer.fit(Reads(), loader, loader)
    assert "tsne_mean_epoch001.png" in pictures(tmp_path)
    assert first_images(trainer, trainer.lightning_module, "train", 9)[1] is None


class Noisy(Dataset):
    """Images with noise from every source of random numbers there is."""

    def __len__(self) -> int:
        return 24

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        noise = torch.rand(()).item() + random.random() + float(np.random.rand())
        return torch.full((1, 28, 28), (index + noise / 3) / 25), 0


@pytest.mark.parametrize("own", [False, True], ids=["global random state", "generator of the loader's own"])
@pytest.mark.slow
def test_reading_leaves_trainings_random_numbers_alone(own: bool, tmp_path: Path) -> None:
    def order(*callbacks: Callback) -> list[float]:
        torch.manual_seed(3)
        np.random.seed(3)
        random.seed(3)
        generator = torch.Generator().manual_seed(5) if own else None
        loader = DataLoader(Noisy(), 8, shuffle=True, generator=generator)
        model = Reads()
        trainer = make_trainer(tmp_path, *callbacks, epochs=3)
        trainer.limit_train_batches = 1.0
        trainer.fit(model, loader, DataLoader(Noisy(), 8))
        return model.order

    assert order(ReconstructionGrid(), ReconstructionMSE(), LatentTSNE(every_n_epochs=1)) == order()


def test_what_is_shuffled_is_read_in_the_same_order_each_time(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path, epochs=1)
    trainer.fit(Reads(), DataLoader(images(40), 8, shuffle=True), DataLoader(images(8), 8))
    first, second = (first_images(trainer, trainer.lightning_module, "train", 16)[0] for _ in range(2))
    assert torch.equal(first, second)


@pytest.mark.parametrize("conditional", [False, True])
def test_samples_need_no_data(conditional: bool, tmp_path: Path) -> None:
    model = Reads(conditional)
    make_trainer(tmp_path, SampleGrid(columns=2), epochs=1).fit(
        model, DataLoader(images(8), 8), DataLoader(images(8), 8)
    )
    assert pictures(tmp_path) == {"samples_epoch001.png"}
    assert len(model.asked) == (model.num_classes if conditional else 1)


def test_names_of_classes_are_the_data_modules_or_numbers(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path)
    assert class_names(trainer, 3) == ["0", "1", "2"]
    trainer.datamodule = DigitsDataModule()  # type: ignore[attr-defined]
    trainer.datamodule.class_names = ("zero", "one", "two")  # type: ignore[attr-defined]
    assert class_names(trainer, 2) == ["zero", "one"]
    assert class_names(trainer, 4) == ["0", "1", "2", "3"]


def test_data_without_classes_have_no_labels(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Their batches hold zeros, which are no class: nothing is named "0", and no accuracy is told."""
    data = DigitsDataModule(batch_size=100)
    data.num_classes, data.class_names = 0, ()
    trainer = make_trainer(tmp_path, LatentTSNE(max_points=20), epochs=1)
    trainer.fit(Reads(), datamodule=data)
    assert all(y is None for _, y in batches(trainer, trainer.lightning_module, "test"))
    assert "nearest" not in capsys.readouterr().err
    assert pictures(tmp_path) == {"tsne_mean_epoch001.png"}
    assert all(y is not None for _, y in batches(trainer, Reads(conditional=True), "test"))


def test_names_of_classes_are_no_formulas(tmp_path: Path) -> None:
    data = DigitsDataModule(batch_size=100)
    data.class_names = ("$5_$", r"$\x$", "a$", "_b", "c\nd", *"56789")
    trainer = make_trainer(tmp_path, *everything(), epochs=1)
    trainer.fit(Reads(conditional=True), datamodule=data)
    assert len(pictures(tmp_path)) == 5


def test_bfloat16_is_drawn_and_measured(tmp_path: Path) -> None:
    data = DigitsDataModule(batch_size=100)
    trainer = make_trainer(tmp_path, *everything(), epochs=1, precision="bf16-true")
    model = Speaks()
    trainer.fit(model, datamodule=data)
    assert model.weight.dtype == torch.bfloat16
    assert len(pictures(tmp_path)) == 5
    figure = trainer.callback_metrics["train/reconstruction_mse"]
    expected = (0.5 * data.split("train")[0].double() / 255).square().mean().item()
    # sums in bfloat16 would stall at a hundredth of it
    assert figure.item() == pytest.approx(expected, rel=0.01)
    assert figure.dtype == torch.float32


def test_barebones_runs_without_pictures_and_figures(tmp_path: Path) -> None:
    trainer = Trainer(
        barebones=True, max_epochs=1, callbacks=everything(), accelerator="cpu", default_root_dir=tmp_path,
        limit_train_batches=1, limit_val_batches=1,
    )  # fmt: skip
    trainer.fit(Speaks(), datamodule=DigitsDataModule())
    assert not list(tmp_path.rglob("*.png"))
