"""A run stopped within an epoch goes on at the right image, whatever the batch size; and what training alone sees."""

import pickle
from pathlib import Path

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, nn

from datamodules import ImageDataModule, TensorDataModule
from datamodules.loader import BatchLoader, BatchSampler
from datamodules.resuming import count_batches


class Numbers(TensorDataModule):
    """Numbers from 0 on, each its own input."""

    input_shape = (1,)

    def load(self, train: bool) -> tuple[Tensor, Tensor]:
        numbers = torch.arange(100 if train else 10)
        return numbers.unsqueeze(1), numbers * 0


class Notes(LightningModule):
    """Notes the numbers it was trained on, an epoch at a time, and how often it was validated."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.epochs: dict[int, list[int]] = {}
        self.validated: list[int] = []

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        self.epochs.setdefault(self.current_epoch, []).extend(batch[0].flatten().int().tolist())
        return self.weight.sum()

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None: ...

    def on_validation_epoch_end(self) -> None:
        self.validated.append(self.current_epoch)

    def configure_optimizers(self) -> dict:
        optimizer = torch.optim.SGD(self.parameters(), lr=1.0)
        return {"optimizer": optimizer, "lr_scheduler": torch.optim.lr_scheduler.StepLR(optimizer, 1)}


class StopAt(Callback):
    """Saves a checkpoint after so many batches, and ends the run."""

    def __init__(self, step: int, path: Path) -> None:
        self.step = step
        self.path = path

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: object) -> None:
        if trainer.global_step == self.step:
            trainer.save_checkpoint(self.path)
            trainer.should_stop = True


def fit(data: TensorDataModule, *callbacks: Callback, ckpt: Path | None = None, **options) -> Notes:
    model = Notes()
    options = {"max_epochs": 3, "logger": False, "num_sanity_val_steps": 0, "accelerator": "cpu"} | options
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False}
    Trainer(callbacks=list(callbacks), **quiet, **options).fit(model, datamodule=data, ckpt_path=ckpt)
    return model


@pytest.mark.parametrize("first", [12, 20])
@pytest.mark.parametrize("second", [5, 12, 16, 20, 64])
def test_each_image_is_seen_once_over_a_stop_with_another_batch_size(first: int, second: int, tmp_path: Path) -> None:
    path = tmp_path / "stop.ckpt"
    whole = fit(Numbers(batch_size=first))
    before = fit(Numbers(batch_size=first), StopAt(len(whole.epochs[0]) // first + 3, path)).epochs
    model = fit(Numbers(batch_size=second), ckpt=path)
    assert set(model.epochs) == {1, 2}
    # the order is that of the run that was not stopped
    assert before[1] + model.epochs[1] == whole.epochs[1]
    assert model.epochs[2] == whole.epochs[2]
    # and each epoch has its end: a validation, and a step of the scheduler
    assert model.validated == [1, 2]
    assert model.lr_schedulers().last_epoch == 3


@pytest.mark.parametrize("second", [5, 64])
def test_from_an_epochs_end_with_another_batch_size(second: int, tmp_path: Path) -> None:
    class SaveAtEnd(Callback):
        def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
            if trainer.current_epoch == 0:
                trainer.save_checkpoint(tmp_path / "end.ckpt")

    whole = fit(Numbers(batch_size=20, drop_last=second == 5), SaveAtEnd())
    assert fit(Numbers(batch_size=second), ckpt=tmp_path / "end.ckpt").epochs == {
        1: whole.epochs[1],
        2: whole.epochs[2],
    }


@pytest.mark.parametrize(
    ("options", "seed", "reason"),
    [({"val_fraction": 0.5}, 0, "'size': 80"), ({}, 5, "'seed': 0"), ({"val_fraction": 0.5}, 5, "'size': 80")],
)
def test_with_other_data_or_another_seed_the_epoch_begins_anew(
    options: dict, seed: int, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "stop.ckpt"
    fit(Numbers(batch_size=20), StopAt(2, path))
    monkeypatch.setenv("PL_GLOBAL_SEED", str(seed))
    whole = fit(Numbers(batch_size=20, **options))
    with pytest.warns(UserWarning, match=rf"epoch 0 begins anew, its images are seen again: .*{reason}.* is now"):
        model = fit(Numbers(batch_size=20, **options), ckpt=path)
    assert model.epochs == whole.epochs
    assert model.validated == [0, 1, 2]


@pytest.mark.parametrize(("world_size", "batch_size"), [(1, 24), (2, 12), (2, 5), (3, 7)])
def test_another_number_of_processes_goes_on_at_the_right_image(world_size: int, batch_size: int) -> None:
    def loader(world_size: int, batch_size: int, rank: int = 0) -> BatchLoader:
        sampler = BatchSampler(50, batch_size, True, seed=1, rank=rank, world_size=world_size, epoch=4)
        return BatchLoader(torch.arange(50), torch.zeros(50).long(), torch.arange(50), sampler)

    whole = [int(x) for batch, _ in loader(1, 50) for x in batch]
    stopped = loader(2, 4)
    batches = iter(stopped)
    for _ in range(3):  # of 8 images each, over both processes
        next(batches)
    shares = []
    for rank in range(world_size):
        resumed = loader(world_size, batch_size, rank)
        resumed.load_state_dict(stopped.state_dict())
        shares.append([int(x) for batch, _ in resumed for x in batch])
    assert sorted(x for share in shares for x in share) == sorted(whole[24:])


def test_fewer_images_left_than_processes() -> None:
    stopped = BatchLoader(torch.arange(9), torch.arange(9), torch.arange(9), BatchSampler(9, 4))
    for _ in zip(range(2), stopped, strict=False):
        pass
    resumed = BatchLoader(torch.arange(9), torch.arange(9), torch.arange(9), BatchSampler(9, 1, world_size=2))
    with pytest.warns(UserWarning, match="epoch 0 begins anew.*: fewer images are left than processes"):
        resumed.load_state_dict(stopped.state_dict())
    assert sum(len(y) for _, y in resumed) == 5


def test_a_checkpoint_that_counts_batches_is_read() -> None:
    loader = BatchLoader(torch.arange(9), torch.arange(9), torch.arange(9), BatchSampler(9, 4))
    loader.load_state_dict({"epoch": 0, "given": 2})
    assert [y.tolist() for _, y in loader] == [[8]]


def test_a_state_saved_before_an_epochs_first_batch_is_of_the_epoch_before() -> None:
    loader = BatchLoader(torch.arange(9), torch.arange(9), torch.arange(9), BatchSampler(9, 4))
    list(loader)
    loader.batch_sampler.set_epoch(1)
    resumed = BatchLoader(torch.arange(9), torch.arange(9), torch.arange(9), BatchSampler(9, 4, epoch=1))
    resumed.load_state_dict(loader.state_dict())
    assert sum(len(y) for _, y in resumed) == 9


def test_lightnings_counters_are_where_we_look() -> None:
    """Fails on the day that Lightning renames them; then resuming with another batch size needs another way."""
    trainer = Trainer(logger=False, enable_checkpointing=False, enable_model_summary=False, accelerator="cpu")
    count_batches(trainer, 3)
    current = trainer.fit_loop.epoch_loop.batch_progress.current
    assert (current.ready, current.started, current.processed, current.completed) == (3, 3, 3, 3)
    with pytest.warns(UserWarning, match="its number of batches may be wrong with this Lightning"):
        count_batches(object(), 3)  # type: ignore[arg-type]


def test_overfit_batches_means_the_same_batches_in_each_epoch() -> None:
    model = fit(Numbers(batch_size=10), overfit_batches=2)
    assert len(model.epochs[0]) == 20
    assert model.epochs[0] == model.epochs[1] == model.epochs[2]


class Augmented(ImageDataModule):
    """Grey images that training sees with noise."""

    input_shape = (1, 2, 2)

    def load(self, train: bool) -> tuple[Tensor, Tensor]:
        return torch.full((40, 1, 2, 2), 51, dtype=torch.uint8), torch.zeros(40, dtype=torch.uint8)

    def augment(self, images: Tensor) -> Tensor:
        return images + torch.rand_like(images)


class Sees(Notes):
    """Notes the first pixel of each batch."""

    def __init__(self) -> None:
        super().__init__()
        self.pixels: dict[int, float] = {}

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        self.pixels[self.global_step] = batch[0][0, 0, 0, 0].item()
        return self.weight.sum()

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        assert batch[0].eq(0.2).all()


def test_training_alone_is_augmented_and_a_resumed_run_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class ReadsTrain(Callback):
        def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
            data = trainer.datamodule  # type: ignore[attr-defined]
            assert all(data.on_after_batch_transfer(batch, 0)[0].eq(0.2).all() for batch in data.loader("train"))

    monkeypatch.setitem(globals(), "Notes", Sees)
    whole = fit(Augmented(batch_size=8), ReadsTrain()).pixels
    assert len(set(whole.values())) == len(whole) == 12
    assert all(0.2 < pixel < 1.2 for pixel in whole.values())
    fit(Augmented(batch_size=8), StopAt(6, tmp_path / "stop.ckpt"))
    resumed = fit(Augmented(batch_size=8), ckpt=tmp_path / "stop.ckpt").pixels
    assert resumed == {step: pixel for step, pixel in whole.items() if step >= 6}


def test_loaders_and_data_modules_pickle() -> None:
    data = Numbers(batch_size=10)
    data.setup()
    loader = pickle.loads(pickle.dumps(data)).train_dataloader()
    again = pickle.loads(pickle.dumps(loader))
    assert [x.tolist() for x, _ in again] == [x.tolist() for x, _ in data.train_dataloader()]
