"""LitGAN: each player's step leaves the other alone, steps count batches, conditions, penalties, warnings, resume."""

from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.cli import ReduceLROnPlateau
from torch import Tensor, nn
from torch.optim import SGD
from torch.optim.lr_scheduler import ExponentialLR, OneCycleLR

from datamodules import MNISTDataModule
from lit_models import LitGAN, gan, load_model, manual
from lit_models.networks import (
    ConvDecoder,
    ConvEncoder,
    DCGANDiscriminator,
    DCGANGenerator,
    MLPDecoder,
    MLPEncoder,
)

SHAPE = (1, 28, 28)
LOSSES = ["minimax", "non_saturating", "hinge", "least_squares", "wasserstein"]
SMALL = {
    "generator": partial(ConvDecoder, channels=[8, 4], norm=nn.BatchNorm2d),
    "discriminator": partial(ConvEncoder, channels=[4, 8]),
}


def small(**options) -> LitGAN:
    """A GAN that trains in no time."""
    return LitGAN(SHAPE, **(SMALL | {"latent_dim": 10} | options))


def make_trainer(folder: Path, *callbacks: Callback, **options) -> Trainer:
    return Trainer(
        **(
            {
                "default_root_dir": folder,
                "logger": False,
                "callbacks": list(callbacks),
                "max_epochs": 1,
                "limit_train_batches": 3,
                "limit_val_batches": 1,
                "num_sanity_val_steps": 0,
                "enable_progress_bar": False,
                "enable_model_summary": False,
                "enable_checkpointing": any(isinstance(c, ModelCheckpoint) for c in callbacks),
                "accelerator": "cpu",
                "log_every_n_steps": 1,
            }
            | options
        )
    )


@pytest.fixture
def data(fake_data: Path) -> MNISTDataModule:
    return MNISTDataModule(str(fake_data), batch_size=8, download=False)


def flat(network: nn.Module) -> Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in network.parameters()])


class SeesBothPlayers(Callback):
    """At each player's step: the other has no gradient, and has not moved since it stepped itself."""

    def __init__(self) -> None:
        self.steps = 0

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, *args) -> None:
        self.d, self.g = flat(pl_module.discriminator), flat(pl_module.generator)

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer) -> None:
        is_d = optimizer is trainer.optimizers[0]
        own, other = (pl_module.discriminator, pl_module.generator)[:: 1 if is_d else -1]
        assert all(parameter.grad is None for parameter in other.parameters())
        assert all(parameter.grad is not None for parameter in own.parameters())
        assert torch.equal(flat(pl_module.generator), self.g)
        if is_d:
            assert torch.equal(flat(pl_module.discriminator), self.d)
        else:
            assert not torch.equal(flat(pl_module.discriminator), self.d)
            self.d = flat(pl_module.discriminator)
        self.steps += 1

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args) -> None:
        assert torch.equal(flat(pl_module.discriminator), self.d)
        assert not torch.equal(flat(pl_module.generator), self.g)
        assert all(parameter.requires_grad for parameter in pl_module.parameters())


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("conditional", [False, True])
def test_a_players_step_leaves_the_other_untouched(
    loss: str, conditional: bool, data: MNISTDataModule, tmp_path: Path
) -> None:
    sees = SeesBothPlayers()
    model = small(loss=loss, conditional=conditional, gradient_penalty=10.0 if loss == "wasserstein" else 0.0)
    make_trainer(tmp_path, sees).fit(model, datamodule=data)
    assert sees.steps == 6


@pytest.mark.parametrize("conditional", [False, True])
def test_every_parameter_gets_a_gradient(conditional: bool) -> None:
    model = LitGAN(SHAPE, conditional=conditional).double()
    condition = model.condition(torch.arange(4))
    generated = model.generator(torch.randn(4, 100).double(), condition)
    model.discriminator(generated, condition).sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


