"""LitAutoencoder: verbs, noise, sparsity, dictionary, mixture, errors, learning."""

import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import EMAWeightAveraging
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.utils.data import DataLoader, TensorDataset

from datamodules import DigitsDataModule
from lit_models import LitAutoencoder, load_model
from lit_models.networks import ConvDecoder, ConvEncoder, Decoder, MLPDecoder, MLPEncoder
from lit_models.networks.code_layer import code_layer
from tests.lit_models.test_vae import make_trainer as quiet_trainer

SHAPE = (1, 6, 5)


def mlps(hidden_dims: Sequence[int], back: Sequence[int] | None = None) -> dict:
    return {
        "encoder": partial(MLPEncoder, hidden_dims=hidden_dims),
        "decoder": partial(MLPDecoder, hidden_dims=hidden_dims if back is None else back),
    }


def tiny(hidden_dims: Sequence[int] = (7,), back: Sequence[int] | None = None, **options: Any) -> LitAutoencoder:
    arguments = {"image_shape": SHAPE, "latent_dim": 4, "num_components": 2} | mlps(hidden_dims, back)
    return LitAutoencoder(**(arguments | options)).double()


def images(n: int = 4, image_shape: Sequence[int] = SHAPE) -> Tensor:
    return torch.rand(n, *image_shape, dtype=torch.float64)


def figures(model: LitAutoencoder, stage: str) -> dict[str, float]:
    return {name: value.item() for name, value in model.figures(stage)["means"].compute().items()}


def make_trainer(folder: Path, **options: Any) -> Trainer:
    return quiet_trainer(folder, **({"enable_checkpointing": False} | options))


# -- verbs and gradients ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", ["bernoulli", "mse"])
@pytest.mark.parametrize("options", [{}, {"noise_std": 0.3, "sparsity": 0.1}])
@pytest.mark.parametrize("hidden_dims", [(), (9, 7)])
@pytest.mark.parametrize("image_shape", [(1, 6, 5), (3, 4, 4)])
def test_every_parameter_gets_a_gradient(loss, options, hidden_dims, image_shape) -> None:
    model = tiny(hidden_dims, image_shape=image_shape, loss=loss, latent_dim=20, **options)
    model.step(images(32, image_shape), None, "train").backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize("loss", ["bernoulli", "mse"])
@pytest.mark.parametrize("sparsity", [0.0, 0.1])
def test_verbs_give_images_and_codes(loss: str, sparsity: float) -> None:
    model = tiny(loss=loss, sparsity=sparsity)
    assert model.encode(images()).shape == (4, 4)
    for out in (model.sample(4), model.reconstruct(images()), model.decode(9 * torch.randn(4, 4).double())):
        assert out.shape == (4, *SHAPE)
        assert out.min() >= 0
        assert out.max() <= 1


def test_an_image_does_not_depend_on_its_batch() -> None:
    model, x = tiny(sparsity=0.1, noise_std=0.2), images()
    torch.testing.assert_close(model.reconstruct(x)[:1], model.reconstruct(x[:1]))


def test_labels_are_ignored() -> None:
    model, x = tiny(), images()
    assert torch.equal(model.reconstruct(x), model.reconstruct(x, torch.arange(4)))


@pytest.mark.parametrize("stage", ["train", "val", "test"])
def test_figures_are_those_of_the_reconstruction(stage: str) -> None:
    model, x = tiny(), images()
    loss = model.step(x, None, stage).item()
    found, seen = figures(model, stage), model.reconstruct(x)
    nats = -(x * seen.log() + (1 - x) * (1 - seen).log()).sum() / len(x)
    assert found["loss"] == pytest.approx(loss)
    assert found["bernoulli"] == pytest.approx(nats.item(), rel=1e-5)
    assert found["bce_per_pixel"] == pytest.approx(nats.item() / 30, rel=1e-5)
    assert found["mse"] == pytest.approx((seen - x).square().mean().item(), rel=1e-5)
    assert found["active_share"] == 1


