"""LitVAE: verbs, gradients, errors, checkpoints, learning."""

import math
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

import pytest
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.cli import ReduceLROnPlateau
from torch import Tensor

from datamodules import DigitsDataModule
from lit_models import LitVAE
from lit_models.networks import MLPDecoder, MLPEncoder

SHAPE = (1, 6, 5)


def mlps(hidden_dims: Sequence[int]) -> dict:
    return {
        "encoder": partial(MLPEncoder, hidden_dims=hidden_dims),
        "decoder": partial(MLPDecoder, hidden_dims=hidden_dims),
    }


def tiny(hidden_dims: Sequence[int] = (7,), **options) -> LitVAE:
    return LitVAE(**({"image_shape": SHAPE, "latent_dim": 3} | mlps(hidden_dims) | options)).double()


def images(n: int = 4) -> Tensor:
    return torch.rand(n, *SHAPE, dtype=torch.float64)


LABELS = torch.tensor([0, 9, 3, 3])


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
@pytest.mark.parametrize("conditional", [False, True])
@pytest.mark.parametrize("hidden_dims", [(), (7,), (9, 7)])
@pytest.mark.parametrize("image_shape", [(1, 6, 5), (3, 4, 4)])
def test_every_parameter_gets_a_gradient(likelihood, conditional, hidden_dims, image_shape) -> None:
    model = tiny(likelihood=likelihood, conditional=conditional, hidden_dims=hidden_dims, image_shape=image_shape)
    x = torch.rand(4, *image_shape, dtype=torch.float64)
    model.step(x, LABELS, "train").backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize("conditional", [False, True])
def test_verbs_give_images_and_codes(conditional: bool) -> None:
    model = tiny(conditional=conditional)
    y = LABELS if conditional else None
    for out in (model.sample(4, y), model.reconstruct(images(), y)):
        assert out.shape == (4, *SHAPE)
        assert out.min() >= 0
        assert out.max() <= 1
    x = images()
    assert model.encode(x, y).shape == (4, 3)
    mu, log_variance = model.posterior(x, y)
    assert torch.equal(model.encode(x, y), mu)
    assert torch.equal(model.encode(x, y, log_variance=True), log_variance)


def test_an_image_does_not_depend_on_its_batch() -> None:
    model, x = tiny(), images()
    torch.testing.assert_close(model.reconstruct(x)[:1], model.reconstruct(x[:1]))


def test_the_label_reaches_encoder_and_decoder() -> None:
    model, x = tiny(conditional=True, hidden_dims=[32]), images(1)
    zero, one = torch.tensor([0]), torch.tensor([1])
    assert not torch.allclose(model.encode(x, zero), model.encode(x, one))
    torch.manual_seed(0)
    first = model.sample(1, zero)
    torch.manual_seed(0)
    assert not torch.allclose(first, model.sample(1, one))


def test_a_plain_model_ignores_labels() -> None:
    model, x = tiny(), images()
    assert torch.equal(model.encode(x), model.encode(x, LABELS))


def test_loss_is_reconstruction_plus_beta_kl_in_every_stage() -> None:
    model = tiny(beta=2.5)
    x = images()
    for stage in ("train", "val", "test"):
        torch.manual_seed(1)
        loss = model.step(x, LABELS, stage)
        figures = model.figures(stage)["means"].compute()
        torch.testing.assert_close(
            loss.item(), (figures["reconstruction"] + 2.5 * figures["kl"]).item(), rtol=1e-5, atol=0
        )
        torch.manual_seed(1)
        reconstruction, kl, _ = model.elbo_terms(x)
        torch.testing.assert_close(loss, (reconstruction + 2.5 * kl).mean())


