"""ClassCoverage and ConfusionMatrix: what they count, draw and refuse."""

from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor, nn

from callbacks import ClassCoverage, ConfusionMatrix
from datamodules import DigitsDataModule
from tests.callbacks.test_callbacks import Mute, Speaks, make_trainer, pictures


class Brightness(nn.Module):
    """Takes the brightness of an image's first pixel, in tenths, for its class."""

    def classify(self, x: Tensor) -> Tensor:
        label = (10 * x[:, 0, 0, 0]).long().clamp(0, 9)
        sure = torch.where(label % 2 == 0, 0.95, 0.85).unsqueeze(1)
        one_hot = nn.functional.one_hot(label, 10)
        return one_hot * sure + (1 - one_hot) * (1 - sure) / 9


class FourClasses(Speaks):
    """Samples of the classes 0, 1, 2, 3 in turns."""

    def sample(self, n: int, y: Tensor | None = None) -> Tensor:
        self.asked.append(y)
        label = torch.arange(n) % 4
        return ((label + 0.5) / 10).reshape(n, 1, 1, 1).expand(n, 1, 28, 28)


def test_counts_entropy_and_confidence(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path, ClassCoverage(Brightness(), n=1000), epochs=1)
    trainer.fit(FourClasses(), datamodule=DigitsDataModule())
    assert pictures(tmp_path) == {"class_coverage_epoch001.png"}
    events = EventAccumulator(str(tmp_path / "run" / "version_0")).Reload()
    figures = {name: events.Scalars(name)[-1].value for name in events.Tags()["scalars"]}
    # chunks of 250 start anew at class 0: 63, 63, 62, 62 in each
    assert [figures[f"samples/count_{label}"] for label in range(10)] == [252, 252, 248, 248, 0, 0, 0, 0, 0, 0]
    assert figures["samples/missing_classes"] == 6
    shares = torch.tensor([0.252, 0.252, 0.248, 0.248])
    assert figures["samples/entropy"] == pytest.approx(-(shares * shares.log()).sum().item(), rel=1e-5)
    assert figures["samples/confident"] == pytest.approx(0.5, abs=1e-6)


def test_a_conditional_model_is_asked_for_every_class_equally(tmp_path: Path) -> None:
    model = FourClasses(conditional=True)
    make_trainer(tmp_path, ClassCoverage(Brightness(), n=100), epochs=1).fit(model, datamodule=DigitsDataModule())
    assert torch.cat(model.asked).bincount().tolist() == [10] * 10
    events = EventAccumulator(str(tmp_path / "run" / "version_0")).Reload()
    # it makes 0, 1, 2, 3, 0, 1, 2, 3, 0, 1 where 0 .. 9 are asked, then 2, 3, 0, 1, ...
    asked, made = torch.arange(100) % 10, torch.arange(100) % 4
    agreement = events.Scalars("samples/class_agreement")[-1].value
    assert agreement == pytest.approx((asked == made).float().mean().item())


def test_a_plain_model_has_no_class_to_agree_with(tmp_path: Path) -> None:
    make_trainer(tmp_path, ClassCoverage(Brightness(), n=10), epochs=1).fit(
        FourClasses(), datamodule=DigitsDataModule()
    )
    assert (
        "samples/class_agreement"
        not in EventAccumulator(str(tmp_path / "run" / "version_0")).Reload().Tags()["scalars"]
    )


class Confused(Mute):
    """Knows a confusion matrix."""

    confusion: Tensor | None = None

    def on_test_epoch_end(self) -> None:
        self.confusion = torch.eye(10).long() * 9 + 1


def test_confusion_matrix_is_drawn_once_it_is_there(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path, ConfusionMatrix(), epochs=1)
    trainer.fit(Confused(), datamodule=DigitsDataModule())
    assert pictures(tmp_path) == set()
    trainer.test(Confused(), datamodule=DigitsDataModule(), verbose=False)
    assert pictures(tmp_path) == {"confusion_test.png"}


def test_what_cannot_work_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=r"needs a classifier with classify\(x\), which Linear does not have"):
        ClassCoverage(nn.Linear(2, 2))
    with pytest.raises(ValueError, match="n must be at least 1, got 0"):
        ClassCoverage(Brightness(), n=0)
    with pytest.raises(TypeError, match="ConfusionMatrix needs a model with a confusion matrix, which Mute does not"):
        make_trainer(tmp_path, ConfusionMatrix()).fit(Mute(), datamodule=DigitsDataModule())