def test_with_mse_there_are_no_nats_and_the_output_is_linear() -> None:
    """The loss is of the output before it is cut, so that its gradient does not vanish outside of [0, 1]."""
    model, x = tiny((), loss="mse"), images()
    with torch.no_grad():
        model.decoder.logits.bias.fill_(-3.0)
    loss = model.step(x, None, "val").item()
    found = figures(model, "val")
    assert set(found) == {"loss", "mse", "active_share"}
    assert found["mse"] == pytest.approx(x.square().mean().item(), rel=1e-5)  # black, after the cut
    assert loss > 4 * found["mse"]


# -- plain ------------------------------------------------------------------------------------------------------------


class Losses(Callback):
    """Keeps the loss of each training batch."""

    def __init__(self) -> None:
        self.values: list[float] = []

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, outputs: Any, *args: Any) -> None:
        self.values.append(outputs["loss"].item())


@pytest.mark.parametrize("loss", ["bernoulli", "mse"])
@pytest.mark.parametrize("sampler", ["normal", "mixture"])
def test_without_noise_and_sparsity_it_is_the_plain_model_to_the_bit(loss: str, sampler: str, tmp_path: Path) -> None:
    x = torch.rand(40, *SHAPE)
    torch.manual_seed(5)
    encoder, decoder = MLPEncoder(SHAPE, 4, hidden_dims=[7]), MLPDecoder(4, SHAPE, hidden_dims=[7])
    optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=0.01)
    losses = []
    for _ in range(3):
        for part in x.split(8):
            output = decoder(encoder(part))
            if loss == "mse":
                value = (output - part).square().mean()
            else:
                value = binary_cross_entropy_with_logits(output, part, reduction="none").flatten(1).sum(1).mean()
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            losses.append(value.item())

    torch.manual_seed(5)
    options = {"loss": loss, "noise_std": 0.0, "sparsity": 0.0, "sampler": sampler, "num_components": 2}
    model = LitAutoencoder(SHAPE, 4, **mlps([7]), **options, optimizer=partial(torch.optim.Adam, lr=0.01))
    watch = Losses()
    loader = DataLoader(TensorDataset(x), 8)
    make_trainer(tmp_path, max_epochs=3, callbacks=[watch]).fit(model, loader, loader)
    assert watch.values == losses
    for part, plain in ((model.encoder, encoder), (model.decoder, decoder)):
        for name, value in plain.state_dict().items():
            assert torch.equal(part.state_dict()[name], value), name


# -- noise ------------------------------------------------------------------------------------------------------------


def test_noise_has_the_deviation_asked_for_and_is_not_cut() -> None:
    model = tiny(noise_std=0.5)
    x = torch.zeros(2000, *SHAPE, dtype=torch.float64)
    noisy = model.corrupt(x)
    assert noisy.std().item() == pytest.approx(0.5, rel=0.02)
    assert noisy.mean().item() == pytest.approx(0, abs=0.02)
    assert noisy.min() < -1
    assert not torch.equal(model.eval().corrupt(x), x)  # asked for, it adds noise in eval mode too


@pytest.mark.parametrize("loss", ["bernoulli", "mse"])
def test_training_corrupts_the_input_and_keeps_the_clean_target(loss: str) -> None:
    model, x = tiny(noise_std=0.5, loss=loss), images()
    torch.manual_seed(1)
    found = model.step(x, None, "train")
    torch.manual_seed(1)
    seen = model.reconstruct(model.corrupt(x))
    if loss == "bernoulli":
        torch.testing.assert_close(found, -(x * seen.log() + (1 - x) * (1 - seen).log()).sum() / len(x))
    else:
        assert figures(model, "train")["mse"] == pytest.approx((seen - x).square().mean().item(), rel=1e-5)


@pytest.mark.parametrize("stage", ["val", "test"])
def test_corruption_is_off_in_evaluation(stage: str) -> None:
    noisy, x = tiny(noise_std=0.5), images()
    plain = tiny()
    plain.load_state_dict(noisy.state_dict())
    assert torch.equal(noisy.step(x, None, stage), plain.step(x, None, stage))
    assert torch.equal(noisy.encode(x), plain.encode(x))
    assert torch.equal(noisy.reconstruct(x), plain.reconstruct(x))
    assert figures(noisy, stage)["mse"] == figures(plain, stage)["mse"]
    torch.manual_seed(1)
    assert not torch.equal(noisy.step(x, None, "train"), plain.step(x, None, "train"))