def test_gaussian_likelihood_learns_the_scale_that_fits() -> None:
    """The best log_scale for given means is half the log of the mean squared residual: its gradient is zero there."""
    model = tiny(likelihood="gaussian")
    logits, x = torch.zeros(4, *SHAPE).double(), images()
    with torch.no_grad():
        model.log_scale.copy_(0.5 * (x - 0.5).square().mean().log())
    model.negative_log_likelihood(logits, x).mean().backward()
    assert model.log_scale.grad.abs() < 1e-9


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image_shape": (28, 28)}, r"image_shape must be \(channels, height, width\).*got \(28, 28\)"),
        ({"image_shape": (1, 0, 28)}, r"each at least 1, got \(1, 0, 28\)"),
        ({"latent_dim": 0}, "latent_dim must be a whole number, at least 1, got 0"),
        ({"hidden_dims": [4, -1]}, r"hidden_dims must be a list of whole numbers, each at least 1, got \[4, -1\]"),
        ({"hidden_dims": 400}, "hidden_dims must be a list of whole numbers, each at least 1, got 400"),
        ({"encoder": partial(MLPEncoder, hidden_dims=[2.5])}, r"hidden_dims must be a list of whole .* got \[2.5\]"),
        ({"image_shape": 784}, r"image_shape must be \(channels, height, width\).*got \(784,\)"),
        ({"beta": -0.5}, "beta must be a finite number, at least 0, got -0.5"),
        ({"beta": math.nan}, "beta must be a finite number, at least 0, got nan"),
        ({"conditional": True, "num_classes": 0}, "num_classes must be at least 1 for a conditional model, got 0"),
        ({"likelihood": "poisson"}, r"likelihood must be one of \['bernoulli', 'mse', 'gaussian'\], got 'poisson'"),
        ({"prior": "vamp"}, r"prior must be one of \['standard', 'mixture'\], got 'vamp'"),
        ({"num_components": 0}, "num_components must be a whole number, at least 1, got 0"),
        ({"prior_lr_factor": -1.0}, "prior_lr_factor must be at least 0, got -1.0"),
        ({"importance_samples": 0}, "importance_samples must be a whole number, at least 1, got 0"),
        ({"likelihood_samples": -1}, "likelihood_samples must be a whole number, at least 0, got -1"),
        ({"elbo_warmup_epochs": -1}, "elbo_warmup_epochs must be a whole number, at least 0, got -1"),
        ({"beta_warmup_epochs": -1}, "beta_warmup_epochs must be a whole number, at least 0, got -1"),
    ],
)
def test_arguments_out_of_range(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tiny(**options)


def test_images_of_another_shape() -> None:
    with pytest.raises(ValueError, match=r"images of shape \(2, 1, 28, 28\) do not fit a model for \(N, 1, 6, 5\)"):
        tiny().encode(torch.rand(2, 1, 28, 28).double())
    with pytest.raises(ValueError, match=r"images of shape \(1, 6, 5\) do not fit"):
        tiny().reconstruct(torch.rand(SHAPE).double())


@pytest.mark.parametrize("verb", ["sample", "reconstruct", "encode"])
@pytest.mark.parametrize(
    ("y", "message"),
    [
        (None, r"this model is conditional: pass labels y, shape \(4,\), in 0..9"),
        (torch.tensor([0, 1, 2, 10]), "labels y must be in 0..9, got 0..10"),
        (torch.tensor([0, 1, 2, -1]), "labels y must be in 0..9, got -1..2"),
        ([0, 1, 2, 3], r"labels y must be a tensor, got list: use torch.tensor\(y\)"),
        (torch.tensor([1, 2]), r"whole numbers of shape \(4,\), got torch.int64 of shape \(2,\)"),
        (torch.rand(4), r"whole numbers of shape \(4,\), got torch.float32"),
    ],
)
def test_labels_that_a_conditional_model_cannot_use(verb: str, y: Tensor | None, message: str) -> None:
    model = tiny(conditional=True)
    with pytest.raises(ValueError, match=message):
        getattr(model, verb)(4 if verb == "sample" else images(), y)


def test_bytes_are_not_images() -> None:
    with pytest.raises(ValueError, match=r"images must be floats in \[0, 1\], got torch.uint8: divide bytes by 255"):
        tiny().encode(torch.zeros(2, *SHAPE, dtype=torch.uint8))


def test_no_images() -> None:
    with pytest.raises(ValueError, match="n must be a whole number, at least 1, got 0"):
        tiny().sample(0)
    with pytest.raises(ValueError, match="n must be a whole number, at least 1, got '3'"):
        tiny().sample("3")


def plain_sgd(parameters: Iterable[Tensor]) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, lr=0.01)


