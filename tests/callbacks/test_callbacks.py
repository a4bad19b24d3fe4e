"""Callbacks against small models of the test's own: what they draw, what they measure, what they refuse."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from matplotlib.figure import Figure
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor, nn

from callbacks import LatentTSNE, ReconstructionGrid, ReconstructionMSE, SampleGrid
from callbacks.batches import first_images
from callbacks.evaluation_mode import evaluation_mode
from callbacks.image_grid import image_grid
from datamodules import DigitsDataModule


class Mute(LightningModule):
    """A model without any verb."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(0.5))

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        return self.weight.square()

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None: ...

    def test_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None: ...

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.0)


class Speaks(Mute):
    """Answers each verb with something whose result is known, and remembers how it was asked."""

    def __init__(self, conditional: bool = False) -> None:
        super().__init__()
        self.conditional = conditional
        self.num_classes = 10
        self.asked: list[Tensor | None] = []
        self.noise: list[Tensor] = []

    def sample(self, n: int, y: Tensor | None = None) -> Tensor:
        assert not self.training
        assert not torch.is_grad_enabled()
        self.asked.append(y)
        self.noise.append(torch.rand(n, 1, 28, 28))
        return self.noise[-1]

    def reconstruct(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        assert not self.training
        assert x.min() >= 0
        assert x.max() <= 1
        return x * self.weight

    def encode(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return x.flatten(1)[:, 200:240]


def make_trainer(folder: Path, *callbacks: Callback, epochs: int = 2, logger: Any = None, **options: Any) -> Trainer:
    return Trainer(
        default_root_dir=folder,
        logger=logger or TensorBoardLogger(folder, name="run", version=0),
        callbacks=list(callbacks),
        max_epochs=epochs,
        limit_train_batches=2,
        num_sanity_val_steps=1,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        accelerator="cpu",
        log_every_n_steps=1,
        **options,
    )


def pictures(folder: Path) -> set[str]:
    return {path.name for path in (folder / "run" / "version_0" / "pictures").glob("*")}


def test_pictures_every_n_epochs_and_at_the_end(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path, SampleGrid(every_n_epochs=2), epochs=5)
    trainer.fit(Speaks(), datamodule=DigitsDataModule())
    assert pictures(tmp_path) == {"samples_epoch002.png", "samples_epoch004.png", "samples_epoch005.png"}


def test_zero_means_at_the_end_only(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path, SampleGrid(every_n_epochs=0), epochs=2)
    trainer.fit(Speaks(), datamodule=DigitsDataModule())
    assert pictures(tmp_path) == {"samples_epoch002.png"}


def test_pictures_reach_tensorboard_at_the_step_of_batches(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path, SampleGrid(), ReconstructionGrid(), LatentTSNE(max_points=20))
    trainer.fit(Speaks(), datamodule=DigitsDataModule())
    events = EventAccumulator(str(tmp_path / "run" / "version_0")).Reload()
    assert set(events.Tags()["images"]) == {
        "pictures/samples",
        "pictures/reconstructions_train",
        "pictures/reconstructions_val",
        "pictures/tsne_mean",
    }
    assert [image.step for image in events.Images("pictures/samples")] == [2, 4]


def test_samples_have_the_same_noise_each_epoch(tmp_path: Path) -> None:
    model = Speaks()
    make_trainer(tmp_path, SampleGrid(rows=2, columns=3)).fit(model, datamodule=DigitsDataModule())
    first, second = model.noise
    assert first.shape == (6, 1, 28, 28)
    assert torch.equal(first, second)


def test_a_conditional_model_gets_one_row_a_class(tmp_path: Path) -> None:
    model = Speaks(conditional=True)
    make_trainer(tmp_path, SampleGrid(columns=3), epochs=1).fit(model, datamodule=DigitsDataModule())
    assert [y.tolist() for y in model.asked] == [[label] * 3 for label in range(10)]
    assert all(torch.equal(noise, model.noise[0]) for noise in model.noise)


def test_evaluation_mode_leaves_mode_and_random_state_alone() -> None:
    model = Speaks().train()
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    with evaluation_mode(model, seed=1):
        torch.rand(7)
        assert not model.training
    assert model.training
    assert torch.equal(torch.rand(3), expected)


def test_mse_is_that_of_the_whole_split(tmp_path: Path) -> None:
    data = DigitsDataModule(batch_size=100)  # the last batches are short, and must not weigh more
    trainer = make_trainer(tmp_path, ReconstructionMSE(), epochs=1)
    trainer.fit(Speaks(), datamodule=data)
    fitted = dict(trainer.callback_metrics)
    trainer.test(Speaks(), datamodule=data, verbose=False)
    for split, figures in (("train", fitted), ("val", fitted), ("test", trainer.callback_metrics)):
        x = data.split(split)[0].double() / 255
        expected = (0.5 * x).square().mean()
        assert figures[f"{split}/reconstruction_mse"].item() == pytest.approx(expected.item(), rel=1e-5)


def test_mse_every_n_epochs_and_at_the_last(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path, ReconstructionMSE(every_n_epochs=2), epochs=3)
    trainer.fit(Speaks(), datamodule=DigitsDataModule())
    events = EventAccumulator(str(tmp_path / "run" / "version_0")).Reload()
    for split in ("train", "val"):
        assert [point.step for point in events.Scalars(f"{split}/reconstruction_mse")] == [3, 5]


def test_reconstructions_are_of_the_test_split_where_there_is_no_other(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path, ReconstructionGrid(), epochs=1)
    trainer.limit_val_batches = 0
    trainer.fit(Speaks(), datamodule=DigitsDataModule(val_fraction=0))
    assert pictures(tmp_path) == {"reconstructions_train_epoch001.png", "reconstructions_test_epoch001.png"}


class Twin(Speaks):
    """Reconstructs half of each pixel; untrained a tenth."""

    share = 0.5

    def reconstruct(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return self.share * super().reconstruct(x, y)

    def untrained(self) -> "Twin":
        twin = Twin()
        twin.share = 0.1
        return twin


def test_a_row_of_the_untrained_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[tuple[list[Tensor], list[str]]] = []

    def keep(rows: list[Tensor], labels: list[str], title: str) -> Figure:
        drawn.append((rows, labels))
        return image_grid(rows, labels, title)

    monkeypatch.setattr("callbacks.reconstruction_grid.image_grid", keep)
    trainer = make_trainer(tmp_path, ReconstructionGrid(columns=4, untrained=True), epochs=1)
    trainer.fit(Twin(), datamodule=DigitsDataModule())
    assert pictures(tmp_path) == {"reconstructions_train_epoch001.png", "reconstructions_val_epoch001.png"}
    for rows, labels in drawn:
        assert labels == ["original", "untrained", "reconstruction"] * 2
        for original, untrained, reconstruction in (rows[:3], rows[3:]):
            # Speaks answers something of its own
            seen = Speaks().eval().reconstruct(original)
            torch.testing.assert_close(untrained, 0.1 * seen)
            torch.testing.assert_close(reconstruction, 0.5 * seen)


def test_everything_is_drawn_in_test_too(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path, SampleGrid(), ReconstructionGrid(), LatentTSNE(max_points=20))
    trainer.test(Speaks(), datamodule=DigitsDataModule(), verbose=False)
    assert pictures(tmp_path) == {
        "samples_test.png",
        "reconstructions_train_test.png",
        "reconstructions_test_test.png",
        "tsne_mean_test.png",
    }


def test_tsne_writes_the_projector_with_class_names(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path, LatentTSNE(max_points=50), epochs=1)
    data = DigitsDataModule()
    trainer.fit(Speaks(), datamodule=data)
    (folder,) = (path.parent for path in (tmp_path / "run" / "version_0").rglob("metadata.tsv"))
    labels = (folder / "metadata.tsv").read_text().split()
    assert labels == [str(label) for label in data.split("test")[1][:50].tolist()]
    codes = np.loadtxt(folder / "tensors.tsv")
    expected = data.split("test")[0][:50].flatten(1)[:, 200:240].numpy() / 255
    np.testing.assert_allclose(codes, expected, atol=1e-5)


def test_first_images_joins_batches(tmp_path: Path) -> None:
    data = DigitsDataModule(batch_size=8)
    trainer = make_trainer(tmp_path, epochs=1)
    trainer.fit(Speaks(), datamodule=data)
    x, y = first_images(trainer, trainer.lightning_module, "test", 20)
    assert torch.equal(y, data.split("test")[1][:20])
    torch.testing.assert_close(x, data.split("test")[0][:20].float() / 255)


@pytest.mark.parametrize("channels", [1, 3])
def test_grid_shows_zero_black_one_white_and_a_dim_image_dim(channels: int, tmp_path: Path) -> None:
    rows = [torch.full((2, channels, 8, 8), value) for value in (0.0, 0.5, 1.0)]
    figure = image_grid(rows, ["black", "grey", "white"])
    figure.savefig(tmp_path / "grid.png")
    grey = np.asarray(Image.open(tmp_path / "grid.png").convert("L"))
    assert (np.abs(grey.astype(int) - 127) < 3).mean() > 0.1
    assert (grey == 0).mean() > 0.1
    assert isinstance(figure, Figure)
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == ["black", "grey", "white"]


@pytest.mark.parametrize(
    ("callback", "verb"),
    [
        (SampleGrid(), r"SampleGrid needs a model with sample\(n, y=None\), which Mute does not have"),
        (ReconstructionGrid(), r"ReconstructionGrid needs a model with reconstruct\(x, y=None\)"),
        (ReconstructionMSE(), r"ReconstructionMSE needs a model with reconstruct\(x, y=None\)"),
        (LatentTSNE(), r"LatentTSNE needs a model with encode\(x, y=None\)"),
    ],
)
def test_a_model_without_the_verb_is_refused_before_training(callback: Callback, verb: str, tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=verb + ".*take this callback out of the config|" + verb):
        make_trainer(tmp_path, callback).fit(Mute(), datamodule=DigitsDataModule())


def test_an_untrained_row_of_a_model_that_has_no_twin(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path, ReconstructionGrid(untrained=True))
    with pytest.raises(TypeError, match=r"ReconstructionGrid needs a model with untrained\(\), which Speaks does not"):
        trainer.fit(Speaks(), datamodule=DigitsDataModule())


def test_log_variance_of_a_model_that_has_none(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=r"needs encode\(x, y, log_variance\), which Speaks does not have"):
        make_trainer(tmp_path, LatentTSNE(code="log_variance")).fit(Speaks(), datamodule=DigitsDataModule())


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: SampleGrid(every_n_epochs=-1), "every_n_epochs must be at least 0, got -1"),
        (lambda: ReconstructionMSE(every_n_epochs=-2), "every_n_epochs must be at least 0, got -2"),
        (lambda: SampleGrid(columns=0), "rows and columns must be at least 1, got 8 and 0"),
        (lambda: ReconstructionGrid(rows=0), "rows and columns must be at least 1, got 0 and 8"),
        (lambda: LatentTSNE(code="mu"), r"code must be one of \['mean', 'log_variance'\], got 'mu'"),
        (lambda: LatentTSNE(max_points=2), "max_points must be at least 3"),
        (lambda: LatentTSNE(seed=-1), "seed must be at least 0, got -1"),
    ],
)
def test_arguments_out_of_range(build, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()