class CountSteps(Callback):
    """How often each optimizer stepped."""

    def __init__(self) -> None:
        self.steps = [0, 0]

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer) -> None:
        self.steps[trainer.optimizers.index(optimizer)] += 1


@pytest.mark.parametrize(
    ("options", "steps"),
    [
        ({}, [10, 10]),
        ({"discriminator_steps": 2}, [10, 5]),
        ({"discriminator_steps": 3}, [10, 3]),
        ({"accumulate_grad_batches": 4}, [3, 3]),  # 4 + 4 + 2 batches
        ({"accumulate_grad_batches": 2, "discriminator_steps": 2}, [5, 2]),
    ],
)
def test_steps_count_batches(options: dict, steps: list[int], data: MNISTDataModule, tmp_path: Path) -> None:
    counter = CountSteps()
    trainer = make_trainer(tmp_path, counter, limit_train_batches=10)
    trainer.fit(small(**options), datamodule=data)
    assert trainer.global_step == 10
    assert counter.steps == steps


@pytest.mark.parametrize(("epochs", "steps"), [(1, 0), (2, 1), (4, 2)])
def test_epochs_shorter_than_the_generators_turn(
    epochs: int, steps: int, data: MNISTDataModule, tmp_path: Path
) -> None:
    """Its turns are counted over the run: 3 batches an epoch, every 5th."""
    counter = CountSteps()
    make_trainer(tmp_path, counter, max_epochs=epochs).fit(small(discriminator_steps=5), datamodule=data)
    assert counter.steps == [3 * epochs, steps]


def test_a_lightning_that_counts_in_another_way_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the hooks that the count relies on; and with them, which fails on the day that Lightning renames them."""
    from lightning.pytorch.core.optimizer import LightningOptimizer

    assert hasattr(LightningOptimizer(SGD([nn.Parameter(torch.zeros(1))], lr=1.0)), "_on_before_step")
    loop = SimpleNamespace(epoch_loop=SimpleNamespace(manual_optimization=SimpleNamespace()))
    trainer = SimpleNamespace(fit_loop=loop, profiler=None)
    module = SimpleNamespace(optimizers=lambda: [], trainer=trainer)
    with pytest.warns(UserWarning, match=r"global_step is not batches"), manual.counted_once(module):
        pass


def test_a_lightning_without_ddp_options_is_said() -> None:
    from lightning.pytorch.strategies import DDPStrategy

    strategy = DDPStrategy()
    module = SimpleNamespace(trainer=SimpleNamespace(strategy=strategy))
    manual.allow_unused_parameters(module)
    assert strategy._ddp_kwargs["find_unused_parameters"] is True  # fails on the day that Lightning renames it
    del strategy._ddp_kwargs
    with pytest.warns(UserWarning, match="ddp_find_unused_parameters_true"):
        manual.allow_unused_parameters(module)


# the state after the step is what a resumed run goes on from
@pytest.mark.filterwarnings("ignore:Using ModelCheckpoint with manual optimization and every_n_train_steps")
def test_max_steps_and_checkpoint_intervals_mean_batches(data: MNISTDataModule, tmp_path: Path) -> None:
    checkpoint = ModelCheckpoint(tmp_path, filename="{step}", every_n_train_steps=4, save_top_k=-1)
    trainer = make_trainer(tmp_path, checkpoint, max_steps=10, max_epochs=-1, limit_train_batches=7)
    trainer.fit(small(), datamodule=data)
    assert trainer.global_step == 10
    assert {path.stem for path in tmp_path.glob("*.ckpt")} == {"step=4", "step=8"}


def test_accumulated_batches_give_the_mean_gradient(data: MNISTDataModule, tmp_path: Path) -> None:
    """Of one batch twice, with the same noise, the accumulated step is the single batch's step."""

    class OneBatch(LitGAN):
        def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
            self.first = getattr(self, "first", batch)
            torch.manual_seed(3)
            super().training_step(self.first, batch_idx)

    weights = []
    for accumulate in (1, 2):
        torch.manual_seed(0)
        sgd = partial(SGD, lr=0.1)
        options = {"accumulate_grad_batches": accumulate, "optimizer_d": sgd, "optimizer_g": sgd}
        model = OneBatch(SHAPE, **SMALL, **options).double()
        make_trainer(tmp_path, limit_train_batches=accumulate, limit_val_batches=0).fit(model, datamodule=data)
        weights.append(flat(model.discriminator))
    torch.testing.assert_close(*weights)


