"""No picture ends a run, and every logger that can show pictures gets them."""

import pickle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import Logger
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from callbacks import (
    ChainStrips,
    ClassCoverage,
    ConfusionMatrix,
    FilterGrid,
    LatentTSNE,
    ReconstructionGrid,
    ReconstructionMSE,
    SampleGrid,
)
from callbacks.image_grid import image_grid
from tests.callbacks.test_callbacks import Speaks, make_trainer, pictures
from tests.callbacks.test_classes import Brightness

ALL = [
    ChainStrips(chains=2),
    ClassCoverage(Brightness()),
    ConfusionMatrix(),
    FilterGrid(),
    LatentTSNE(),
    ReconstructionGrid(),
    ReconstructionMSE(),
    SampleGrid(),
]


def loader(n: int, value: float | None = None) -> DataLoader:
    x = torch.rand(n, 1, 28, 28) if value is None else torch.full((n, 1, 28, 28), value)
    return DataLoader(TensorDataset(x, torch.arange(n) % 3), 8)


@pytest.mark.parametrize("n", [1, 2, 7, 8, 9, 13])
def test_splits_of_few_images_have_smaller_pictures(n: int, tmp_path: Path) -> None:
    callbacks = [ReconstructionGrid(), LatentTSNE(), ReconstructionMSE()]
    make_trainer(tmp_path, *callbacks, epochs=1).fit(Speaks(), loader(n), loader(n))
    expected = {"reconstructions_train_epoch001.png", "reconstructions_val_epoch001.png"}
    assert pictures(tmp_path) == expected | ({"tsne_mean_epoch001.png"} if n > 2 else set())


def test_a_row_that_is_not_full_ends_in_white(tmp_path: Path) -> None:
    figure = image_grid([torch.zeros(3, 1, 8, 8), torch.zeros(1, 1, 8, 8)])
    (shown,) = figure.axes[0].get_images()
    picture = np.asarray(shown.get_array())
    assert picture.shape == (18, 27)
    assert (picture[9:, 9:] == 1).all()
    assert (picture[:8, 18:26] == 0).all()


