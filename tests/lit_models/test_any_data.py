"""Every model under a plain Trainer, with any loader, any form of batch, any precision and any type of label."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import LightningDataModule, LightningModule
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor
from torch.optim import SGD, Adam
from torch.optim.lr_scheduler import CyclicLR, OneCycleLR
from torch.utils.data import DataLoader

from lit_models import LitClassifier, LitGAN, LitLinear, LitPPCA, LitProbe, LitRBM, LitVAE
from lit_models.networks import ConvDecoder, ConvEncoder
from tests.lit_models.test_vae import make_trainer, mlps

SHAPE = (1, 8, 8)
CONV = {"generator": partial(ConvDecoder, channels=[4]), "discriminator": partial(ConvEncoder, channels=[4])}
MODELS: dict[str, Callable[..., LightningModule]] = {
    "vae": lambda: LitVAE(SHAPE, **mlps([8])),
    "cvae": lambda: LitVAE(SHAPE, conditional=True, **mlps([8])),
    "gan": lambda: LitGAN(SHAPE, **CONV),
    "cgan": lambda: LitGAN(SHAPE, conditional=True, ema_decay=0.9, **CONV),
    "rbm": lambda: LitRBM(SHAPE, hidden_dim=4),
    "classifier": lambda: LitClassifier(SHAPE),
    "ppca": lambda: LitPPCA(SHAPE, latent_dim=3),
    "factor analysis": lambda: LitPPCA(SHAPE, latent_dim=3, noise="diagonal", fit="em"),
    "linear": lambda: LitLinear(SHAPE),
    "newton": lambda: LitLinear(SHAPE, solver="newton", l2=0.1),
}
# Lightning's word for a run without validation, which many of these are
pytestmark = pytest.mark.filterwarnings("ignore:You defined a `validation_step` but have no `val_dataloader`")
LABELLED = ("cvae", "cgan", "classifier", "linear", "newton")
IMAGES = torch.rand(24, *SHAPE, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(24) % 10


FORMS: dict[str, Callable[[Tensor, Tensor], Any]] = {
    "pair": lambda x, y: (x, y),
    "list of one": lambda x, y: [x],
    "mapping": lambda x, y: {"image": x, "label": y},
    "tensor": lambda x, y: x,
}


def loader(form: str = "pair", x: Tensor = IMAGES, y: Tensor = LABELS) -> DataLoader:
    def collate(indices: list[int]) -> Any:
        return FORMS[form](x[indices], y[indices])

    return DataLoader(range(len(x)), batch_size=8, collate_fn=collate)  # type: ignore[arg-type]


def trainer(folder: Path, **options: Any) -> Any:
    usual = {"max_epochs": 1, "enable_checkpointing": False, "log_every_n_steps": 1}
    return make_trainer(folder, **(usual | options))


STILL = partial(SGD, lr=1e-5)


class Any2(LightningDataModule):
    """A user's own data module, without anything that ours have."""

    def train_dataloader(self) -> DataLoader:
        return loader()

    def val_dataloader(self) -> list[DataLoader]:
        return [loader(), loader()]

    def test_dataloader(self) -> DataLoader:
        return loader()

    def predict_dataloader(self) -> DataLoader:
        return loader()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", MODELS)
def test_every_form_of_batch(name: str, form: str, tmp_path: Path) -> None:
    model, runs = MODELS[name](), trainer(tmp_path)
    if name in LABELLED and form in ("list of one", "tensor"):
        with pytest.raises(ValueError, match=r"this model needs labels y, shape \(8,\): none were given"):
            runs.fit(model, loader(form))
        return
    runs.fit(model, loader(form), loader(form))
    (figures,) = runs.test(model, loader(form), verbose=False)
    assert all(torch.tensor(value).isfinite() for value in figures.values())
    codes, labels = runs.predict(model, loader(form))[0]
    assert len(codes) == 8
    assert (labels is None) == (form in ("list of one", "tensor"))