@pytest.mark.parametrize("stage", ["val", "test"])
def test_denoising_is_measured_against_the_clean_image(stage: str) -> None:
    model, x = tiny(noise_std=0.5), images()
    torch.manual_seed(1)
    model.step(x, None, stage)
    torch.manual_seed(1)
    noisy = model.corrupt(x)
    found = figures(model, stage)
    assert found["noisy_mse"] == pytest.approx((noisy - x).square().mean().item(), rel=1e-5)
    assert found["denoised_mse"] == pytest.approx((model.reconstruct(noisy) - x).square().mean().item(), rel=1e-5)
    tiny().step(x, None, stage)
    assert "denoised_mse" not in figures(tiny_after_a_step(stage), stage)


def tiny_after_a_step(stage: str) -> LitAutoencoder:
    model = tiny()
    model.step(images(), None, stage)
    return model


def test_the_noise_of_validation_is_the_same_each_time(tmp_path: Path) -> None:
    model = tiny(noise_std=0.5).float()
    loader = DataLoader(TensorDataset(torch.rand(20, *SHAPE)), 8)
    trainer = make_trainer(tmp_path)
    first, second = (trainer.validate(model, loader, verbose=False)[0] for _ in range(2))
    assert first == second
    assert first["val/noisy_mse"] == pytest.approx(0.25, rel=0.2)


# -- sparsity and dictionary ------------------------------------------------------------------------------------------


def test_sparsity_weighs_the_mean_code_and_codes_can_be_zero() -> None:
    x = images(50)
    model, more = tiny(sparsity=0.5, latent_dim=10), tiny(sparsity=2.0, latent_dim=10)
    more.load_state_dict(model.state_dict())
    code = model.encode(x)
    assert code.min() == 0
    assert code.max() > 0
    difference = more.step(x, None, "val") - model.step(x, None, "val")
    torch.testing.assert_close(difference, 1.5 * code.mean())
    assert figures(model, "val")["active_share"] == pytest.approx((code > 0).double().mean().item())


@pytest.mark.parametrize("back", [(), (8,)])
@pytest.mark.parametrize("loss", ["bernoulli", "mse"])
def test_rescaled_columns_do_not_evade_the_penalty(back: Sequence[int], loss: str) -> None:
    model, x = tiny(back=back, sparsity=0.5, loss=loss), images()
    before = model.step(x, None, "val")
    layer = model.decoder.get_submodule(code_layer(model.decoder, 4))
    with torch.no_grad():
        layer.weight.mul_(torch.tensor([0.1, 1.0, 7.0, 100.0]))
    torch.testing.assert_close(model.step(x, None, "val"), before)


def test_the_columns_gradient_leaves_their_norm() -> None:
    model = tiny(back=(), sparsity=0.5, loss="mse", latent_dim=20)
    model.step(images(), None, "train").backward()
    weight = model.decoder.logits.weight
    torch.testing.assert_close((weight * weight.grad).sum(0), torch.zeros(20).double())
    assert weight.grad.abs().sum() > 0


@pytest.mark.parametrize("sparsity", [0.0, 0.5])
def test_an_image_is_the_sum_of_its_dictionary_vectors(sparsity: float) -> None:
    model = tiny(back=(), sparsity=sparsity, loss="mse")
    vectors = model.dictionary()
    assert not vectors.requires_grad
    assert vectors.shape == (4, *SHAPE)
    if sparsity:
        torch.testing.assert_close(vectors.flatten(1).norm(dim=1), torch.ones(4).double())
    with torch.no_grad():
        model.decoder.logits.bias.fill_(0.5)
    z = 0.1 * torch.rand(3, 4).double()
    torch.testing.assert_close(model.decode(z), 0.5 + torch.einsum("nd,dchw->nchw", z, vectors))


def test_a_decoder_with_hidden_layers_has_no_images_for_a_dictionary() -> None:
    with pytest.raises(TypeError, match="this MLPDecoder has others: use MLPDecoder with hidden_dims="):
        tiny().dictionary()


