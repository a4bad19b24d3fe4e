"""The label term: who it teaches, what it costs, and that samples obey."""

from functools import partial
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer

from datamodules import DigitsDataModule
from lit_models import LitVAE, load_model
from lit_models.label_term import LabelTerm
from lit_models.networks import ConvEncoder, MLPEncoder

SHAPE = (1, 8, 8)
Y = torch.arange(6) % 3


def make(**options: Any) -> LitVAE:
    settings = {"conditional": True, "num_classes": 3, "label_classifier": MLPEncoder} | options
    return LitVAE(SHAPE, latent_dim=4, **settings).double()


def test_the_price_teaches_what_made_the_images_and_not_the_classifier() -> None:
    term = LabelTerm(SHAPE, 3, MLPEncoder)
    made = torch.rand(6, *SHAPE, requires_grad=True)
    term(made, Y).backward()
    assert made.grad is not None
    assert made.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in term.parameters())


def test_the_classifier_learns_from_real_images() -> None:
    term = LabelTerm(SHAPE, 3, MLPEncoder)
    x = torch.rand(6, *SHAPE, requires_grad=True)
    term.learn(x, Y).backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in term.parameters() if parameter.grad is not None)
    assert all(parameter.grad is not None for parameter in term.parameters())
    torch.testing.assert_close(term(x, Y), term.learn(x, Y))  # the same function of the same images


@pytest.mark.parametrize("prior", ["standard", "mixture"])
def test_the_loss_has_the_term_in_every_stage_and_the_classifiers_own_loss_in_none(prior: str) -> None:
    model, x = make(label_weight=3.0, prior=prior), torch.rand(6, *SHAPE, dtype=torch.float64)
    for stage in ("train", "val", "test"):
        returned = model.step(x, Y, stage).detach()
        means = model.figures(stage)["means"].compute()
        label_loss = model.figures(stage)["label"].compute()["label_loss"]
        loss = means["reconstruction"] + means["kl"] + 3 * label_loss
        torch.testing.assert_close(means["loss"], loss)
        assert (returned > loss + 1e-3) if stage == "train" else torch.isclose(returned.to(loss), loss)


def test_every_parameter_gets_a_gradient() -> None:
    model = make(label_weight=3.0, prior="mixture", num_components=2)
    model.step(torch.rand(6, *SHAPE, dtype=torch.float64), Y, "train").backward()
    assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == []


def test_weight_0_is_the_model_without_it() -> None:
    torch.manual_seed(0)
    plain = LitVAE(SHAPE, latent_dim=4, conditional=True, num_classes=3)
    torch.manual_seed(0)
    zero = LitVAE(SHAPE, latent_dim=4, conditional=True, num_classes=3, label_weight=0.0, label_classifier=ConvEncoder)
    assert plain.state_dict().keys() == zero.state_dict().keys()
    x = torch.rand(6, *SHAPE)
    losses = []
    for model in (plain, zero):
        torch.manual_seed(1)
        losses.append(model.step(x, Y, "train"))
    assert torch.equal(*losses)


@pytest.mark.parametrize("precision", ["bf16-mixed", "bf16-true", "64-true"])
def test_precisions_and_checkpoints(precision: Any, tmp_path: Any) -> None:
    model = LitVAE((1, 28, 28), conditional=True, label_weight=1.0, prior="mixture", num_components=2)
    trainer = Trainer(
        max_epochs=1,
        limit_train_batches=2,
        precision=precision,
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_checkpointing=False,
        log_every_n_steps=1,
    )
    trainer.fit(model, DigitsDataModule(batch_size=64))
    assert trainer.callback_metrics["val/label_loss"].isfinite()
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    again = load_model(tmp_path / "a.ckpt")
    assert again.label_term is not None
    assert again.label_weight == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"label_weight": -1.0}, "label_weight must be at least 0"),
        ({"label_weight": 1.0, "conditional": False}, r"label_weight=1.0 is for a conditional model.*conditional=True"),
    ],
)
def test_bad_arguments(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(**options)


def test_a_classifier_of_another_kind() -> None:
    with pytest.raises(TypeError, match="label_classifier must make a"):
        make(label_weight=1.0, label_classifier=torch.nn.Linear)


@pytest.mark.slow
def test_samples_obey_sooner_with_the_term() -> None:
    """On digits, after the same few epochs: a judge that took no part takes more samples for the class asked."""
    data = DigitsDataModule()
    data.setup()
    images, labels = data.split("train")
    x = images.float() / 255
    centres = torch.stack([x[labels == k].mean(0) for k in range(10)]).flatten(1)  # the judge: the nearest mean image
    shares = []
    for weight in (0.0, 30.0):
        torch.manual_seed(0)
        model = LitVAE((1, 28, 28), conditional=True, label_weight=weight, optimizer=partial(torch.optim.Adam, lr=2e-3))
        trainer = Trainer(max_epochs=5, logger=False, enable_checkpointing=False, enable_progress_bar=False)
        trainer.fit(model, DigitsDataModule(batch_size=64))
        y = torch.arange(1000) % 10
        with torch.no_grad():
            found = torch.cdist(model.eval().sample(1000, y).flatten(1), centres).argmin(1)
        shares.append((found == y).float().mean().item())
    assert shares[1] > shares[0] + 0.3
