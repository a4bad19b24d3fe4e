"""LitPPCA: verbs, the three fits, precisions, processes, checkpoints, errors, learning."""

import copy
import logging
import math
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from lightning.pytorch import Callback, LightningDataModule, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor
from torch.optim.lr_scheduler import CosineAnnealingLR
from torch.testing import assert_close
from torch.utils.data import DataLoader

from callbacks.verbs import Decodes, Encodes, HasFilters, Reconstructs, Samples, Traverses
from datamodules import DigitsDataModule
from lit_generative import train
from lit_models import LitPPCA, load_model
from lit_models.functional.linear_gaussian import closed_form, log_density, mean_log_density
from lit_models.moments import covariance
from tests.lit_models.test_vae import make_trainer as quiet_trainer
from tests.processes import assert_ranks_are_equal, fit_on_two

SHAPE = (1, 6, 5)
FITS = [("isotropic", "closed_form"), ("isotropic", "em"), ("diagonal", "em"), ("diagonal", "gradient")]
# Lightning's word for a run without validation
pytestmark = pytest.mark.filterwarnings("ignore:You defined a `validation_step` but have no `val_dataloader`")


def images(n: int = 60, image_shape: Sequence[int] = SHAPE) -> Tensor:
    """Correlated pixels in [0, 1], always the same."""
    generator = torch.Generator().manual_seed(1)
    size = math.prod(image_shape)
    codes = torch.rand(n, 4, generator=generator, dtype=torch.float64)
    mixed = codes @ torch.rand(4, size, generator=generator, dtype=torch.float64)
    noisy = mixed / 4 + 0.1 * torch.rand(n, size, generator=generator, dtype=torch.float64)
    return noisy.clamp(0, 1).unflatten(1, tuple(image_shape))


def fitted(noise: str = "isotropic", fit: str = "closed_form", **options: Any) -> LitPPCA:
    """In float64, and fitted but for "gradient", which is where it starts."""
    arguments = {"image_shape": SHAPE, "latent_dim": 3, "noise": noise, "fit": fit} | options
    model = LitPPCA(**arguments).double()
    batches = images(image_shape=arguments["image_shape"]).split(25)
    if fit == "gradient":
        model.fit_start(batches)
    else:
        model.fit_covariance(batches)
    if fit == "em":
        model.maximize(50)
    return model.eval()


def make_trainer(folder: Path, **options: Any) -> Trainer:
    return quiet_trainer(folder, **({"enable_checkpointing": False, "log_every_n_steps": 1} | options))


