"""LitRBM: scale, gradient, chains, likelihood in pixel units, words for what goes wrong."""

import math
import warnings
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from lightning.pytorch import Trainer
from torch import Tensor

from datamodules import DigitsDataModule, KMNISTDataModule
from lit_models import LitRBM, load_model
from lit_models import rbm as rbm_module
from lit_models.functional.rbm import free_energy, hidden_logits, log_partition, visible_mean

SHAPE = (1, 28, 28)


def make_trainer(folder: Path, **options) -> Trainer:
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False, "accelerator": "cpu"}
    usual = {"default_root_dir": folder, "max_epochs": 1, "limit_train_batches": 3, "enable_checkpointing": False}
    return Trainer(**(quiet | usual | {"log_every_n_steps": 1, "num_sanity_val_steps": 0} | options))


@pytest.fixture
def data(fake_data: Path) -> KMNISTDataModule:
    return KMNISTDataModule(str(fake_data), batch_size=16, val_fraction=0.2, download=False)


def two_pixels(**options) -> LitRBM:
    """A model of images of two pixels, in float64, with parameters and a scale that are not special."""
    model = LitRBM((1, 1, 2), hidden_dim=3, sigma="per_pixel", sigma_init=0.5, **options).double().eval()
    with torch.no_grad():
        model.weight.copy_(torch.randn(3, 2))
        model.hidden_bias.copy_(torch.randn(3))
    model.fit_scale([torch.rand(50, 1, 1, 2).double()])
    return model


def test_the_likelihood_is_a_density_over_pixels_in_0_to_1() -> None:
    model = two_pixels()
    axis = torch.linspace(-4, 5, 1201, dtype=torch.float64)
    images = torch.cartesian_prod(axis, axis).view(-1, 1, 1, 2)
    total = model.log_likelihood(images).exp().sum() * (axis[1] - axis[0]) ** 2
    assert total.item() == pytest.approx(1, abs=1e-9)


def test_the_scale_is_the_train_splits(data: KMNISTDataModule, tmp_path: Path) -> None:
    model = LitRBM(SHAPE, optimizer=partial(torch.optim.SGD, lr=0.0))
    make_trainer(tmp_path).fit(model, datamodule=data)
    pixels = data.split("train")[0].double().flatten(1) / 255
    assert model.scale.mean.item() == pytest.approx(pixels.mean().item(), rel=1e-6)
    assert model.scale.std.item() == pytest.approx(pixels.std(correction=0).item(), rel=1e-6)
    mean_image = ((pixels.mean(0) - pixels.mean()) / pixels.std(correction=0)).float()
    torch.testing.assert_close(model.visible_bias.detach(), mean_image, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(model.scale.mean_image, mean_image, rtol=1e-5, atol=1e-5)


def test_the_scale_stays_when_a_model_is_trained_further(data: KMNISTDataModule, tmp_path: Path) -> None:
    model = LitRBM(SHAPE)
    model.fit_scale([torch.rand(10, *SHAPE) * 0.1])
    before = model.scale.std.clone()
    make_trainer(tmp_path).fit(model, datamodule=data)
    assert model.scale.std == before


def test_an_image_is_treated_alike_in_any_batch() -> None:
    model = LitRBM(SHAPE).eval()
    model.fit_scale([torch.rand(10, *SHAPE)])
    x = torch.rand(5, *SHAPE)
    x[1:] *= 0.1
    for verb in (model.reconstruct, model.encode, model.log_likelihood):
        torch.testing.assert_close(verb(x)[:1], verb(x[:1]), rtol=1e-5, atol=1e-5)


def test_verbs_on_images_in_0_to_1() -> None:
    model = LitRBM((3, 8, 6), hidden_dim=5).eval()
    model.fit_scale([torch.rand(10, 3, 8, 6)])
    for images in (model.sample(4, steps=3), model.reconstruct(torch.rand(4, 3, 8, 6), cd_steps=2)):
        assert images.shape == (4, 3, 8, 6)
        assert 0 <= images.min() <= images.max() <= 1
    codes = model.encode(torch.rand(4, 3, 8, 6))
    assert codes.shape == (4, 5)
    assert model.run_chains(2, [1, 4]).shape == (2, 2, 3, 8, 6)
    assert model.filters().shape == (5, 3, 8, 6)


def test_mean_field_is_deterministic_and_the_chain_is_not() -> None:
    model = two_pixels()
    x = torch.rand(20, 1, 1, 2).double()
    assert torch.equal(model.reconstruct(x), model.reconstruct(x))
    assert not torch.equal(model.reconstruct(x, cd_steps=1), model.reconstruct(x, cd_steps=1))


def test_decode_is_the_conditional_mean_in_pixels() -> None:
    """Equation (4), taken back to [0, 1]: every hidden unit that is on adds its filter to the image of none."""
    model = two_pixels()
    states = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 1], [0.3, 0.5, 0.2]]).double()
    with torch.no_grad():
        model.weight.mul_(0.1)  # so that nothing is cut
        none = model.scale.inverse(model.visible_bias.unsqueeze(0))  # (1, 1, 1, 2)
        expected = none + torch.einsum("nh,hcij->ncij", states, model.filters())
        assert 0 < expected.min() < expected.max() < 1
        torch.testing.assert_close(model.decode(states), expected)
        model.weight.mul_(1000)
        cut = model.decode(states)
    assert (cut.min(), cut.max()) == (0, 1)
    with pytest.raises(ValueError, match=r"z must have shape \(N, 3\), a column a hidden unit, got \(4, 2\): encode"):
        model.decode(states[:, :2])