@pytest.mark.parametrize("codes", ["nan", "constant", "narrow"])
def test_codes_that_are_no_picture(codes: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    class Codes(Speaks):
        def encode(self, x: Tensor, y: Tensor | None = None) -> Tensor:
            value = x.flatten(1)[:, :1]
            return {"nan": value * float("nan"), "constant": value * 0, "narrow": value}[codes]

    with caplog.at_level("INFO"):
        make_trainer(tmp_path, LatentTSNE(), epochs=1).fit(Codes(), loader(20), loader(20))
    drawn = codes == "narrow"
    assert bool(pictures(tmp_path)) == drawn
    assert ("all the same or not finite" in caplog.text) != drawn


def test_a_class_without_an_image(tmp_path: Path) -> None:
    x, y = torch.rand(20, 1, 28, 28), torch.arange(20) % 2 * 7
    trainer = make_trainer(tmp_path, LatentTSNE(), epochs=1)
    trainer.fit(Speaks(), loader(8), DataLoader(TensorDataset(x, y), 8))
    assert pictures(tmp_path) == {"tsne_mean_epoch001.png"}


def test_a_picture_that_fails_is_said_and_the_run_goes_on(tmp_path: Path) -> None:
    class Fails(Speaks):
        def sample(self, n: int, y: Tensor | None = None) -> Tensor:
            raise RuntimeError("no memory left")

    trainer = make_trainer(tmp_path, SampleGrid(), ReconstructionGrid())
    with pytest.warns(UserWarning, match="SampleGrid left out a picture of epoch00.: RuntimeError: no memory left"):
        trainer.fit(Fails(), loader(20), loader(20))
    assert trainer.current_epoch == 2
    assert len(pictures(tmp_path)) == 4
    assert trainer.lightning_module.training is False or torch.is_grad_enabled()


class Dashboard(Logger):
    """A logger that keeps what it is given."""

    name, version = "mine", 0

    def __init__(self) -> None:
        self.given: list[Any] = []

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None: ...

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None: ...


class WandbLogger(Dashboard):
    """With the signature of Lightning's."""

    def log_image(self, key: str, images: list[Any], step: int | None = None, **kwargs: Any) -> None:
        assert isinstance(images, list)
        self.given.append((key, Path(images[0]), step))


class MLFlowLogger(Dashboard):
    """With the part of MlflowClient's signatures that is used."""

    run_id = "run"

    @property
    def experiment(self) -> Any:
        def log_artifact(run_id: str, local_path: str, artifact_path: str | None = None) -> None:
            assert (run_id, artifact_path) == ("run", "pictures")
            self.given.append(("pictures/samples", Path(local_path), 2))

        return SimpleNamespace(log_artifact=log_artifact)


class CometLogger(Dashboard):
    """With the part of comet_ml.Experiment's signature that is used."""

    @property
    def experiment(self) -> Any:
        def log_image(
            image_data: str, name: str | None = None, overwrite: bool = False, step: int | None = None
        ) -> None:
            self.given.append((name, Path(image_data), step))

        return SimpleNamespace(log_image=log_image)


class LitLogger(Dashboard):
    """With the signature of Lightning's."""

    def log_file(self, path: str) -> None:
        self.given.append(("pictures/samples", Path(path), 2))


class TeamLogger(CometLogger):
    """A user's own, derived from one that is known."""


@pytest.mark.parametrize("cls", [WandbLogger, MLFlowLogger, CometLogger, LitLogger, TeamLogger])
def test_loggers_are_given_the_picture(cls: type[Dashboard], tmp_path: Path) -> None:
    logger = cls()
    trainer = make_trainer(tmp_path, SampleGrid(rows=2), epochs=1, logger=[Dashboard(), logger])
    trainer.fit(Speaks(), loader(16), loader(8))
    ((name, path, step),) = logger.given
    assert (name, path, step) == ("pictures/samples", tmp_path / "pictures" / "samples_epoch001.png", 2)
    with Image.open(path) as picture:
        assert picture.size[0] > 100


def test_a_logger_that_fails_does_not_end_the_run(tmp_path: Path) -> None:
    class Offline(WandbLogger):
        def log_image(self, key: str, images: list[Any], step: int | None = None, **kwargs: Any) -> None:
            raise ConnectionError("no network")

    trainer = make_trainer(tmp_path, SampleGrid(), epochs=1, logger=Offline())
    with pytest.warns(
        UserWarning, match=r"Offline did not take pictures/samples, which is in .*samples_epoch001.png: no"
    ):
        trainer.fit(Speaks(), loader(16), loader(8))
    assert (tmp_path / "pictures" / "samples_epoch001.png").exists()


def test_a_second_run_with_the_same_callback_draws_too(tmp_path: Path) -> None:
    callback = SampleGrid(rows=2, every_n_epochs=0)
    for name in ("first", "second"):
        make_trainer(tmp_path / name, callback, epochs=1).fit(Speaks(), loader(16), loader(8))
        assert list((tmp_path / name).rglob("samples_epoch001.png")), name


@pytest.mark.parametrize("callback", ALL, ids=lambda callback: type(callback).__name__)
def test_callbacks_pickle(callback: Callback) -> None:
    assert type(pickle.loads(pickle.dumps(callback))) is type(callback)


class Boltzmann(LightningModule):
    """Filters and chains of odd numbers, in bfloat16."""

    def filters(self) -> Tensor:
        return torch.randn(5, 1, 6, 6, dtype=torch.bfloat16)

    def run_chains(self, n: int, at: list[int]) -> Tensor:
        return torch.rand(n, len(at), 1, 6, 6, dtype=torch.bfloat16)


def test_filters_and_chains_in_bfloat16(tmp_path: Path) -> None:
    for callback in (FilterGrid(columns=3), ChainStrips(chains=2)):
        trainer = Trainer(default_root_dir=tmp_path, logger=False, accelerator="cpu", enable_model_summary=False)
        callback.setup(trainer, Boltzmann(), "test")
        callback.draw(trainer, Boltzmann(), "test")
    assert {path.name for path in (tmp_path / "pictures").iterdir()} == {"filters_test.png", "chains_test.png"}