def make_trainer(folder: Path, **options) -> Trainer:
    return Trainer(
        default_root_dir=folder,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        accelerator="cpu",
        **options,
    )


def test_a_model_made_by_hand_loads_from_its_checkpoint(tmp_path: Path) -> None:
    model = LitVAE((1, 28, 28), latent_dim=3, conditional=True, optimizer=plain_sgd, **mlps([8]))
    trainer = make_trainer(tmp_path, max_steps=2, enable_checkpointing=False)
    trainer.fit(model, datamodule=DigitsDataModule())
    path = tmp_path / "model.ckpt"
    trainer.save_checkpoint(path)
    recipe = torch.load(path, weights_only=True)["recipe"]
    assert recipe["init_args"]["encoder"] == {
        "class_path": "lit_models.networks.mlp.MLPEncoder",
        "init_args": {"hidden_dims": [8]},
    }
    loaded = LitVAE.load_from_checkpoint(path, trusted=["tests"])
    assert loaded.conditional
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, loaded.get_parameter(name)), name


def test_scheduler_that_watches_a_figure(tmp_path: Path) -> None:
    model = LitVAE(
        (1, 28, 28),
        **mlps([8]),
        optimizer=lambda p: torch.optim.SGD(p, lr=1.0e-5),
        lr_scheduler=lambda o: ReduceLROnPlateau(o, monitor="val/reconstruction", patience=0, threshold=0.5),
    )
    trainer = make_trainer(tmp_path, max_epochs=3, enable_checkpointing=False)
    trainer.fit(model, datamodule=DigitsDataModule())
    assert trainer.optimizers[0].param_groups[0]["lr"] < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("conditional", [False, True])
@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_learns_to_reconstruct_better_than_the_mean_image(conditional: bool, likelihood: str, tmp_path: Path) -> None:
    data = DigitsDataModule()
    model = LitVAE((1, 28, 28), conditional=conditional, likelihood=likelihood)
    trainer = make_trainer(tmp_path, max_epochs=15, enable_checkpointing=False)
    trainer.fit(model, datamodule=data)
    train, val = (data.split(split)[0].float() / 255 for split in ("train", "val"))
    y = data.split("val")[1]
    mean_image_error = (val - train.mean(0)).square().mean()
    with torch.no_grad():
        assert (model.reconstruct(val, y) - val).square().mean() < 0.4 * mean_image_error


# -- priors, warm-up, importance samples ------------------------------------------------------------------------------


def steps_of(loss_options: dict, epoch: int, stage: str) -> Tensor:
    model = tiny(**loss_options)
    model.load_state_dict(tiny_weights())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(model), "current_epoch", epoch)
        torch.manual_seed(2)
        return model.step(torch.full((4, *SHAPE), 0.3).double(), None, stage).detach()


def tiny_weights() -> dict[str, Tensor]:
    torch.manual_seed(1)
    return tiny().state_dict()


@pytest.mark.parametrize(("epoch", "share"), [(0, 0.25), (1, 0.5), (3, 1.0), (9, 1.0)])
@pytest.mark.parametrize("k", [1, 3])
def test_beta_grows_in_training_and_is_whole_elsewhere(epoch: int, share: float, k: int) -> None:
    def with_beta(beta: float) -> dict:
        return {"beta": beta, "importance_samples": k}

    warm = with_beta(2.0) | {"beta_warmup_epochs": 4}
    torch.testing.assert_close(steps_of(warm, epoch, "train"), steps_of(with_beta(2.0 * share), 0, "train"))
    torch.testing.assert_close(steps_of(warm, epoch, "val"), steps_of(with_beta(2.0), 0, "val"))
    assert steps_of(with_beta(2.0), 0, "val") != steps_of(with_beta(1.0), 0, "val")


@pytest.mark.parametrize(("epoch", "k"), [(0, 1), (2, 1), (3, 5)])
def test_the_bound_of_k_draws_may_follow_the_elbo(epoch: int, k: int) -> None:
    warm = {"importance_samples": 5, "elbo_warmup_epochs": 3}
    torch.testing.assert_close(steps_of(warm, epoch, "train"), steps_of({"importance_samples": k}, 0, "train"))
    torch.testing.assert_close(steps_of(warm, epoch, "val"), steps_of({"importance_samples": 5}, 0, "val"))