@pytest.mark.parametrize("learning", ["cd", "exact"])
def test_the_gradient_of_a_step(learning: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """That of the difference of the phases' free energies, the chain taken as a constant; or that of -log p."""
    model = two_pixels(learning=learning)
    x = torch.rand(6, 1, 1, 2).double()
    chain = torch.randn(6, 2).double()
    # as if drawn from the parameters: a gradient that came this way would show
    leaky = chain + 0 * model.visible_bias
    monkeypatch.setattr(rbm_module, "gibbs_chain", lambda *args: (leaky, leaky))
    loss = model.step(x, torch.zeros(6), "val")
    rbm, v = model.rbm, model.scale(x)
    negative = free_energy(rbm, chain).mean() if learning == "cd" else -log_partition(rbm)
    wanted = torch.autograd.grad(free_energy(rbm, v).mean() - negative, list(model.parameters()))
    for found, expected in zip(torch.autograd.grad(loss, list(model.parameters())), wanted, strict=True):
        torch.testing.assert_close(found, expected)
    if learning == "exact":
        torch.testing.assert_close(loss, -model.log_likelihood(x).mean())


def test_the_step_hands_its_chain_nothing_to_differentiate() -> None:
    model = LitRBM(SHAPE, cd_steps=1)
    model.fit_scale([torch.rand(10, *SHAPE)])
    x = torch.rand(4, *SHAPE)
    loss = model.step(x, torch.zeros(4), "val")
    loss.backward()
    # by hand: the same chain again, from the same noise
    torch.manual_seed(3)
    model.zero_grad()
    model.step(x, torch.zeros(4), "val").backward()
    found = model.weight.grad.clone()
    torch.manual_seed(3)
    with torch.no_grad():
        rbm = model.rbm
        v = model.scale(x)
        p = hidden_logits(rbm, v).sigmoid()
        h = (torch.rand_like(p) < p).float()
        chain = model.visible_bias + h @ model.weight
        chain = chain + torch.randn_like(chain)
        q = hidden_logits(rbm, chain).sigmoid()
    torch.testing.assert_close(found, -(p.T @ v - q.T @ chain) / 4, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("cd_steps", [1, 3])
def test_the_negative_phase_without_noise(cd_steps: int) -> None:
    """Every draw is its mean: the step is the difference of statistics at the image and at its reconstruction."""
    model = two_pixels(negative_phase="mean_field", cd_steps=cd_steps)
    x = torch.rand(6, 1, 1, 2).double()
    found = torch.autograd.grad(model.step(x, torch.zeros(6), "val"), model.weight)[0]
    rbm, v = model.rbm, model.scale(x)
    chain = v
    for _ in range(cd_steps):
        chain = visible_mean(rbm, hidden_logits(rbm, chain).sigmoid())
    gap = free_energy(rbm, v).mean() - free_energy(rbm, chain.detach()).mean()
    torch.testing.assert_close(found, torch.autograd.grad(gap, model.weight)[0])
    figures = model.figures("val")["means"].compute()
    again = (model.scale.inverse(chain) - x).square().mean()
    torch.testing.assert_close(figures["cd_mse"].double(), again, rtol=1e-6, atol=0)
    assert (figures["cd_mse"] == figures["mean_field_mse"]) == (cd_steps == 1)


def test_every_parameter_gets_a_gradient() -> None:
    model = LitRBM(SHAPE, sigma="shared")
    model.fit_scale([torch.rand(10, *SHAPE)])
    model.step(torch.rand(4, *SHAPE), torch.zeros(4), "val").backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_a_fixed_sigma_stays(data: KMNISTDataModule, tmp_path: Path) -> None:
    sigmas = {}
    for sigma in ("fixed", "shared", "per_pixel"):
        model = LitRBM(SHAPE, sigma=sigma, sigma_init=0.5)
        make_trainer(tmp_path).fit(model, datamodule=data)
        sigmas[sigma] = model.rbm.sigma.detach()
    assert sigmas["fixed"] == 0.5
    assert sigmas["shared"].shape == ()
    assert sigmas["shared"] != 0.5
    assert sigmas["per_pixel"].shape == (784,)
    assert len(sigmas["per_pixel"].unique()) > 2


@pytest.mark.filterwarnings("ignore:.*the units are saturated")  # with so small a sigma they are
def test_no_sigma_falls_below_its_floor_or_stays_there(data: KMNISTDataModule, tmp_path: Path) -> None:
    model = LitRBM(SHAPE, sigma="shared", sigma_init=0.02, optimizer=partial(torch.optim.Adam, lr=0.1))
    with torch.no_grad():
        model.log_sigma.fill_(math.log(0.01))
    make_trainer(tmp_path, limit_train_batches=1).fit(model, datamodule=data)
    assert model.rbm.sigma.item() + 1e-7 >= 0.02
    make_trainer(tmp_path).fit(model, datamodule=data)
    assert model.rbm.sigma.item() > 0.021


def test_persistent_chains_go_on_and_travel_in_the_checkpoint(data: KMNISTDataModule, tmp_path: Path) -> None:
    model = LitRBM(SHAPE, chains="persistent", num_chains=8)
    start = model.chain.clone()
    trainer = make_trainer(tmp_path)
    trainer.fit(model, datamodule=data)
    assert not torch.equal(model.chain, start)
    assert "train/cd_mse" not in trainer.callback_metrics  # such chains do not start at an image
    trainer.save_checkpoint(tmp_path / "rbm.ckpt")
    assert torch.equal(load_model(tmp_path / "rbm.ckpt").chain, model.chain)


def test_figures_and_exact_likelihood(data: KMNISTDataModule, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    model = LitRBM(SHAPE, hidden_dim=4)
    trainer = make_trainer(tmp_path)
    trainer.fit(model, datamodule=data)
    names = {f"train/{name}" for name in ("free_energy_gap", "cd_mse", "weight_norm", "sigma", "hidden_activation")}
    assert names | {"train/saturated_share", "val/log_likelihood", "val/cd_mse"} <= set(trainer.callback_metrics)
    with caplog.at_level("INFO", logger="lightning.pytorch.utilities.rank_zero"):
        figures = trainer.test(model, datamodule=data, verbose=False)[0]
    assert "test/log_likelihood is exact: all 2^4 hidden states are summed" in caplog.text
    images = data.split("test")[0].float() / 255
    assert figures["test/log_likelihood"] == pytest.approx(model.log_likelihood(images).mean().item(), rel=1e-5)


def test_annealed_likelihood_above_20_units(
    data: KMNISTDataModule, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = LitRBM(SHAPE, hidden_dim=21, ais_chains=20, ais_steps=50)
    model.fit_scale([torch.rand(10, *SHAPE)])
    with caplog.at_level("INFO", logger="lightning.pytorch.utilities.rank_zero"):
        figures = make_trainer(tmp_path).test(model, datamodule=data, verbose=False)[0]
    assert "test/log_likelihood is an AIS estimate" in caplog.text
    assert figures["test/ais_standard_error"] > 0
    assert 1 <= figures["test/ais_effective_sample_size"] <= 20
    log_z = model.annealed_log_partition().log_partition
    images = data.split("test")[0].float() / 255
    assert figures["test/log_likelihood"] == pytest.approx(model.log_likelihood(images, log_z).mean().item(), rel=1e-5)
    with pytest.raises(ValueError, match="hidden_dim must be at most 20, got 21"):
        model.log_likelihood(images)


def test_an_unsure_annealing_warns(data: KMNISTDataModule, tmp_path: Path) -> None:
    model = LitRBM(SHAPE, hidden_dim=21, ais_chains=20, ais_steps=1)
    with torch.no_grad():
        model.weight.mul_(20)
    with pytest.warns(UserWarning, match=r"log Z rests on .* of 20 chains \(effective sample size\)"):
        make_trainer(tmp_path).test(model, datamodule=data, verbose=False)


def scaled(weight: float, bias: float) -> LitRBM:
    model = LitRBM(SHAPE, optimizer=partial(torch.optim.SGD, lr=0.0))
    with torch.no_grad():
        model.weight.mul_(weight)
        model.hidden_bias.fill_(bias)
    return model


@pytest.mark.parametrize(
    ("weight", "bias", "message"),
    [
        (0.0, -20.0, "16 of 16 units were on for less than 0.5% of the images, 0 for"),
        (0.0, 20.0, "0 of 16 units were on for less than 0.5% of the images, 16 for"),
        (3000.0, 0.0, "of the hidden probabilities were below 0.01 or above 0.99: the units are saturated"),
        (1000.0, 0.0, "weights explode: at the end of epoch 0 a hidden unit moves its pixels by 10"),
    ],
)
def test_what_goes_wrong_is_said_in_words(
    weight: float, bias: float, message: str, data: KMNISTDataModule, tmp_path: Path
) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        make_trainer(tmp_path).fit(scaled(weight, bias), datamodule=data)
    assert any(message in str(warning.message) for warning in caught)


@pytest.mark.parametrize("name", ["visible_bias", "hidden_bias", "weight"])
def test_nan_stops_the_run_and_names_the_quantity(name: str, data: KMNISTDataModule, tmp_path: Path) -> None:
    model = LitRBM(SHAPE)
    model.fit_scale([torch.rand(10, *SHAPE)])
    with torch.no_grad():
        model.get_parameter(name).fill_(torch.nan)
    with pytest.raises(FloatingPointError, match="free energy of the data is nan at batch 0: lower"):
        make_trainer(tmp_path).fit(model, datamodule=data)


def test_nan_in_the_chain_is_named(monkeypatch: pytest.MonkeyPatch, data: KMNISTDataModule, tmp_path: Path) -> None:
    def broken(rbm: object, logits: Tensor, steps: int) -> tuple[Tensor, Tensor]:
        v = torch.full((len(logits), 784), torch.nan)
        return v, v

    monkeypatch.setattr(rbm_module, "gibbs_chain", broken)
    with pytest.raises(FloatingPointError, match="free energy of the chain is nan at batch 0: lower"):
        make_trainer(tmp_path).fit(LitRBM(SHAPE), datamodule=data)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hidden_dim": 0}, "hidden_dim must be a whole number, at least 1, got 0"),
        ({"cd_steps": 0}, "cd_steps must be a whole number, at least 1, got 0"),
        ({"num_chains": 0}, "num_chains must be a whole number, at least 1, got 0"),
        ({"ais_chains": 1}, "ais_chains must be a whole number, at least 2, got 1"),
        ({"ais_steps": 0}, "ais_steps must be a whole number, at least 1, got 0"),
        ({"sigma": "free"}, r"sigma must be one of \['fixed', 'shared', 'per_pixel'\], got 'free'"),
        ({"chains": "none"}, r"chains must be one of \['data', 'persistent'\], got 'none'"),
        ({"negative_phase": "none"}, r"negative_phase must be one of \['gibbs', 'mean_field'\], got 'none'"),
        (
            {"chains": "persistent", "negative_phase": "mean_field"},
            "with chains='persistent' negative_phase must be 'gibbs', got 'mean_field'",
        ),
        ({"learning": "pcd"}, r"learning must be one of \['cd', 'exact'\], got 'pcd'"),
        ({"sigma_init": 0.0}, "sigma_init must be a finite number, at least 0.02, got 0.0"),
        ({"sigma_init": math.nan}, "sigma_init must be a finite number"),
        ({"learning": "exact", "hidden_dim": 17}, "hidden_dim must be at most 16, got 17; use learning='cd'"),
    ],
)
def test_arguments_out_of_range(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LitRBM(SHAPE, **options)


def test_images_of_another_shape() -> None:
    with pytest.raises(ValueError, match=r"images of shape \(2, 1, 8, 8\) do not fit a model for \(N, 1, 28, 28\)"):
        LitRBM(SHAPE).encode(torch.rand(2, 1, 8, 8))


def test_images_that_give_no_scale() -> None:
    with pytest.raises(ValueError, match="images must be floats"):
        LitRBM(SHAPE).fit_scale([torch.zeros(3, *SHAPE, dtype=torch.uint8)])
    with pytest.raises(ValueError, match="there are no training images to take a scale from"):
        LitRBM(SHAPE).fit_scale([])


def test_chains_that_processes_cannot_share(data: KMNISTDataModule, tmp_path: Path) -> None:
    model = LitRBM(SHAPE, chains="persistent", num_chains=7)
    model.trainer = SimpleNamespace(  # as far as setup looks
        world_size=2, log_every_n_steps=1, strategy=SimpleNamespace(root_device=torch.device("cpu"))
    )
    with pytest.raises(ValueError, match="num_chains must be a multiple of the 2 processes, got 7"):
        model.setup("fit")


@pytest.mark.parametrize("learning", ["cd", "exact"])
def test_half_precision_does_not_reach_the_draws(learning: str, data: KMNISTDataModule, tmp_path: Path) -> None:
    weights = []
    for precision in ("32-true", "bf16-mixed"):
        torch.manual_seed(0)
        model = LitRBM(SHAPE, learning=learning, hidden_dim=4)
        make_trainer(tmp_path, precision=precision).fit(model, datamodule=data)
        weights.append(model.weight.detach())
    assert torch.equal(*weights)


def test_errors_are_measured_before_the_cut(data: KMNISTDataModule, tmp_path: Path) -> None:
    model = LitRBM(SHAPE)
    trainer = make_trainer(tmp_path)
    trainer.fit(model, datamodule=data)
    with torch.no_grad():
        model.visible_bias -= 1  # so that means leave [0, 1]
    figures = trainer.test(model, datamodule=data, verbose=False)[0]
    x = data.split("test")[0].float() / 255
    with torch.no_grad():
        mean = visible_mean(model.rbm, model.encode(x))
    raw = model.scale.inverse(mean)
    assert raw.min() < 0
    assert figures["test/mean_field_mse"] == pytest.approx((raw - x).square().mean().item(), rel=1e-4)
    torch.testing.assert_close(model.reconstruct(x), raw.clamp(0, 1))


def test_an_untrained_twin_sees_the_same_scale(data: KMNISTDataModule, tmp_path: Path) -> None:
    model = LitRBM(SHAPE)
    trainer = make_trainer(tmp_path)
    trainer.fit(model, datamodule=data)
    trainer.save_checkpoint(tmp_path / "rbm.ckpt")
    twin = load_model(tmp_path / "rbm.ckpt", trained=False)
    assert twin.scale.std == model.scale.std
    assert not torch.equal(twin.weight, model.weight)


def test_images_without_contrast() -> None:
    with pytest.raises(ValueError, match=r"the training images have no contrast: mean 0\.5, variance"):
        LitRBM(SHAPE).fit_scale([torch.full((3, *SHAPE), 0.5)])


def test_a_fit_without_a_data_module_takes_its_scale_from_the_training_loader(tmp_path: Path) -> None:
    images = torch.rand(20, *SHAPE)
    loader = torch.utils.data.DataLoader(images, batch_size=6, shuffle=True)
    model = LitRBM(SHAPE)
    make_trainer(tmp_path).fit(model, loader, torch.utils.data.DataLoader(images, batch_size=6))
    torch.testing.assert_close(model.scale.mean, images.mean())
    torch.testing.assert_close(model.scale.std, images.std(correction=0))


@pytest.mark.parametrize("at", [[], [0, 1], [3, 2]])
def test_moments_of_a_chain_must_grow(at: list[int]) -> None:
    with pytest.raises(ValueError, match="Gibbs steps must be whole numbers that grow"):
        LitRBM(SHAPE).run_chains(1, at)


@pytest.mark.slow
@pytest.mark.parametrize("learning", ["cd", "exact"])
def test_learns_the_digits(learning: str, tmp_path: Path) -> None:
    """Reconstructs better than the mean image, and says more of unseen digits than it did before."""
    data = DigitsDataModule()
    model = LitRBM(data.input_shape, hidden_dim=12, learning=learning, sigma="shared")
    trainer = make_trainer(tmp_path, max_epochs=0)
    trainer.fit(model, datamodule=data)
    before = trainer.test(model, datamodule=data, verbose=False)[0]["test/log_likelihood"]
    trainer = make_trainer(tmp_path, max_epochs=60, limit_train_batches=None)
    trainer.fit(model, datamodule=data)
    after = trainer.test(model, datamodule=data, verbose=False)[0]["test/log_likelihood"]
    x = data.split("test")[0].float() / 255
    mean_image = data.split("train")[0].float().mean(0) / 255
    assert (model.reconstruct(x) - x).square().mean() < 0.6 * (mean_image - x).square().mean()
    assert after > before + 5


@pytest.mark.slow
@pytest.mark.parametrize("learning", ["cd", "exact"])
def test_annealing_agrees_with_enumeration(learning: str, tmp_path: Path) -> None:
    """For a lightly trained machine; one trained for long has modes that chains may miss, see docs/rbm.md."""
    data = DigitsDataModule()
    model = LitRBM(data.input_shape, hidden_dim=12, learning=learning, sigma="shared")
    make_trainer(tmp_path, max_epochs=10, limit_train_batches=None).fit(model, datamodule=data)
    exact = log_partition(model.rbm).item()
    assert model.annealed_log_partition().log_partition == pytest.approx(exact, abs=0.3)