class Logged(Callback):
    """What was logged of one figure after each epoch, once the model has logged it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.values: list[float] = []

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.current_epoch:
            self.values.append(float(trainer.callback_metrics[self.name]))

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.values.append(float(trainer.callback_metrics[self.name]))


# -- verbs ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("noise", "fit"), FITS)
@pytest.mark.parametrize("image_shape", [SHAPE, (3, 4, 4)])
def test_verbs_give_images_and_codes(noise: str, fit: str, image_shape: tuple[int, ...]) -> None:
    model, x = fitted(noise, fit, image_shape=image_shape), images(4, image_shape)
    assert model.encode(x).shape == (4, 3)
    for out in (
        model.sample(4),
        model.sample(4, pixel_noise=True),
        model.reconstruct(x),
        model.decode(9 * x.flatten(1)[:, :3]),
    ):
        assert out.shape == (4, *image_shape)
        assert out.min() >= 0
        assert out.max() <= 1
    assert model.filters().shape == (3, *image_shape)
    for verb in (Samples, Reconstructs, Encodes, Decodes, Traverses, HasFilters):
        assert isinstance(model, verb)


def test_an_image_does_not_depend_on_its_batch() -> None:
    model, x = fitted(), images(4)
    torch.testing.assert_close(model.reconstruct(x)[:1], model.reconstruct(x[:1]))
    torch.testing.assert_close(model.log_likelihood(x)[:1], model.log_likelihood(x[:1]))


def test_every_parameter_gets_a_gradient() -> None:
    model = fitted("diagonal", "gradient")
    model.step(images(), None, "train").backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.ne(0).all(), name


@pytest.mark.parametrize(("noise", "fit"), FITS)
def test_samples_with_pixel_noise_have_the_density_of_the_model(noise: str, fit: str) -> None:
    """Of the images that `log_likelihood` is about: their covariance is W W' + diag(psi), and W W' without noise."""
    model = fitted(noise, fit, min_variance=1e-4)
    with torch.no_grad():
        model.mean.fill_(0.5)  # far from 0 and 1, where samples are cut
        model.log_variance.fill_(math.log(1e-3))
    weight, _, variance = model.gaussian
    for with_noise in (False, True):
        drawn = model.sample(100_000, pixel_noise=with_noise).flatten(1)
        expected = weight @ weight.T + torch.diag(variance) * with_noise
        torch.testing.assert_close(drawn.T.cov(), expected, rtol=0.05, atol=3e-4)


def test_pixel_noise_is_a_choice_of_the_model_and_of_the_call() -> None:
    def drawn(choice: bool, **options: Any) -> Tensor:
        torch.manual_seed(0)
        model = fitted(pixel_noise=choice)
        torch.manual_seed(1)
        return model.sample(2, **options)

    assert torch.equal(drawn(False), drawn(True, pixel_noise=False))
    assert torch.equal(drawn(True), drawn(False, pixel_noise=True))
    assert not torch.equal(drawn(True), drawn(False))


def test_the_likelihood_is_the_density_and_the_loss_its_mean() -> None:
    model, x = fitted("diagonal", "em"), images()
    expected = torch.distributions.MultivariateNormal(
        model.mean, model.gaussian.weight @ model.gaussian.weight.T + torch.diag(model.gaussian.variance)
    ).log_prob(x.flatten(1))
    torch.testing.assert_close(model.log_likelihood(x), expected)
    torch.testing.assert_close(model.step(x, None, "val"), -expected.mean())
    figures = model.figures("val")["means"].compute()
    assert figures["log_likelihood"].item() == pytest.approx(expected.mean().item(), rel=1e-6)


def test_the_kl_of_units_sums_to_that_of_codes() -> None:
    """In closed form and after EM, whose codes are turned so that the posterior's covariance is diagonal."""
    from torch.distributions import MultivariateNormal, kl_divergence

    from lit_models.functional.linear_gaussian import posterior

    for model in (fitted(), fitted("diagonal", "em")):
        mean, spread = posterior(model.gaussian, images().flatten(1))
        prior = MultivariateNormal(torch.zeros(3).double(), torch.eye(3).double())
        torch.testing.assert_close(
            model.unit_kl(images()).sum(1), kl_divergence(MultivariateNormal(mean, spread), prior)
        )
        assert [moment.tolist() for moment in model.prior_moments()] == [[0.0] * 3, [1.0] * 3]


# -- fits -------------------------------------------------------------------------------------------------------------


def test_the_mean_is_that_of_the_train_split(tmp_path: Path) -> None:
    """And not a batch's: neither order nor size of batches matters, nor what is evaluated."""
    x = images()
    model = LitPPCA(SHAPE, latent_dim=3)
    make_trainer(tmp_path, max_epochs=1).fit(model, DataLoader(x.float(), batch_size=7), DataLoader(1 - x.float()))
    torch.testing.assert_close(model.mean, x.float().flatten(1).mean(0))
    make_trainer(tmp_path).test(model, DataLoader(1 - x.float()), verbose=False)
    torch.testing.assert_close(model.mean, x.float().flatten(1).mean(0))