def test_gradients_are_clipped_to_the_norm(data: MNISTDataModule, tmp_path: Path) -> None:
    class Norms(Callback):
        def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args) -> None:
            moved = pl_module.weights_before - flat(pl_module.discriminator)
            assert moved.norm().item() == pytest.approx(0.01, rel=1e-3)

        def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, *args) -> None:
            pl_module.weights_before = flat(pl_module.discriminator)

    model = small(gradient_clip_val=0.01, optimizer_d=partial(SGD, lr=1.0))
    trainer = make_trainer(tmp_path, Norms())
    trainer.fit(model, datamodule=data)
    assert trainer.callback_metrics["train/d_gradient_norm"] > 0.01  # measured before clipping


@pytest.mark.parametrize("conditional", [False, True])
def test_the_running_average_samples_when_it_is_on(conditional: bool, data: MNISTDataModule, tmp_path: Path) -> None:
    model = small(ema_decay=0.9, conditional=conditional)
    make_trainer(tmp_path).fit(model, datamodule=data)
    assert not torch.equal(flat(model.ema.module), flat(model.generator))
    model.eval()
    y = torch.tensor([3, 4])
    torch.manual_seed(1)
    images = model.sample(2, y)
    torch.manual_seed(1)
    torch.testing.assert_close(images, (model.ema(torch.randn(2, 10), model.condition(y)).tanh() + 1) / 2)


def test_the_running_average_is_that_of_torch(data: MNISTDataModule, tmp_path: Path) -> None:
    from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

    class ByTorch(Callback):
        def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args) -> None:
            self.average = getattr(self, "average", None) or AveragedModel(
                pl_module.generator, multi_avg_fn=get_ema_multi_avg_fn(0.9)
            )
            self.average.update_parameters(pl_module.generator)

    by_torch, model = ByTorch(), small(ema_decay=0.9)
    make_trainer(tmp_path, by_torch).fit(model, datamodule=data)
    torch.testing.assert_close(flat(model.ema), flat(by_torch.average))


def test_the_running_average_measures_its_own_statistics() -> None:
    """With the statistics of the weights that it averages, its samples would be faded."""
    model = small(ema_decay=0.5).eval()
    for norm in (m for m in model.ema.modules() if isinstance(m, nn.BatchNorm2d)):
        norm.running_var.fill_(100)
    torch.manual_seed(1)
    state = torch.get_rng_state()
    images = model.sample(64)
    assert not model.ema.training
    torch.set_rng_state(state)
    by_batch = (model.ema.train()(torch.randn(64, 10)).tanh() + 1) / 2
    torch.testing.assert_close(images.std(), by_batch.std(), rtol=0.05, atol=0)
    torch.testing.assert_close(images.mean(), by_batch.mean(), rtol=0.05, atol=0)


@pytest.mark.parametrize("image_shape", [(1, 28, 28), (3, 32, 32), (2, 20, 36)])
@pytest.mark.parametrize(
    "networks",
    [{}, SMALL, {"generator": MLPDecoder, "discriminator": MLPEncoder}],
    ids=["dcgan", "convolutional", "fully connected"],
)
def test_verbs_for_every_size_and_network(image_shape: tuple[int, int, int], networks: dict) -> None:
    model = LitGAN(image_shape, **networks).eval()
    images = model.sample(3)
    assert images.shape == (3, *image_shape)
    assert images.min() >= 0
    assert images.max() <= 1
    features = model.encode(images)
    assert features.shape[0] == 3
    torch.testing.assert_close(model.discriminator.head(features), model.discriminator(2 * images - 1))


