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
    again = run(tmp_path, batch_size=77)
    torch.testing.assert_close(torch.cat(again["test"]), torch.cat(seen["test"]))
    torch.testing.assert_close(torch.cat(again["val"]), torch.cat(seen["val"]))


class Grey(Flat):
    """The same grey image again and again: what differs between two of them is the draw."""

    def load(self, train: bool) -> tuple[Tensor, Tensor]:
        return torch.full((30, *self.input_shape), 0.5), torch.zeros(30, dtype=torch.int64)


def draws_of(folder: Path, data: ImageDataModule) -> tuple[Tensor, ...]:
    watcher = Watcher()
    options = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    Trainer(max_epochs=2, enable_model_summary=False, default_root_dir=folder, accelerator="cpu", **options).fit(
        watcher, data
    )
    return tuple(torch.cat(watcher.seen["train"]))


def test_no_two_training_images_are_drawn_alike(tmp_path: Path) -> None:
    draws = draws_of(tmp_path, Grey(binarize=True, batch_size=10))
    assert len(draws) == 48
    assert len({tuple(draw.flatten().tolist()) for draw in draws}) == 48


def test_training_images_read_elsewhere_are_drawn_once_whatever_the_batch() -> None:
    found = []
    for batch_size in (1, 7):
        data = Grey(binarize=True, batch_size=batch_size, val_fraction=0, train_fraction=0.5)
        data.setup()
        found.append(torch.cat([data.on_after_batch_transfer(batch, 0)[0] for batch in data.loader("train")]))
    assert torch.equal(*found)
    assert len(found[0].unique(dim=0)) == len(found[0])
    assert torch.equal(found[0], data.split("train")[0])


def test_what_augment_gives_is_drawn_from(tmp_path: Path) -> None:
    class Darkened(Grey):
        def augment(self, images: Tensor) -> Tensor:
            return images * 0

    assert sum(draw.sum() for draw in draws_of(tmp_path, Darkened(binarize=True))) == 0


def test_pixels_that_are_no_probabilities() -> None:
    class Standardized(Flat):
        def load(self, train: bool) -> tuple[Tensor, Tensor]:
            images, labels = super().load(train)
            return images * 3 - 1, labels

    with pytest.raises(ValueError, match=r"binarize=True takes pixels for probabilities.*got values from -1 to 2"):
        Standardized(binarize=True).setup()


def test_a_run_repeats_its_draws(tmp_path: Path) -> None:
    torch.testing.assert_close(torch.cat(run(tmp_path)["train"]), torch.cat(run(tmp_path)["train"]))


def test_colour_images_are_refused() -> None:
    class Colour(Flat):
        input_shape = (3, 20, 20)

    with pytest.raises(ValueError, match="binarize=True is for grey images, got images of 3 channels"):
        Colour(binarize=True).setup()