@pytest.mark.parametrize("noise", ["isotropic", "diagonal"])
def test_em_grows_at_every_epoch_and_logs_it(noise: Any, tmp_path: Path) -> None:
    x = images()
    model, logged = LitPPCA(SHAPE, latent_dim=3, noise=noise, fit="em", em_steps=1), Logged("train/log_likelihood")
    make_trainer(tmp_path, max_epochs=40, callbacks=[logged], precision="64-true").fit(
        model, DataLoader(x, batch_size=25)
    )
    steps = torch.tensor(logged.values).double().diff()
    assert len(logged.values) == 40
    assert (steps > -1e-5).all()  # what is logged is float32
    assert logged.values[-1] > logged.values[1] + 1
    assert logged.values[-1] == pytest.approx(model.log_likelihood(x).mean().item(), rel=1e-6)


def test_em_and_the_closed_form_agree() -> None:
    exact, by_steps = fitted(), fitted(fit="em")
    by_steps.maximize(2000)
    torch.testing.assert_close(by_steps.log_likelihood(images()), exact.log_likelihood(images()), rtol=1e-7, atol=1e-6)
    torch.testing.assert_close(by_steps.filters(), exact.filters(), rtol=1e-3, atol=1e-4)


def test_what_was_fitted_does_not_depend_on_batches() -> None:
    whole = fitted()
    model = LitPPCA(SHAPE, latent_dim=3).double()
    model.fit_covariance(images().split(1))
    torch.testing.assert_close(model.weight, whole.weight)
    assert model._covariance is not None


def test_reconstructions_are_not_better_than_pcas() -> None:
    floor = torch.linalg.eigvalsh(covariance([images()]).covariance)[:-3].sum().item() / 30
    for noise, fit in FITS:
        model = fitted(noise, fit)
        model.step(images(), None, "test")
        assert model.figures("test")["means"].compute()["mse"] >= floor
        if fit == "closed_form":
            assert model.figures("test")["means"].compute()["mse"] < 1.01 * floor


@pytest.mark.parametrize(
    ("fit", "precision"),
    [
        ("em", "bf16-true"),
        *(("closed_form", each) for each in ("32-true", "64-true", "bf16-mixed")),
        *(pytest.param("closed_form", each, marks=pytest.mark.slow) for each in ("bf16-true", "16-true")),
    ],
)
def test_the_likelihood_is_exact_in_every_precision(fit: Any, precision: Any, tmp_path: Path) -> None:
    """Scikit-learn's PCA.score, with the divisor of maximum likelihood, in float64 from bytes."""
    data = DigitsDataModule(batch_size=64)
    model = LitPPCA((1, 28, 28), latent_dim=4, fit=fit, em_steps=600, min_variance=1e-9)
    trainer = make_trainer(tmp_path, max_epochs=1, precision=precision)
    trainer.fit(model, data)
    (figures,) = trainer.test(model, data, verbose=False)
    train_split, test_split = ((data.split(name)[0].double() / 255).flatten(1) for name in ("train", "test"))
    _, mean, spread = covariance([train_split])
    exact = log_density(closed_form(mean, spread, 4, 1e-9), test_split).mean().item()
    assert figures["test/log_likelihood"] == pytest.approx(exact, rel=3e-6)
    assert model.weight.dtype == (torch.float64 if precision == "64-true" else torch.float32)


def test_a_model_that_is_asked_for_16_bits_stays_in_32() -> None:
    model = fitted().to(torch.bfloat16)
    assert model.dtype == model.weight.dtype == torch.float32
    assert model.to(dtype=torch.float16).weight.dtype == torch.float32
    assert model.to("cpu", torch.float64).weight.dtype == torch.float64
    halved = fitted().half()  # by name, which a user may want
    assert halved.log_likelihood(images()).dtype == torch.float32