@pytest.mark.parametrize("conditional", [False, True])
@pytest.mark.parametrize("importance_samples", [1, 3])
def test_a_mixture_prior_is_learned_at_its_own_rate(conditional: bool, importance_samples: int) -> None:
    model = tiny(
        prior="mixture",
        num_components=2,
        prior_lr_factor=5.0,
        conditional=conditional,
        importance_samples=importance_samples,
        lr_scheduler=partial(torch.optim.lr_scheduler.CosineAnnealingLR, T_max=4),
    )
    configured = model.configure_optimizers()
    optimizer, scheduler = configured["optimizer"], configured["lr_scheduler"]["scheduler"]
    for _ in range(2):
        optimizer.step()
        scheduler.step()
        networks, prior = (group["lr"] for group in optimizer.param_groups)
        assert prior == pytest.approx(5 * networks)
    assert sum(len(group["params"]) for group in optimizer.param_groups) == len(list(model.parameters()))
    model.step(images(), LABELS, "train").backward()
    for name, parameter in model.prior.named_parameters():
        assert parameter.grad.abs().sum() > 0, name


def test_a_conditional_mixture_draws_codes_of_the_class_asked() -> None:
    model = tiny(prior="mixture", num_components=1, conditional=True)
    model.prior.means.data[:, 0] = torch.arange(10.0).unsqueeze(1)
    model.prior.log_variances.data.fill_(-20)
    mean, std = model.prior_moments(LABELS)
    torch.testing.assert_close(mean[:, 0], LABELS.double(), atol=1e-3, rtol=0)
    assert std.max() < 1e-3
    torch.testing.assert_close(model.sample(4, LABELS), model.decode(mean, LABELS), atol=1e-3, rtol=0)


def test_decode_after_encode_is_reconstruct() -> None:
    model, x = tiny(), images()
    torch.testing.assert_close(model.decode(model.encode(x)), model.reconstruct(x))
    with pytest.raises(ValueError, match=r"codes must have shape \(N, 3\), got \(4, 2\)"):
        model.decode(torch.zeros(4, 2).double())


@pytest.mark.parametrize("conditional", [False, True])
def test_kl_of_units_sums_to_the_kl(conditional: bool) -> None:
    model, x = tiny(conditional=conditional), images()
    torch.testing.assert_close(model.unit_kl(x, LABELS).sum(1), model.elbo_terms(x, LABELS)[1])
    assert [value.tolist() for value in model.prior_moments(LABELS)] == [[0.0] * 3, [1.0] * 3]


def test_a_tensor_as_learning_rate_stays_the_networks() -> None:
    model = tiny(prior="mixture", num_components=2, optimizer=partial(torch.optim.Adam, lr=torch.tensor(1e-3)))
    assert [float(group["lr"]) for group in model.build_optimizer().param_groups] == pytest.approx([1e-3, 5e-3])


def test_images_of_another_precision_are_read() -> None:
    model, x = tiny(prior="mixture", num_components=2).float(), images()
    assert model.log_likelihood(x, samples=3).log_likelihood.isfinite().all()
    assert model.log_likelihood(x[:0], samples=3).log_likelihood.shape == (0,)
    with pytest.raises(ValueError, match=r"this model is conditional: pass labels y, shape \(N,\), in 0..9"):
        tiny(conditional=True).prior_moments()


def test_the_test_split_gets_a_log_likelihood_where_asked(tmp_path: Path) -> None:
    model = LitVAE((1, 28, 28), 2, **mlps([8]), likelihood_samples=5, importance_samples=2)
    trainer = make_trainer(tmp_path)
    figures = trainer.test(model, DigitsDataModule(binarize=True), verbose=False)[0]
    assert -600 < figures["test/log_likelihood"] < -400
    assert 1 <= figures["test/effective_sample_size"] <= 5
    assert figures["test/loss"] == pytest.approx(-figures["test/log_likelihood"], rel=0.02)