@pytest.mark.parametrize("name", MODELS)
def test_a_users_data_module_with_two_validation_loaders(name: str, tmp_path: Path) -> None:
    """They are one split: what is logged is that of both."""
    model, runs = MODELS[name](), trainer(tmp_path)
    runs.fit(model, datamodule=Any2())
    assert model.monitor in runs.callback_metrics
    runs.test(model, datamodule=Any2(), verbose=False)
    assert len(runs.predict(model, datamodule=Any2())) == 3


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(
    ("images", "message"),
    [
        (255 * IMAGES, r"pixels must be in \[0, 1\], got values from .* to 25\d.*: divide bytes by 255"),
        (2 * IMAGES - 1, r"pixels must be in \[0, 1\], got values from -0.99.* leave out Normalize"),
        (IMAGES.masked_fill(IMAGES > 0.99, torch.nan), r"pixels must be in \[0, 1\], got values from nan"),
        ((255 * IMAGES).byte(), r"images must be floats in \[0, 1\], got torch.uint8: divide bytes by 255"),
        (IMAGES[:, :, :7], r"images of shape \(8, 1, 7, 8\) do not fit a model for \(N, 1, 8, 8\)"),
    ],
)
def test_pixels_on_another_scale_are_refused_in_the_first_batch(
    images: Tensor, message: str, name: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message):
        trainer(tmp_path).fit(MODELS[name](), loader(x=images))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("name", MODELS)
def test_images_of_any_precision(name: str, dtype: torch.dtype, tmp_path: Path) -> None:
    trainer(tmp_path).fit(MODELS[name](), loader(x=IMAGES.to(dtype)), loader(x=IMAGES.to(dtype)))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.bool])
@pytest.mark.parametrize("name", LABELLED)
def test_labels_of_every_integer_type(name: str, dtype: torch.dtype, tmp_path: Path) -> None:
    labels = (LABELS % 2).to(dtype)
    model, runs = MODELS[name](), trainer(tmp_path)
    runs.fit(model, loader(y=labels), loader(y=labels))
    if hasattr(model, "sample"):
        assert model.sample(24, labels).shape == (24, *SHAPE)


@pytest.mark.parametrize("name", LABELLED)
@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (LABELS.float(), r"labels y must be whole numbers of shape \(8,\), got torch.float32"),
        (LABELS + 1, r"labels y must be in 0..9, got 0..10|labels y must be in 0..9, got 1..\d+"),
        (LABELS[:, None], r"labels y must be whole numbers of shape \(8,\), got torch.int64 of shape \(8, 1\)"),
    ],
)
def test_labels_that_name_no_class(labels: Tensor, message: str, name: str, tmp_path: Path) -> None:
    batches = DataLoader(list(zip(IMAGES[9:], labels[9:], strict=True)), batch_size=8)
    with pytest.raises(ValueError, match=message):
        trainer(tmp_path).fit(MODELS[name](), batches)


@pytest.mark.parametrize("batch", [[], {"pixels": IMAGES}, (IMAGES, LABELS, LABELS), "images", [[1.0]]])
def test_a_batch_of_another_form(batch: Any) -> None:
    with pytest.raises(
        TypeError, match=r"a batch must be \(images, labels\), \[images\], .* change what the data loader"
    ):
        MODELS["vae"]().read_batch(batch)


@pytest.mark.parametrize(
    "name",
    [
        "vae",
        "rbm",
        "ppca",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("cvae", "gan", "classifier", "newton")),
    ],
)
def test_figures_are_wide_whatever_the_precision(name: str, tmp_path: Path) -> None:
    """As with 32 bits, up to what 16 bits make of the weights; 40 batches, so that a sum of 16 bits would stall."""
    precisions = ("32-true", "bf16-true", "16-true", "bf16-mixed", "64-true")
    many = {"x": IMAGES.repeat(14, 1, 1, 1), "y": LABELS.repeat(14)}
    figures = {}
    for each in precisions:
        torch.manual_seed(0)
        model = MODELS[name]()
        # Adam's epsilon is no number of 16 bits
        model.make_optimizer, model.make_optimizers = STILL, (STILL, STILL)
        runs = trainer(tmp_path, precision=each)
        runs.fit(model, loader(**many), loader(**many))
        figures[each] = {name: float(value) for name, value in runs.callback_metrics.items()}
        dtypes = {value.dtype for value in runs.callback_metrics.values()}
        assert dtypes <= {torch.float32, torch.float64}
    (loss,) = {"train/loss", "train/d_loss", "train/free_energy"} & set(figures["32-true"])
    losses = {each: figures[each][loss] for each in precisions}
    assert losses == pytest.approx(dict.fromkeys(precisions, losses["32-true"]), rel=0.05, abs=0.02)