def test_constant_pixels_are_counted_in_words(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    x = images()
    x[:, 0, 1] = 0.5
    for fit, start in (("em", LitPPCA.fit_covariance), ("gradient", LitPPCA.fit_start)):
        caplog.clear()
        model = LitPPCA(SHAPE, latent_dim=3, noise="diagonal", fit=fit, min_variance=1e-5)
        with caplog.at_level(logging.INFO):
            start(model, x.split(10))
        assert (
            "5 of 30 pixels never change in the train split: their variance is set to min_variance=1e-05" in caplog.text
        )
        if fit == "em":
            model.maximize(10)
        assert (model.gaussian.variance.view(6, 5)[1] - 1e-5).abs().max() < 1e-9
        assert model.log_likelihood(x).isfinite().all()


def test_a_gradient_step_does_not_pass_the_floor(tmp_path: Path) -> None:
    x = images().float()
    x[:, 0, 1] = 0.5
    model = LitPPCA(SHAPE, 3, "diagonal", "gradient", min_variance=1e-4, optimizer=partial(torch.optim.Adam, lr=0.5))
    make_trainer(tmp_path, max_epochs=2).fit(model, DataLoader(x, batch_size=25))
    assert model.gaussian.variance.min().item() == pytest.approx(1e-4, rel=1e-5)


@pytest.mark.parametrize("fit", ["closed_form", "em", "gradient"])
def test_training_further_takes_the_mean_of_the_new_data(fit: Any, tmp_path: Path) -> None:
    x, other = images().float(), images().float().square()
    model = LitPPCA(SHAPE, latent_dim=3, fit=fit)
    make_trainer(tmp_path, max_epochs=1).fit(model, DataLoader(x, batch_size=30))
    before = copy.deepcopy(model.weight)
    make_trainer(tmp_path, max_epochs=1).fit(model, DataLoader(other, batch_size=30))
    torch.testing.assert_close(model.mean, other.flatten(1).mean(0))
    assert not torch.equal(before, model.weight)
    assert model._covariance is None


def test_validation_before_training(tmp_path: Path) -> None:
    """Lightning's own default looks at two validation batches first."""
    x = images().float()
    model = LitPPCA(SHAPE, latent_dim=3, fit="em")
    trainer = Trainer(
        default_root_dir=tmp_path, max_epochs=1, logger=False, accelerator="cpu", enable_progress_bar=False,
        enable_checkpointing=False, enable_model_summary=False, log_every_n_steps=1,
    )  # fmt: skip
    trainer.fit(model, DataLoader(x, batch_size=30), DataLoader(x, batch_size=30))
    assert trainer.callback_metrics["val/log_likelihood"] == pytest.approx(
        float(trainer.callback_metrics["train/log_likelihood"]), rel=1e-5
    )


# -- checkpoints ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fit", ["closed_form", "em"])
def test_checkpoints_are_written_though_no_optimizer_steps(fit: Any, tmp_path: Path) -> None:
    """By Lightning's own callback, which goes by the count of steps."""
    x = images().float()
    model, checkpoints = LitPPCA(SHAPE, latent_dim=3, fit=fit), ModelCheckpoint(monitor="val/loss", save_last=True)
    trainer = make_trainer(tmp_path, max_epochs=2, enable_checkpointing=True, callbacks=[checkpoints])
    trainer.fit(model, DataLoader(x, batch_size=30), DataLoader(x, batch_size=30))
    assert trainer.global_step == 4
    loaded = load_model(checkpoints.last_model_path)
    assert torch.equal(loaded.log_likelihood(x), model.log_likelihood(x))
    assert Path(checkpoints.best_model_path).is_file()


def test_a_run_of_the_command_line(tmp_path: Path) -> None:
    words = [
        "--model=LitPPCA",
        "--model.latent_dim=4",
        "--data=DigitsDataModule",
        "--trainer.enable_progress_bar=false",
    ]
    words += [f"--trainer.default_root_dir={tmp_path}", "--trainer.log_every_n_steps=5", "--trainer.accelerator=cpu"]
    fitted = train.main(["fit", *words, "--trainer.max_epochs=2"])
    run = tmp_path / "LitPPCA" / "version_0" / "checkpoints"
    assert {path.name for path in run.iterdir()} == {"best.ckpt", "last.ckpt"}
    tested = train.main(["test", *words, f"--ckpt_path={run}/best.ckpt"])
    x = tested.datamodule.split("test")[0] / 255
    expected = fitted.model.log_likelihood(x).mean().item()
    assert tested.trainer.callback_metrics["test/log_likelihood"] == pytest.approx(expected, rel=1e-6)


# -- several processes ------------------------------------------------------------------------------------------------


class Shares(LightningDataModule):
    """A user's own data, of which each process sees its share alone."""

    def train_dataloader(self) -> DataLoader:
        return DataLoader(images().float(), batch_size=10)

    def val_dataloader(self) -> DataLoader:
        return DataLoader(images().float(), batch_size=10)


@pytest.mark.slow
@pytest.mark.parametrize("data", ["DigitsDataModule", "tests.lit_models.test_ppca.Shares"])
@pytest.mark.parametrize(("noise", "fit"), FITS[:3])
def test_two_processes_give_what_one_gives(noise: str, fit: str, data: str, tmp_path: Path) -> None:
    shape = [] if data == "DigitsDataModule" else ["--model.image_shape=[1, 6, 5]"]
    words = ["--model=LitPPCA", "--model.latent_dim=4", f"--model.noise={noise}", f"--model.fit={fit}", *shape]
    words += [f"--data={data}", "--trainer.max_epochs=2", "--trainer.log_every_n_steps=1"]
    alone = ["--trainer.enable_progress_bar=false", "--trainer.accelerator=cpu"]
    one = train.main(["fit", *words, *alone, f"--trainer.default_root_dir={tmp_path}/one"])
    two = [f"--trainer.default_root_dir={tmp_path}/two", "--trainer.callbacks+=tests.ranks.WeightsPerRank"]
    fit_on_two(tmp_path, *words, *two)
    run = tmp_path / "two" / "LitPPCA" / "version_0"
    assert_ranks_are_equal(run)
    found = load_model(run / "checkpoints" / "last.ckpt")
    exactly = {"rtol": 0, "atol": 0} if data == "DigitsDataModule" else {"rtol": 1e-5, "atol": 1e-6}
    torch.testing.assert_close(dict(found.state_dict()), dict(one.model.state_dict()), **exactly)


# -- errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"latent_dim": 30},
            "latent_dim must be below the 30 values of an image, got 30: none would be left for noise",
        ),
        ({"latent_dim": 0}, "latent_dim must be a whole number, at least 1, got 0"),
        ({"em_steps": 0}, "em_steps must be a whole number, at least 1, got 0"),
        (
            {"min_variance": 0.0},
            "min_variance must be a finite number above 0, got 0.0: at 0 a pixel that never changes",
        ),
        ({"min_variance": -1.0}, "min_variance must be a finite number above 0, got -1.0"),
        ({"min_variance": math.inf}, "min_variance must be a finite number above 0, got inf"),
        ({"noise": "full"}, r"noise must be one of \['isotropic', 'diagonal'\], got 'full'"),
        ({"fit": "newton"}, r"fit must be one of \['closed_form', 'em', 'gradient'\], got 'newton'"),
        ({"noise": "diagonal"}, r'noise="diagonal" \(factor analysis\) has no solution in closed form: use fit="em"'),
        ({"image_shape": (3, 64, 64)}, 'image_shape must have at most 4096 values, got 12288; use fit="gradient"'),
        ({"image_shape": (28, 28)}, r"image_shape must be \(channels, height, width\)"),
        (
            {"fit": "em", "lr_scheduler": partial(CosineAnnealingLR, T_max=2)},
            'lr_scheduler has no effect with fit="em": leave it out, or use fit="gradient"',
        ),
    ],
)
def test_bad_arguments(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LitPPCA(**({"image_shape": SHAPE, "latent_dim": 3} | options))


def test_bad_calls() -> None:
    model = fitted()
    with pytest.raises(ValueError, match="n must be a whole number, at least 1, got 0"):
        model.sample(0)
    with pytest.raises(ValueError, match=r"codes must have shape \(N, 3\), got \(2, 4\)"):
        model.decode(torch.zeros(2, 4))
    for verb in (model.encode, model.reconstruct, model.log_likelihood, model.unit_kl):
        with pytest.raises(ValueError, match=r"images of shape \(2, 1, 5, 6\) do not fit a model for \(N, 1, 6, 5\)"):
            verb(torch.rand(2, 1, 5, 6))
    with pytest.raises(ValueError, match="images must be floats in"):
        model.log_likelihood(torch.zeros(2, *SHAPE, dtype=torch.uint8))


def test_bad_fits() -> None:
    model = LitPPCA(SHAPE, latent_dim=3, fit="em")
    with pytest.raises(RuntimeError, match=r"there is no covariance to fit: call fit_covariance\(batches of training"):
        model.maximize(1)
    with pytest.raises(ValueError, match="latent_dim must be below the number of training images, got 3 for 3: they"):
        model.fit_covariance([images(3)])
    with pytest.raises(ValueError, match="there are no training images to take a covariance of"):
        model.fit_covariance([])
    with pytest.raises(ValueError, match=r"pixels must be in \[0, 1\], got values from .* divide bytes by 255"):
        model.fit_covariance([255 * images()])
    with pytest.raises(ValueError, match="steps must be a whole number, at least 1, got 0"):
        model.maximize(0)


# -- learning ---------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("noise", ["isotropic", "diagonal"])
def test_the_gradient_comes_to_the_same_likelihood(noise: Any, tmp_path: Path) -> None:
    data = DigitsDataModule(batch_size=64)
    anneal = partial(CosineAnnealingLR, T_max=20)
    options = {"latent_dim": 6, "noise": noise, "min_variance": 1e-4}
    by_gradient = LitPPCA(
        (1, 28, 28), fit="gradient", optimizer=partial(torch.optim.Adam, lr=0.06), lr_scheduler=anneal, **options
    )
    make_trainer(tmp_path, max_epochs=20).fit(by_gradient, data)
    by_steps = LitPPCA((1, 28, 28), fit="em", em_steps=1000, **options)
    make_trainer(tmp_path, max_epochs=1).fit(by_steps, data)
    _, _, spread = covariance([data.split("train")[0].double() / 255])
    found, best = (mean_log_density(model._in_float64(), spread).item() for model in (by_gradient, by_steps))
    assert found == pytest.approx(best, rel=1e-3)
    if noise == "isotropic":  # factor analysis has several maxima, and the two need not come to the same
        assert found < best + 0.1


@pytest.mark.parametrize("fit", ["closed_form", "em", "gradient"])
def test_a_model_that_knows_no_images_is_refused(fit: Literal["closed_form", "em", "gradient"]) -> None:
    model = LitPPCA(SHAPE, latent_dim=3, fit=fit).double()
    asked: list[Callable[[], Any]] = [
        lambda: model.sample(2),
        lambda: model.encode(images()),
        lambda: model.reconstruct(images()),
        lambda: model.decode(torch.zeros(2, 3)),
        lambda: model.unit_kl(images()),
        lambda: model.log_likelihood(images()),
        lambda: model.untrained().encode(images()),
    ]
    for ask in asked:
        with pytest.raises(RuntimeError, match=r"knows no images yet.*trainer.fit.*fit_covariance.*load_model"):
            ask()
    model.fit_start([images()])
    for ask in asked:
        ask()


def test_untrained_keeps_the_mean_of_the_images() -> None:
    model = fitted()
    fresh = model.untrained().double()
    assert_close(fresh.decode(torch.zeros(1, 3)), images().mean(0, keepdim=True))