def test_features_are_8192_for_mnist_and_do_not_depend_on_the_batch() -> None:
    model = LitGAN(SHAPE).eval()
    x = torch.rand(5, *SHAPE)
    assert model.encode(x).shape == (5, 8192)
    torch.testing.assert_close(model.encode(x)[:1], model.encode(x[:1]))


def test_the_class_reaches_both_players() -> None:
    model = small(conditional=True).eval()
    zero, one = torch.tensor([0]), torch.tensor([1])
    x = torch.rand(1, *SHAPE)
    assert not torch.allclose(model.encode(x, zero), model.encode(x, one))
    torch.manual_seed(0)
    first = model.sample(1, zero)
    torch.manual_seed(0)
    assert not torch.allclose(first, model.sample(1, one))
    with pytest.raises(ValueError, match=r"conditional: pass labels y, shape \(1,\), in 0..9"):
        model.sample(1)
    with pytest.raises(ValueError, match=r"labels y must be in 0..9, got 10..10"):
        model.sample(1, torch.tensor([10]))


def test_a_critic_has_figures_of_its_own(data: MNISTDataModule, tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path)
    trainer.fit(small(loss="wasserstein", gradient_penalty=10.0), datamodule=data)
    figures = trainer.callback_metrics
    assert not any("probability" in name for name in figures)
    wanted = -figures["train/wasserstein_distance"] + 10 * figures["train/gradient_penalty"]
    torch.testing.assert_close(figures["train/d_loss"], wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image_shape": (1, 30, 28)}, r"height and width divisible by 4.*got \(1, 30, 28\)"),
        ({"loss": "logistic"}, r"loss must be one of \['minimax', .*\], got 'logistic'"),
        ({"latent_dim": 0}, "latent_dim must be a whole number, at least 1, got 0"),
        ({"discriminator_steps": 0}, "discriminator_steps must be a whole number, at least 1, got 0"),
        ({"discriminator_steps": 1.5}, "discriminator_steps must be a whole number, at least 1, got 1.5"),
        ({"discriminator": partial(DCGANDiscriminator, dropout=1.0)}, r"dropout must be in \[0, 1\), got 1.0"),
        ({"discriminator": partial(DCGANDiscriminator, channels=[8])}, r"lists of four, one a layer, got \[8\]"),
        ({"generator": partial(DCGANGenerator, channels=[8, 0, 4, 4])}, r"each at least 1, got \[8, 0, 4, 4\]"),
        ({"image_shape": (1, 4, 4), "discriminator": partial(DCGANDiscriminator, kernels=[4, 4, 4, 4])}, "too small"),
        ({"gradient_clip_val": 0.0}, "gradient_clip_val must be above 0, or None not to clip, got 0.0"),
        ({"ema_decay": 1.0}, r"ema_decay must be in \(0, 1\), or None for no average, got 1.0"),
        ({"gradient_penalty": -1.0}, "gradient_penalty must be at least 0, got -1.0"),
        ({"loss": "wasserstein"}, "needs a gradient_penalty above 0, got 0: its authors' weight is 10"),
        ({"conditional": True, "num_classes": 0}, "num_classes must be at least 1 for a conditional"),
    ],
)
def test_arguments_out_of_range(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LitGAN(**({"image_shape": SHAPE} | options))


def test_networks_of_the_wrong_kind() -> None:
    with pytest.raises(TypeError, match=r"discriminator must make a lit_models.networks.base.Encoder, got Linear"):
        LitGAN(SHAPE, discriminator=lambda *sizes: nn.Linear(1, 1))
    with pytest.raises(TypeError, match=r"generator must make a lit_models.networks.base.Decoder, got MLPEncoder"):
        LitGAN(SHAPE, generator=lambda *sizes: MLPEncoder(SHAPE, 1))


def test_a_penalty_and_batch_norm_do_not_go_together() -> None:
    with pytest.warns(UserWarning, match="which batch norm in the discriminator mixes"):
        LitGAN(SHAPE, gradient_penalty=10.0)


def test_images_of_another_shape() -> None:
    with pytest.raises(ValueError, match=r"images of shape \(2, 3, 28, 28\) do not fit a model for \(N, 1, 28, 28\)"):
        LitGAN(SHAPE).encode(torch.rand(2, 3, 28, 28))


def test_nan_stops_the_run_and_names_the_loss(data: MNISTDataModule, tmp_path: Path) -> None:
    model = small()
    with torch.no_grad():
        model.discriminator.head.weight.fill_(torch.nan)
    with pytest.raises(FloatingPointError, match="train/d_loss is nan at batch 0: lower the learning rate"):
        make_trainer(tmp_path).fit(model, datamodule=data)


class BreaksOnGenerated(ConvEncoder):
    """A discriminator whose gradient to the generator is of NaN."""

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        return super().forward(x, condition) * (torch.nan if x.requires_grad else 1)


def test_nan_names_the_player_whose_loss_broke_first(data: MNISTDataModule, tmp_path: Path) -> None:
    model = small(discriminator=partial(BreaksOnGenerated, channels=[4, 8]))
    with pytest.raises(FloatingPointError, match="train/g_loss is nan at batch 0: lower the learning rate"):
        make_trainer(tmp_path).fit(model, datamodule=data)


class Sure(ConvEncoder):
    """Says 10 of the bar in real images, and -10 of fresh samples, which are grey."""

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        real = (x.flatten(1).amax(1, keepdim=True) > 0.99).float()
        return super().forward(x, condition) * 1e-6 + 20 * real - 10


@pytest.mark.parametrize("loss", ["minimax", "wasserstein"])
def test_a_discriminator_that_wins_is_said_in_words(
    loss: str, data: MNISTDataModule, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder
) -> None:
    """But for a critic, whose loss is negative as it should be."""
    monkeypatch.setattr(gan, "_JUDGED_AFTER", 0)
    monkeypatch.setattr(gan, "_COLLAPSED_BELOW", 0.0)
    penalty = 1e-9 if loss == "wasserstein" else 0.0
    model = small(discriminator=partial(Sure, channels=[4, 8]), loss=loss, gradient_penalty=penalty)
    trainer = make_trainer(tmp_path)
    trainer.fit(model, datamodule=data)
    said = any("discriminator wins outright: its loss averaged 0.0" in str(w.message) for w in recwarn)
    assert said == (loss == "minimax")
    assert trainer.callback_metrics["train/d_loss"] < 0.02


class Grey(ConvDecoder):
    """Makes the same grey image of all noise."""

    def forward(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        return super().forward(z, condition) * 0


def test_collapsed_samples_are_said_in_words(
    data: MNISTDataModule, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gan, "_JUDGED_AFTER", 0)
    with pytest.warns(UserWarning, match="samples collapse: they lie 0.00 times as far apart"):
        make_trainer(tmp_path).fit(small(generator=partial(Grey, channels=[8, 4])), datamodule=data)


def test_schedulers_step_each_epoch_or_each_batch(data: MNISTDataModule, tmp_path: Path) -> None:
    one_cycle = partial(OneCycleLR, max_lr=1.0, total_steps=100, pct_start=0.5, anneal_strategy="linear")
    model = small(lr_scheduler_d=partial(ExponentialLR, gamma=0.1), lr_scheduler_g=one_cycle)
    trainer = make_trainer(tmp_path, max_epochs=2)
    trainer.fit(model, datamodule=data)
    d, g = (optimizer.param_groups[0]["lr"] for optimizer in trainer.optimizers)
    assert d == pytest.approx(2e-6)
    assert g == pytest.approx(0.04 + (1 - 0.04) * 6 / 49)  # 6 of the 49 steps up from max_lr / 25


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_resume_equals_the_uninterrupted_run(precision: str, data: MNISTDataModule, tmp_path: Path) -> None:
    """Two epochs, and one and a resumed second one, end equal to the bit: noise, optimizers, schedulers, average."""

    def run(epochs: int, checkpoint: Path | None = None, seed: int = 0) -> LitGAN:
        torch.manual_seed(seed)
        model = LitGAN(
            SHAPE,
            generator=partial(DCGANGenerator, channels=[16, 16, 8, 8]),
            discriminator=partial(DCGANDiscriminator, channels=[8, 16, 16, 16]),
            ema_decay=0.9,
            lr_scheduler_d=partial(ExponentialLR, gamma=0.1),
            lr_scheduler_g=partial(ExponentialLR, gamma=0.5),
        )
        trainer = make_trainer(tmp_path, max_epochs=epochs, precision=precision)
        trainer.fit(model, datamodule=data, ckpt_path=checkpoint, weights_only=True)
        trainer.save_checkpoint(tmp_path / f"{epochs}.ckpt")
        assert trainer.global_step == 3 * epochs
        return model

    whole = run(2)
    run(1)
    resumed = run(2, tmp_path / "1.ckpt", seed=1)  # the checkpoint's seed goes on
    for (name, a), b in zip(whole.state_dict().items(), resumed.state_dict().values(), strict=True):
        assert torch.equal(a, b), name


def test_a_scheduler_that_watches_a_figure(data: MNISTDataModule, tmp_path: Path) -> None:
    on_plateau = partial(ReduceLROnPlateau, monitor="val/sliced_wasserstein", patience=0, threshold=0.99)
    trainer = make_trainer(tmp_path, max_epochs=3)
    trainer.fit(small(lr_scheduler_g=on_plateau), datamodule=data)
    assert trainer.optimizers[1].param_groups[0]["lr"] < 2e-4
    assert trainer.optimizers[0].param_groups[0]["lr"] == 2e-4


def test_a_scheduler_that_watches_what_was_not_logged(data: MNISTDataModule, tmp_path: Path) -> None:
    on_plateau = partial(ReduceLROnPlateau, monitor="val/sliced_wasserstein")
    trainer = make_trainer(tmp_path, max_epochs=1, limit_val_batches=0)
    with pytest.warns(UserWarning, match=r"watches 'val/sliced_wasserstein', which was not logged in epoch 0: .* Name"):
        trainer.fit(small(lr_scheduler_g=on_plateau), datamodule=data)


def test_validation_in_an_epoch_keeps_accumulated_gradients(data: MNISTDataModule, tmp_path: Path) -> None:
    class Unseen(LitGAN):
        """Draws no noise in a validation."""

        def validation_step(self, *args) -> None:
            pass

    weights = []
    for interval in (1, 4):
        torch.manual_seed(0)
        model = Unseen(SHAPE, **SMALL, accumulate_grad_batches=4, optimizer_d=partial(SGD, lr=0.1))
        trainer = make_trainer(tmp_path, limit_train_batches=4, val_check_interval=interval)
        trainer.fit(model, datamodule=data)
        weights.append(flat(model.discriminator))
    assert torch.equal(*weights)


def test_a_checkpoint_loads_at_a_prompt(data: MNISTDataModule, tmp_path: Path) -> None:
    model = small(ema_decay=0.5, conditional=True)
    trainer = make_trainer(tmp_path)
    trainer.fit(model, datamodule=data)
    trainer.save_checkpoint(tmp_path / "gan.ckpt")
    model.eval()
    x, y = torch.rand(2, *SHAPE), torch.tensor([0, 1])
    for loaded in (LitGAN.load_from_checkpoint(tmp_path / "gan.ckpt").eval(), load_model(tmp_path / "gan.ckpt")):
        assert torch.equal(model.encode(x, y), loaded.encode(x, y))
        torch.manual_seed(0)
        images = model.sample(2, y)
        torch.manual_seed(0)
        assert torch.equal(images, loaded.sample(2, y))