@pytest.mark.parametrize("scheduler", [partial(OneCycleLR, max_lr=1.0, total_steps=100), None])
def test_a_scheduler_of_batches_steps_with_them(scheduler: Any, tmp_path: Path) -> None:
    if scheduler is None:
        scheduler = partial(CyclicLR, base_lr=0.0, max_lr=1.0, step_size_up=10, cycle_momentum=False)
    model = LitVAE(SHAPE, lr_scheduler=scheduler, optimizer=partial(SGD, lr=1e-9), **mlps([8]))
    runs = trainer(tmp_path, max_epochs=2)
    runs.fit(model, loader())
    assert runs.lr_scheduler_configs[0].scheduler.last_epoch == 6


def test_resuming_with_another_optimizer_is_refused_in_words(tmp_path: Path) -> None:
    runs = trainer(tmp_path)
    runs.fit(LitVAE(SHAPE, **mlps([8])), loader())
    runs.save_checkpoint(tmp_path / "adam.ckpt")
    other = LitVAE(SHAPE, optimizer=partial(SGD, lr=0.1, momentum=0.9), **mlps([8]))
    with pytest.raises(
        ValueError, match=r"is of a run with \['torch.*Adam'\], this run has \['torch.*SGD'\]: resume with the same"
    ):
        trainer(tmp_path, max_epochs=2).fit(other, loader(), ckpt_path=tmp_path / "adam.ckpt", weights_only=True)


def test_weights_of_a_checkpoint_go_on_with_another_optimizer(tmp_path: Path) -> None:
    """That is no resume."""
    runs = trainer(tmp_path)
    runs.fit(LitVAE(SHAPE, **mlps([8])), loader())
    runs.save_checkpoint(tmp_path / "adam.ckpt")
    loaded = LitVAE.load_from_checkpoint(tmp_path / "adam.ckpt", optimizer=partial(SGD, lr=1e-4))
    trainer(tmp_path).fit(loaded, loader())


def test_the_optimizer_of_a_recipe_goes_on(tmp_path: Path) -> None:
    model = LitVAE(SHAPE, optimizer=partial(Adam, lr=0.5), **mlps([8]))
    runs = trainer(tmp_path)
    runs.fit(model, loader())
    runs.save_checkpoint(tmp_path / "adam.ckpt")
    loaded = LitVAE.load_from_checkpoint(tmp_path / "adam.ckpt")
    assert loaded.configure_optimizers().param_groups[0]["lr"] == 0.5


def test_a_probe_takes_codes_of_any_loader(tmp_path: Path) -> None:
    codes = DataLoader(list(zip(10 * torch.randn(24, 5), LABELS, strict=True)), batch_size=8)
    model, runs = LitProbe((5,)), trainer(tmp_path)
    runs.fit(model, codes, codes)
    assert "val/accuracy" in runs.callback_metrics
    assert model.heads[0].deviation.min() > 2


class Endless(torch.utils.data.IterableDataset):
    """A stream without an end."""

    def __iter__(self) -> Any:
        while True:
            yield IMAGES[0], LABELS[0]


@pytest.mark.parametrize("name", MODELS)
def test_a_stream_without_an_end(name: str, tmp_path: Path) -> None:
    """The RBM takes its scale from the batches of one epoch."""
    model, runs = MODELS[name](), trainer(tmp_path, limit_train_batches=3, limit_val_batches=0)
    runs.fit(model, DataLoader(Endless(), batch_size=4))
    assert runs.global_step == 3