class Convolutional(Decoder):
    """No linear layer takes the code: the first one in it stands last."""

    def __init__(self, in_dim: int, image_shape: Sequence[int], condition_dim: int = 0) -> None:
        super().__init__()
        self.last = nn.Linear(in_dim, math.prod(image_shape))
        self.first = nn.Conv1d(in_dim, in_dim, 1)
        self.image_shape = tuple(image_shape)

    def forward(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.last(self.first(z[:, :, None])[:, :, 0]).unflatten(1, self.image_shape)


def test_the_layer_of_the_code() -> None:
    assert code_layer(MLPDecoder(4, SHAPE, hidden_dims=[4, 4]), 4) == "body.0"
    assert code_layer(ConvDecoder(4, (1, 8, 8)).double(), 4) == "start"
    assert code_layer(Convolutional(4, SHAPE), 4) is None
    decoder = MLPDecoder(4, SHAPE)
    code_layer(decoder, 4)
    assert decoder.training
    assert not any(module._forward_pre_hooks for module in decoder.modules())


def test_sparsity_needs_a_layer_of_the_code() -> None:
    assert tiny(decoder=Convolutional).sample(2).shape == (2, *SHAPE)
    with pytest.raises(ValueError, match=r"sparsity must be 0 with a Convolutional, got 0.1: no torch.nn.Linear in it"):
        tiny(decoder=Convolutional, sparsity=0.1)


# -- mixture ----------------------------------------------------------------------------------------------------------


def test_a_sample_before_any_fit() -> None:
    message = r"sampler='mixture' has no mixture yet: train with --model.sampler mixture, or call fit_mixture"
    with pytest.raises(RuntimeError, match=message):
        tiny(sampler="mixture").sample(3)
    with pytest.raises(RuntimeError, match=message):
        tiny().sample(3, sampler="mixture")


def test_samples_of_the_mixture_are_decoded_codes_of_images() -> None:
    model = tiny()
    one = images(1)
    model.fit_mixture([one.expand(30, -1, -1, -1)])
    torch.testing.assert_close(model.sample(1, sampler="mixture"), model.reconstruct(one), atol=1e-4, rtol=0)
    assert not torch.allclose(model.sample(1), model.reconstruct(one), atol=1e-4)


@pytest.mark.parametrize("sampler", ["normal", "mixture"])
def test_drawn_codes_are_not_negative_where_no_code_is(sampler: str) -> None:
    model = tiny(sparsity=0.5)
    model.fit_mixture([images(50)])
    seen: list[Tensor] = []
    model.decoder.register_forward_pre_hook(lambda decoder, inputs: seen.append(inputs[0]))
    model.sample(100, sampler=sampler)
    assert seen[0].min() == 0
    assert seen[0].max() > 0


def same_mixture(model: LitAutoencoder, other: LitAutoencoder) -> bool:
    return all(torch.equal(a, b) for a, b in zip(model.mixture.buffers(), other.mixture.buffers(), strict=True))


def refitted(model: LitAutoencoder, data: DigitsDataModule) -> LitAutoencoder:
    """The model with a mixture that is fitted to its weights now."""
    again = load_from(model)
    again.fit_mixture(part.float() / 255 for part in data.split("train")[0].split(100))
    return again


def load_from(model: LitAutoencoder) -> LitAutoencoder:
    again = type(model)(**model.init_args)
    again.load_state_dict(model.state_dict())
    return again


def digits_model(**options: Any) -> LitAutoencoder:
    return LitAutoencoder((1, 28, 28), 3, **mlps([8]), num_components=2, **options)


class Draws(Callback):
    """Samples when an epoch ends, as SampleGrid does, before the model's own hook, and in mid-epoch saves."""

    def __init__(self, data: DigitsDataModule, path: Path) -> None:
        self.data, self.path = data, path
        self.fresh: list[bool] = []

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if batch_idx == 2:
            trainer.save_checkpoint(self.path)
            saved: Any = load_model(self.path)
            self.fresh.append(same_mixture(saved, refitted(saved, self.data)))

    def on_train_epoch_end(self, trainer: Trainer, pl_module: Any) -> None:
        pl_module.sample(2)
        self.fresh.append(same_mixture(pl_module, refitted(pl_module, self.data)))
        assert pl_module.training


def test_every_checkpoint_and_picture_has_the_mixture_of_its_weights(tmp_path: Path) -> None:
    data = DigitsDataModule(batch_size=200)
    model = digits_model(sampler="mixture")
    draws = Draws(data, tmp_path / "middle.ckpt")
    trainer = make_trainer(tmp_path, max_epochs=2, callbacks=[draws])
    trainer.fit(model, datamodule=data)
    assert draws.fresh == [True] * 4
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    loaded: Any = load_model(tmp_path / "last.ckpt")
    assert same_mixture(loaded, refitted(loaded, data))
    assert loaded.sampler == "mixture"
    torch.manual_seed(0)
    first = loaded.sample(5)
    torch.manual_seed(0)
    assert torch.equal(first, model.eval().sample(5))


def test_a_fit_that_stops_in_an_epoch(tmp_path: Path) -> None:
    data = DigitsDataModule(batch_size=200)
    model = digits_model(sampler="mixture")
    make_trainer(tmp_path, max_steps=3).fit(model, datamodule=data)
    assert same_mixture(model, refitted(model, data))


def test_one_checkpoint_serves_both_samplers(tmp_path: Path) -> None:
    data = DigitsDataModule(batch_size=200)
    model = digits_model()
    trainer = make_trainer(tmp_path, max_epochs=1)
    trainer.fit(model, datamodule=data)
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    other = digits_model(sampler="mixture")
    make_trainer(tmp_path).test(other, datamodule=data, ckpt_path=tmp_path / "last.ckpt", verbose=False)
    assert same_mixture(other, refitted(other, data))
    assert other.sample(3).shape == (3, 1, 28, 28)
    assert other.sample(3, sampler="normal").shape == (3, 1, 28, 28)


def test_a_mixture_of_other_weights_is_forgotten(tmp_path: Path) -> None:
    data = DigitsDataModule(batch_size=200)
    model = digits_model()
    model.fit_mixture([torch.rand(20, 1, 28, 28)])
    make_trainer(tmp_path, max_steps=1).fit(model, datamodule=data)
    with pytest.raises(RuntimeError, match="has no mixture yet"):
        model.sample(3, sampler="mixture")


def test_averaged_weights_have_another_mixture(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path, max_steps=1, callbacks=[EMAWeightAveraging()])
    with pytest.warns(UserWarning, match="EMAWeightAveraging averages weights.*fit_mixture"):
        trainer.fit(digits_model(sampler="mixture"), datamodule=DigitsDataModule(batch_size=200))


def test_a_users_own_loader_of_images(tmp_path: Path) -> None:
    model = digits_model(sampler="mixture", noise_std=0.1, sparsity=0.1)
    loader = DataLoader(torch.rand(30, 1, 28, 28), 7)
    make_trainer(tmp_path, max_epochs=2).fit(model, DataLoader(loader.dataset, 7, shuffle=True), loader)
    assert model.mixture.fitted
    tested = digits_model(sampler="mixture")  # with no train split in sight it stays without
    make_trainer(tmp_path).test(tested, loader, verbose=False)
    assert not tested.mixture.fitted


# -- precisions -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("precision", ["bf16-mixed", "bf16-true", "64-true"])
def test_other_precisions(precision: Any, tmp_path: Path) -> None:
    model = digits_model(sampler="mixture", noise_std=0.2, sparsity=0.1)
    data = DigitsDataModule(batch_size=200)
    trainer = make_trainer(tmp_path, max_epochs=1, precision=precision)
    trainer.fit(model, datamodule=data)
    assert trainer.callback_metrics["val/denoised_mse"] < 1
    assert model.sample(3).isfinite().all()
    assert model.sample(3, sampler="normal").isfinite().all()


def test_colour_images_and_convolutions() -> None:
    model = LitAutoencoder((3, 8, 8), 5, ConvEncoder, ConvDecoder, loss="mse", noise_std=0.1, sparsity=0.1)
    model.step(torch.rand(1, 3, 8, 8), None, "train").backward()
    assert model.reconstruct(torch.rand(1, 3, 8, 8)).shape == (1, 3, 8, 8)


# -- errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image_shape": (28, 28)}, r"image_shape must be \(channels, height, width\).*got \(28, 28\)"),
        ({"latent_dim": 0}, "latent_dim must be a whole number, at least 1, got 0"),
        ({"num_components": -1}, "num_components must be a whole number, at least 0, got -1"),
        ({"loss": "bce"}, r"loss must be one of \['bernoulli', 'mse'\], got 'bce'"),
        ({"sampler": "uniform"}, r"sampler must be one of \['normal', 'mixture'\], got 'uniform'"),
        ({"sampler": "mixture", "num_components": 0}, "num_components must be at least 1 for sampler 'mixture', got 0"),
        ({"noise_std": -0.1}, "noise_std must be a finite number, at least 0, got -0.1: 0 for no noise"),
        ({"noise_std": math.nan}, "noise_std must be a finite number, at least 0, got nan"),
        ({"sparsity": -1.0}, "sparsity must be a finite number, at least 0, got -1.0: 0 for a plain code"),
        ({"sparsity": math.inf}, "sparsity must be a finite number, at least 0, got inf"),
    ],
)
def test_arguments_out_of_range(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tiny(**options)


def test_questions_that_have_no_answer() -> None:
    with pytest.raises(ValueError, match="n must be a whole number, at least 1, got 0"):
        tiny().sample(0)
    with pytest.raises(ValueError, match=r"sampler must be one of \['normal', 'mixture'\], got 'uniform'"):
        tiny().sample(1, sampler="uniform")
    with pytest.raises(ValueError, match="num_components must be at least 1 for sampler 'mixture', got 0"):
        tiny(num_components=0).fit_mixture([images()])
    with pytest.raises(ValueError, match="a mixture is fitted to at least 2 codes, got 1"):
        tiny().fit_mixture([images(1)])
    with pytest.raises(ValueError, match=r"images of shape \(2, 1, 28, 28\) do not fit a model for \(N, 1, 6, 5\)"):
        tiny().encode(torch.rand(2, 1, 28, 28).double())


# -- learning ---------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_linear_autoencoder_with_mse_finds_the_subspace_of_pca(tmp_path: Path) -> None:
    """Principal angles between the decoder's columns and the first principal components, in float64."""
    generator = torch.Generator().manual_seed(0)
    basis = torch.linalg.qr(torch.randn(30, 30, generator=generator, dtype=torch.float64)).Q
    deviations = torch.tensor([0.6, 0.5, 0.4, 0.35] + [0.05] * 26, dtype=torch.float64)
    x = torch.randn(512, 30, generator=generator, dtype=torch.float64) * deviations @ basis.T
    x = (0.5 + x).clamp(0, 1).unflatten(1, SHAPE)
    adam = partial(torch.optim.Adam, lr=0.03)
    decay = partial(torch.optim.lr_scheduler.CosineAnnealingLR, T_max=500)
    model = LitAutoencoder(SHAPE, 4, **mlps([]), loss="mse", optimizer=adam, lr_scheduler=decay)
    loader = DataLoader(TensorDataset(x), 128)
    trainer = make_trainer(tmp_path, max_epochs=500, precision="64-true", check_val_every_n_epoch=500)
    trainer.fit(model, loader, loader)
    components = torch.linalg.svd((x - x.mean(0)).flatten(1), full_matrices=False).Vh[:4]
    columns = torch.linalg.qr(model.dictionary().flatten(1).T).Q
    cosines = torch.linalg.svdvals(components @ columns)
    assert cosines.clamp(max=1).acos().max() < 0.05


@pytest.mark.slow
def test_a_sparse_denoising_model_denoises_with_few_units(tmp_path: Path) -> None:
    data = DigitsDataModule()
    adam = partial(torch.optim.Adam, lr=2e-3)
    options = {"loss": "mse", "noise_std": 0.3, "sparsity": 0.1, "num_components": 0}
    model = LitAutoencoder((1, 28, 28), 200, **mlps([128], []), **options, optimizer=adam)
    trainer = make_trainer(tmp_path, max_epochs=30)
    trainer.fit(model, datamodule=data)
    found = trainer.callback_metrics
    assert found["val/denoised_mse"] < 0.25 * found["val/noisy_mse"]
    assert 0.005 < found["val/active_share"] < 0.3


@pytest.mark.slow
def test_learns_to_reconstruct_better_than_the_mean_image(tmp_path: Path) -> None:
    data = DigitsDataModule()
    model = LitAutoencoder((1, 28, 28), 20)
    trainer = make_trainer(tmp_path, max_epochs=30)
    trainer.fit(model, datamodule=data)
    train, val = (data.split(split)[0].float() / 255 for split in ("train", "val"))
    assert trainer.callback_metrics["val/mse"] < 0.3 * (val - train.mean(0)).square().mean()
