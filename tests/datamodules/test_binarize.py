"""`binarize`: draws with the grey values as probabilities, afresh in training, fixed in evaluation."""

from pathlib import Path

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor

from datamodules import DigitsDataModule, ImageDataModule


class Watcher(LightningModule):
    """Keeps every batch it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.seen: dict[str, list[Tensor]] = {"train": [], "val": [], "test": []}

    def _keep(self, stage: str, batch: tuple[Tensor, Tensor]) -> None:
        self.seen[stage].append(batch[0].clone())

    def training_step(self, batch, batch_idx):
        self._keep("train", batch)
        return self.weight.sum()

    def validation_step(self, batch, batch_idx):
        self._keep("val", batch)

    def test_step(self, batch, batch_idx):
        self._keep("test", batch)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def run(folder: Path, epochs: int = 2, **options) -> dict[str, list[Tensor]]:
    trainer = Trainer(
        max_epochs=epochs, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0, default_root_dir=folder, accelerator="cpu",
    )  # fmt: skip
    watcher = Watcher()
    data = DigitsDataModule(binarize=True, **{"batch_size": 300} | options)
    trainer.fit(watcher, data)
    trainer.test(watcher, data, verbose=False)
    return watcher.seen


class Flat(ImageDataModule):
    """Images of one grey value each, in order, as floats."""

    input_shape = (1, 20, 20)

    def load(self, train: bool) -> tuple[Tensor, Tensor]:
        return torch.linspace(0, 1, 30).view(-1, 1, 1, 1).expand(-1, *self.input_shape), torch.arange(30)


def test_pixels_are_binary_and_as_probable_as_they_are_bright() -> None:
    data = Flat(binarize=True, val_fraction=0.5)
    data.setup()
    images, grey = data.split("test")[0], torch.linspace(0, 1, 30)
    assert set(images.unique().tolist()) == {0.0, 1.0}
    share = images.mean((1, 2, 3))
    assert ((share - grey).abs() <= 4 * (grey * (1 - grey) / 400).sqrt() + 1e-6).all()
    assert images[0].sum() == 0
    assert images[-1].sum() == 400


def test_training_is_drawn_afresh_in_each_epoch_and_evaluation_once(tmp_path: Path) -> None:
    seen = run(tmp_path, epochs=2)
    for stage in seen:
        assert set(torch.cat(seen[stage]).unique().tolist()) == {0.0, 1.0}, stage
    half = len(seen["val"]) // 2
    torch.testing.assert_close(torch.cat(seen["val"][:half]), torch.cat(seen["val"][half:]))
    # sums do not depend on the order, and would be the same if the draws were
    half = len(seen["train"]) // 2
    assert torch.cat(seen["train"][:half]).sum() != torch.cat(seen["train"][half:]).sum()
    again = run(tmp_path, batch_size=77)
    torch.testing.assert_close(torch.cat(again["test"]), torch.cat(seen["test"]))
    torch.testing.assert_close(torch.cat(again["val"]), torch.cat(seen["val"]))


def test_a_run_repeats_its_draws(tmp_path: Path) -> None:
    torch.testing.assert_close(torch.cat(run(tmp_path)["train"]), torch.cat(run(tmp_path)["train"]))


def test_the_global_random_state_is_left_alone() -> None:
    data = Flat(binarize=True)
    data.setup()
    batch = next(iter(data.train_dataloader()))
    torch.manual_seed(5)
    data.on_after_batch_transfer(batch, 0)
    found = torch.rand(1)
    torch.manual_seed(5)
    assert found == torch.rand(1)


def test_training_images_stay_grey_in_memory() -> None:
    data = Flat(binarize=True)
    data.setup()
    assert len(data.split("train")[0].unique()) > 2
    assert len(data.split("val")[0].unique()) == 2


def test_colour_images_are_refused() -> None:
    class Colour(Flat):
        input_shape = (3, 20, 20)

    with pytest.raises(ValueError, match="binarize=True is for grey images, got images of 3 channels"):
        Colour(binarize=True).setup()
