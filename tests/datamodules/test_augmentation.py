"""The argument `augment`: torchvision's transforms on training batches, and on no others."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer, seed_everything
from torch import Tensor, nn
from torchvision.transforms import v2

from datamodules import ImageDataModule
from datamodules.augmentation import Augmentation
from lit_generative import train


class Ramp(ImageDataModule):
    """Images that are brighter to the right, each of a brightness of its own."""

    input_shape = (3, 4, 6)

    def load(self, train: bool) -> tuple[Tensor, Tensor]:
        steps = torch.arange(6).expand(64, 3, 4, 6) + torch.arange(64)[:, None, None, None]
        return steps.to(torch.uint8), torch.zeros(64, dtype=torch.int64)


class Seen(LightningModule):
    """Keeps what it is given; learns nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: dict[str, list[Tensor]] = {"train": [], "val": [], "test": []}
        self.automatic_optimization = False
        self.weight = nn.Parameter(torch.zeros(1))

    def training_step(self, batch: tuple[Tensor, Tensor]) -> None:
        self.seen["train"].append(batch[0])

    def validation_step(self, batch: tuple[Tensor, Tensor]) -> None:
        self.seen["val"].append(batch[0])

    def test_step(self, batch: tuple[Tensor, Tensor]) -> None:
        self.seen["test"].append(batch[0])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD([self.weight])


def quiet(**options: object) -> Trainer:
    return Trainer(
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        accelerator="cpu",
        num_sanity_val_steps=0,
        **options,  # type: ignore[arg-type]
    )


def flipped(images: Tensor) -> Tensor:
    return images[..., 0].mean((1, 2)) > images[..., -1].mean((1, 2))


def test_images_of_one_batch_are_flipped_or_not_and_keep_their_places() -> None:
    torch.manual_seed(0)
    images = torch.arange(64.0)[:, None, None, None] / 64 + torch.linspace(0, 0.01, 6).expand(64, 3, 4, 6)
    changed = Augmentation([v2.RandomHorizontalFlip()])(images)
    assert 0 < flipped(changed).sum() < 64
    torch.testing.assert_close(changed.mean((1, 2, 3)), images.mean((1, 2, 3)))


def test_half_of_many_images_are_flipped() -> None:
    torch.manual_seed(0)
    augmentation = Augmentation([v2.RandomHorizontalFlip()])
    images = torch.linspace(0, 1, 6).expand(64, 3, 4, 6)
    share = torch.stack([flipped(augmentation(images)) for _ in range(100)]).double().mean()
    assert abs(share - 0.5) < 4 * 0.5 / 1600**0.5  # 1,600 independent parts


def test_training_alone_is_augmented() -> None:
    data, model = Ramp(batch_size=64, val_fraction=0.5, augment=[v2.RandomHorizontalFlip(1.0)]), Seen()
    trainer = quiet(max_epochs=1)
    trainer.fit(model, data)
    trainer.test(model, data, verbose=False)
    assert flipped(torch.cat(model.seen["train"])).all()
    assert not flipped(torch.cat(model.seen["val"])).any()
    assert not flipped(torch.cat(model.seen["test"])).any()
    assert not flipped(torch.cat([data.on_after_batch_transfer(b, 0)[0] for b in data.loader("train")])).any()


def test_the_same_seed_draws_the_same() -> None:
    def epochs() -> list[Tensor]:
        seed_everything(0)
        model = Seen()
        quiet(max_epochs=2).fit(model, Ramp(batch_size=16, augment=[v2.RandomCrop((4, 6), padding=2)]))
        return model.seen["train"]

    first, second = epochs(), epochs()
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert not torch.equal(first[0], first[4])


@pytest.mark.parametrize("count", [1, 3, 17])
def test_any_size_of_batch(count: int) -> None:
    images = torch.rand(count, 1, 8, 8, dtype=torch.float64)
    changed = Augmentation([v2.RandomRotation(10), v2.RandomCrop(8, padding=1)])(images)
    assert changed.shape == images.shape
    assert changed.dtype == images.dtype


def test_tensors_of_a_module_are_on_the_device() -> None:
    """The meta device stands for an accelerator; on it no values are read."""
    shift = torch.nn.Linear(4, 4)

    class Meta(Augmentation):
        def _check(self, images: Tensor, changed: Tensor) -> None:
            assert changed.is_meta

    Meta([shift])(torch.rand(3, 1, 4, 4, device="meta"))
    assert shift.weight.is_meta


def test_none_is_the_identity() -> None:
    images = torch.rand(5, 1, 2, 2)
    assert Augmentation()(images) is images
    assert not Augmentation()


@pytest.mark.parametrize(
    ("modules", "error", "message"),
    [
        ("flip", TypeError, "augment must be a list of modules such as .*RandomHorizontalFlip.*, got 'flip'"),
        ([v2.RandomHorizontalFlip], TypeError, "augment must be a list of modules .* got <class"),
        ([v2.RandomCrop(4)], ValueError, r"augment must keep the batch's shape \(8, 3, 8, 8\), .*Resize\(\[8, 8\]\)"),
        ([v2.Normalize([0.5] * 3, [0.5] * 3)], ValueError, r"augment must keep images in \[0, 1\], .* standardizes"),
    ],
)
def test_what_is_no_augmentation(modules: Sequence[nn.Module], error: type[Exception], message: str) -> None:
    torch.manual_seed(0)
    with pytest.raises(error, match=message):
        Augmentation(modules)(torch.rand(8, 3, 8, 8))


def test_on_the_command_line(tmp_path: Path) -> None:
    words = ["--model=LitVAE", "--data=DigitsDataModule", "--trainer.max_epochs=1", "--trainer.limit_train_batches=2"]
    words += ["--trainer.enable_progress_bar=false", f"--trainer.default_root_dir={tmp_path}"]
    flip = "{class_path: torchvision.transforms.v2.RandomHorizontalFlip, init_args: {p: 0.25}}"
    cli = train.main(["fit", *words, f"--data.augment=[{flip}]"])
    (module,) = cli.datamodule.augmentation.modules
    assert isinstance(module, v2.RandomHorizontalFlip)
    assert module.p == 0.25
    cli = train.main(["fit", *words, f"--config={tmp_path}/LitVAE/version_0/config.yaml"])
    assert len(cli.datamodule.augmentation.modules) == 1
