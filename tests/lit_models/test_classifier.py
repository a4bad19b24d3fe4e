"""LitClassifier: logits, features, figures, learning."""

from functools import partial
from pathlib import Path

import pytest
import torch

from datamodules import DigitsDataModule
from lit_models import LitClassifier
from lit_models.networks import PooledConvEncoder
from tests.lit_models.test_vae import make_trainer

SHAPE = (1, 12, 9)


def test_logits_probabilities_and_features() -> None:
    model = LitClassifier(SHAPE, num_classes=4, encoder=partial(PooledConvEncoder, num_features=6)).eval()
    x = torch.rand(5, *SHAPE)
    assert model(x).shape == (5, 4)
    torch.testing.assert_close(model.classify(x).sum(1), torch.ones(5))
    assert model.encode(x).shape == (5, 6)
    assert (model.encode(x) >= 0).all()


def test_every_parameter_gets_a_gradient() -> None:
    model = LitClassifier(SHAPE).double()
    model.step(torch.rand(16, *SHAPE).double(), torch.arange(16) % 10, "train").backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_figures_are_those_of_the_split(tmp_path: Path) -> None:
    data = DigitsDataModule(batch_size=100)
    model = LitClassifier((1, 28, 28))
    trainer = make_trainer(tmp_path, max_epochs=1, enable_checkpointing=False)
    trainer.fit(model, datamodule=data)
    (figures,) = trainer.test(model, datamodule=data, verbose=False)
    images, labels = data.split("test")
    model.eval()
    with torch.no_grad():
        logits = model(images.float() / 255)
    assert figures["test/accuracy"] == pytest.approx((logits.argmax(1) == labels).float().mean().item(), abs=1e-6)
    assert figures["test/loss"] == pytest.approx(torch.nn.functional.cross_entropy(logits, labels).item(), rel=1e-4)
    assert model.confusion.sum() == len(labels)
    assert model.confusion.diagonal().sum() == (logits.argmax(1) == labels).sum()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image_shape": (1, 7, 28)}, r"height and width of at least 8, got \(1, 7, 28\)"),
        ({"num_classes": 1}, "num_classes must be a whole number, at least 2, got 1"),
        ({"encoder": partial(PooledConvEncoder, dropout=-0.1)}, r"dropout must be in \[0, 1\), got -0.1"),
        ({"encoder": partial(PooledConvEncoder, num_features=0)}, "num_features must be at least 1, got 0"),
        ({"label_smoothing": 1.0}, r"label_smoothing must be in \[0, 1\), got 1.0"),
    ],
)
def test_arguments_out_of_range(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LitClassifier(**({"image_shape": SHAPE} | options))


def test_images_of_another_shape() -> None:
    with pytest.raises(ValueError, match=r"images of shape \(2, 1, 28, 28\) do not fit"):
        LitClassifier(SHAPE)(torch.rand(2, 1, 28, 28))


@pytest.mark.slow
def test_learns_the_digits(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path, max_epochs=4, enable_checkpointing=False)
    trainer.fit(LitClassifier((1, 28, 28)), datamodule=DigitsDataModule(batch_size=64))
    assert trainer.callback_metrics["val/accuracy"] > 0.95