@pytest.mark.parametrize("name", MODELS)
def test_validate_and_then_fit(name: str, tmp_path: Path) -> None:
    model = MODELS[name]()
    trainer(tmp_path).validate(model, loader(), verbose=False)
    runs = trainer(tmp_path)
    runs.fit(model, loader(), loader())
    runs.test(model, loader(), verbose=False)
    runs.fit_loop.max_epochs = 2
    runs.fit(model, loader(), loader())


@pytest.mark.parametrize("name", ["gan", "cgan", "rbm", "vae"])
def test_batches_of_one_image(name: str, tmp_path: Path) -> None:
    one = DataLoader(list(zip(IMAGES[:3], LABELS[:3], strict=True)), batch_size=1)
    trainer(tmp_path).fit(MODELS[name](), one, one)


@pytest.mark.parametrize("name", MODELS)
def test_predict_takes_images_alone_and_looks_at_them(name: str, tmp_path: Path) -> None:
    model, runs = MODELS[name](), trainer(tmp_path)
    if isinstance(model, LitPPCA):
        model.fit_covariance([IMAGES])
    if name not in ("cvae", "cgan"):
        codes, labels = runs.predict(model, loader("tensor"))[0]
        assert len(codes) == 8
        assert labels is None
    with pytest.raises(ValueError, match=r"pixels must be in \[0, 1\]"):
        runs.predict(model, loader(x=255 * IMAGES))


@pytest.mark.parametrize("precision", ["bf16-true", "16-true"])
def test_persistent_chains_and_the_likelihood_in_16_bits(precision: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = LitRBM(SHAPE, hidden_dim=4, chains="persistent", num_chains=8, optimizer=STILL)
    runs = trainer(tmp_path, precision=precision)
    runs.fit(model, loader(), loader())
    assert model.chain.dtype == torch.float32
    volume = 64 * IMAGES.double().std(correction=0).log()
    torch.testing.assert_close(model.scale.log_volume().double(), volume, rtol=1e-4, atol=0)


class Halved(LitRBM):
    """A model with a hook of its own between loader and step."""

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        return batch[0] * 0.5, batch[1]


# Lightning's word that the model's hook is the one it calls
@pytest.mark.filterwarnings("ignore:You have overridden `on_after_batch_transfer` in `LightningModule`")
def test_the_scale_is_of_what_the_step_sees(tmp_path: Path) -> None:
    for data in (Any2(), None):
        model = Halved(SHAPE, hidden_dim=4)
        given = {"datamodule": data} if data else {"train_dataloaders": loader()}
        trainer(tmp_path).fit(model, **given)
        torch.testing.assert_close(model.scale.mean, IMAGES.mean() / 2)


def test_a_frozen_model_is_not_trained_in_silence(tmp_path: Path) -> None:
    model = MODELS["vae"]().requires_grad_(False)
    with pytest.raises(ValueError, match=r"this model is frozen, as load_model gives it: call model.requires_grad_"):
        trainer(tmp_path).fit(model, loader())


def test_half_precision_with_adams_own_epsilon_says_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(FloatingPointError, match=r"Adam's eps of 1e-8 is 0: use --trainer.precision 16-mixed"):
        trainer(tmp_path, precision="16-true").fit(MODELS["vae"](), loader())


@pytest.mark.filterwarnings("ignore:Be aware that when using `ckpt_path`, callbacks used to create")
def test_an_epoch_that_max_steps_cut_short_is_said(tmp_path: Path) -> None:
    """Lightning takes it for a whole one, and begins the next."""
    runs = make_trainer(tmp_path, max_steps=4, log_every_n_steps=1, callbacks=[ModelCheckpoint(tmp_path)])
    runs.fit(MODELS["vae"](), loader())
    path = runs.checkpoint_callback.best_model_path
    with pytest.warns(UserWarning, match=r"ended in an epoch, after 1 batches of it \(max_steps or max_time\)"):
        trainer(tmp_path, max_epochs=3).fit(MODELS["vae"](), loader(), ckpt_path=path, weights_only=True)
