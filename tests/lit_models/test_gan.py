"""LitDCGAN: each player's step leaves the other alone, steps count batches, flags, warnings, resume."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.cli import ReduceLROnPlateau
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from torch import Tensor, nn

from datamodules import MNISTDataModule
from lit_models import LitDCGAN, adversarial

SHAPE = (1, 28, 28)


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


def snapshot(network: nn.Module) -> list[tuple[Tensor, Tensor | None]]:
    return [(p.detach().clone(), None if p.grad is None else p.grad.clone()) for p in network.parameters()]


def unchanged(network: nn.Module, before: list[tuple[Tensor, Tensor | None]]) -> bool:
    return all(
        torch.equal(p, value) and (p.grad is None if grad is None else torch.equal(p.grad, grad))
        for p, (value, grad) in zip(network.parameters(), before, strict=True)
    )


class Watch(LitDCGAN):
    """Looks at both networks around each player's step."""

    def _train_discriminator(self, *args, **kwargs) -> None:
        self._watched(super()._train_discriminator, self.discriminator, self.generator, args)

    def _train_generator(self, *args, **kwargs) -> None:
        self._watched(super()._train_generator, self.generator, self.discriminator, args)

    def _watched(self, step: Callable[..., None], trained: nn.Module, other: nn.Module, args: tuple) -> None:
        for parameter in other.parameters():  # gradients that a stray zero_grad or backward would change
            parameter.grad = torch.full_like(parameter, 0.125)
        mine, others = snapshot(trained), snapshot(other)
        step(*args)
        assert unchanged(other, others)
        assert not unchanged(trained, mine)
        assert all(parameter.requires_grad for parameter in other.parameters())
        other.zero_grad()
        self.checked = getattr(self, "checked", 0) + 1


@pytest.mark.parametrize("loss", ["minimax", "non_saturating", "hinge", "least_squares"])
def test_a_players_step_leaves_the_other_untouched(loss: str, data: MNISTDataModule, tmp_path: Path) -> None:
    model = Watch(SHAPE, loss=loss)
    make_trainer(tmp_path).fit(model, datamodule=data)
    assert model.checked == 6


def test_every_parameter_gets_a_gradient() -> None:
    model = LitDCGAN(SHAPE).double()
    generated = model.generator(torch.randn(4, 100).double())
    model.discriminator(generated).sum().backward()
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
    trainer.fit(LitDCGAN(SHAPE, **options), datamodule=data)
    assert trainer.global_step == 10
    assert counter.steps == steps


# the state after the step is what a resumed run goes on from
@pytest.mark.filterwarnings("ignore:Using ModelCheckpoint with manual optimization and every_n_train_steps")
def test_max_steps_and_checkpoint_intervals_mean_batches(data: MNISTDataModule, tmp_path: Path) -> None:
    checkpoint = ModelCheckpoint(tmp_path, filename="{step}", every_n_train_steps=4, save_top_k=-1)
    trainer = make_trainer(tmp_path, checkpoint, max_steps=10, max_epochs=-1, limit_train_batches=7)
    trainer.fit(LitDCGAN(SHAPE), datamodule=data)
    assert trainer.global_step == 10
    assert {path.stem for path in tmp_path.glob("*.ckpt")} == {"step=4", "step=8"}


def test_accumulated_batches_give_the_mean_gradient(data: MNISTDataModule, tmp_path: Path) -> None:
    """Of one batch twice, with a discriminator that sees no noise, the accumulated step is the single batch's step."""

    class OneBatch(LitDCGAN):
        def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
            self.first = getattr(self, "first", batch)
            torch.manual_seed(3)
            super().training_step(self.first, batch_idx)

    weights = []
    for accumulate in (1, 2):
        torch.manual_seed(0)
        model = OneBatch(
            SHAPE,
            dropout=0,
            accumulate_grad_batches=accumulate,
            optimizer_d=lambda p: torch.optim.SGD(p, lr=0.1),
            optimizer_g=lambda p: torch.optim.SGD(p, lr=0.1),
        ).double()
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

    model = LitDCGAN(SHAPE, gradient_clip_val=0.01, optimizer_d=lambda p: torch.optim.SGD(p, lr=1.0))
    trainer = make_trainer(tmp_path, Norms())
    trainer.fit(model, datamodule=data)
    assert trainer.callback_metrics["d/gradient_norm"] > 0.01  # measured before clipping


def test_the_running_average_samples_when_it_is_on(data: MNISTDataModule, tmp_path: Path) -> None:
    model = LitDCGAN(SHAPE, ema_decay=0.9)
    make_trainer(tmp_path).fit(model, datamodule=data)
    assert not torch.equal(flat(model.ema.module), flat(model.generator))
    model.eval()
    torch.manual_seed(1)
    images = model.sample(2)
    torch.manual_seed(1)
    torch.testing.assert_close(images, (model.ema(torch.randn(2, 100)) + 1) / 2)


def test_the_running_average_measures_its_own_statistics() -> None:
    """With the statistics of the weights that it averages, its samples would be faded."""
    model = LitDCGAN(SHAPE, ema_decay=0.5).eval()
    for norm in (m for m in model.ema.modules() if isinstance(m, nn.BatchNorm2d)):
        norm.running_var.fill_(100)
    torch.manual_seed(1)
    state = torch.get_rng_state()
    images = model.sample(256)
    torch.set_rng_state(state)
    by_batch = (model.ema.train()(torch.randn(256, 100)) + 1) / 2
    assert not model.ema.eval().training
    torch.testing.assert_close(images.std(), by_batch.std(), rtol=0.05, atol=0)
    torch.testing.assert_close(images.mean(), by_batch.mean(), rtol=0.05, atol=0)


@pytest.mark.parametrize("image_shape", [(1, 28, 28), (3, 32, 32), (2, 20, 36)])
def test_verbs_for_every_size_that_the_strides_divide(image_shape: tuple[int, int, int]) -> None:
    model = LitDCGAN(image_shape).eval()
    images = model.sample(3)
    assert images.shape == (3, *image_shape)
    assert images.min() >= 0
    assert images.max() <= 1
    features = model.encode(images)
    assert features.shape == (3, model.discriminator.num_features)


def test_features_are_8192_for_mnist_and_do_not_depend_on_the_batch() -> None:
    model = LitDCGAN(SHAPE).eval()
    x = torch.rand(5, *SHAPE)
    assert model.encode(x).shape == (5, 8192)
    torch.testing.assert_close(model.encode(x)[:1], model.encode(x[:1]))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image_shape": (1, 30, 28)}, r"height and width divisible by 4.*got \(1, 30, 28\)"),
        ({"loss": "wasserstein"}, r"loss must be one of \['minimax', .*\], got 'wasserstein'"),
        ({"latent_dim": 0}, "latent_dim must be at least 1, got 0"),
        ({"discriminator_steps": 0}, "discriminator_steps must be at least 1, got 0"),
        ({"dropout": 1.0}, r"dropout must be in \[0, 1\), got 1.0"),
        ({"gradient_clip_val": 0.0}, "gradient_clip_val must be above 0, or None not to clip, got 0.0"),
        ({"ema_decay": 1.0}, r"ema_decay must be in \(0, 1\), or None for no average, got 1.0"),
    ],
)
def test_arguments_out_of_range(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LitDCGAN(**({"image_shape": SHAPE} | options))


def test_images_of_another_shape() -> None:
    with pytest.raises(ValueError, match=r"images of shape \(2, 3, 28, 28\) do not fit a model for \(N, 1, 28, 28\)"):
        LitDCGAN(SHAPE).encode(torch.rand(2, 3, 28, 28))


@pytest.mark.parametrize("flag", ["gradient_clip_val", "accumulate_grad_batches"])
def test_the_trainers_flags_are_refused_and_ours_named(flag: str, data: MNISTDataModule, tmp_path: Path) -> None:
    message = rf"Trainer\({flag}=2\) has no effect on LitDCGAN.*use the model's own {flag} instead \(--model.{flag} 2\)"
    with pytest.raises(MisconfigurationException, match=message):
        make_trainer(tmp_path, **{flag: 2}).fit(LitDCGAN(SHAPE), datamodule=data)


def test_nan_stops_the_run_and_names_the_loss(data: MNISTDataModule, tmp_path: Path) -> None:
    model = LitDCGAN(SHAPE)
    with torch.no_grad():
        model.discriminator.head.weight.fill_(torch.nan)
    with pytest.raises(FloatingPointError, match="d/loss is not a number at batch 0: lower the learning rates"):
        make_trainer(tmp_path).fit(model, datamodule=data)


@pytest.mark.parametrize("options", [{"log_every_n_steps": 3}, {"log_every_n_steps": 50, "max_steps": 2}])
def test_nan_names_the_player_whose_loss_broke_first(options: dict, data: MNISTDataModule, tmp_path: Path) -> None:
    class GeneratorBreaks(LitDCGAN):
        def _logits(self, x: Tensor) -> Tensor:
            logits = super()._logits(x)
            return logits * torch.nan if x.requires_grad and self.global_step == 1 else logits

        def setup(self, stage: str) -> None:
            super().setup(stage)
            self._looks_always = False

    # looked at after three batches only, as on a GPU, when D's loss is NaN too; or where the run ends within the epoch
    model = GeneratorBreaks(SHAPE)
    trainer = make_trainer(tmp_path, **options)
    with pytest.raises(FloatingPointError, match="g/loss is not a number at batch 1: lower the learning rates"):
        trainer.fit(model, datamodule=data)


def test_a_discriminator_that_wins_is_said_in_words(
    data: MNISTDataModule, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adversarial, "_JUDGED_AFTER", 0)
    monkeypatch.setattr(adversarial, "_COLLAPSED_BELOW", 0.0)

    class Wins(LitDCGAN):
        def _logits(self, x: Tensor) -> Tensor:
            real = (x.flatten(1).amax(1) > 0.99).float()  # the bar of the test images; fresh samples are grey
            return super()._logits(x) * 1e-6 + 20 * real - 10

    with pytest.warns(UserWarning, match="discriminator wins outright: its loss averaged 0.0"):
        make_trainer(tmp_path).fit(Wins(SHAPE), datamodule=data)


def test_collapsed_samples_are_said_in_words(
    data: MNISTDataModule, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adversarial, "_JUDGED_AFTER", 0)

    class Collapsed(LitDCGAN):
        def sample(self, n: int, y: Tensor | None = None) -> Tensor:
            return torch.full((n, *SHAPE), 0.5)

    with pytest.warns(UserWarning, match="samples collapse: they lie 0.00 times as far apart"):
        make_trainer(tmp_path).fit(Collapsed(SHAPE), datamodule=data)


def test_schedulers_step_each_epoch(data: MNISTDataModule, tmp_path: Path) -> None:
    model = LitDCGAN(
        SHAPE,
        lr_scheduler_d=lambda o: torch.optim.lr_scheduler.ExponentialLR(o, 0.1),
        lr_scheduler_g=lambda o: torch.optim.lr_scheduler.ExponentialLR(o, 0.5),
    )
    trainer = make_trainer(tmp_path, max_epochs=2)
    trainer.fit(model, datamodule=data)
    assert [o.param_groups[0]["lr"] for o in trainer.optimizers] == pytest.approx([2e-6, 5e-5])


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_resume_equals_the_uninterrupted_run(precision: str, data: MNISTDataModule, tmp_path: Path) -> None:
    """Two epochs, and one and a resumed second one, end equal to the bit: noise, optimizers, schedulers, average."""

    def run(epochs: int, checkpoint: Path | None = None, seed: int = 0) -> LitDCGAN:
        torch.manual_seed(seed)
        model = LitDCGAN(
            SHAPE,
            ema_decay=0.9,
            lr_scheduler_d=lambda o: torch.optim.lr_scheduler.ExponentialLR(o, 0.1),
            lr_scheduler_g=lambda o: torch.optim.lr_scheduler.ExponentialLR(o, 0.5),
        )
        trainer = make_trainer(tmp_path, max_epochs=epochs, precision=precision)
        trainer.fit(model, datamodule=data, ckpt_path=checkpoint)
        trainer.save_checkpoint(tmp_path / f"{epochs}.ckpt")
        assert trainer.global_step == 3 * epochs
        return model

    whole = run(2)
    run(1)
    resumed = run(2, tmp_path / "1.ckpt", seed=1)  # the checkpoint's seed goes on
    for (name, a), b in zip(whole.state_dict().items(), resumed.state_dict().values(), strict=True):
        assert torch.equal(a, b), name


def test_a_scheduler_that_watches_a_figure(data: MNISTDataModule, tmp_path: Path) -> None:
    model = LitDCGAN(
        SHAPE, lr_scheduler_g=lambda o: ReduceLROnPlateau(o, "val/sliced_wasserstein", patience=0, threshold=0.99)
    )
    trainer = make_trainer(tmp_path, max_epochs=3)
    trainer.fit(model, datamodule=data)
    assert trainer.optimizers[1].param_groups[0]["lr"] < 2e-4
    assert trainer.optimizers[0].param_groups[0]["lr"] == 2e-4


def test_validation_in_an_epoch_keeps_accumulated_gradients(data: MNISTDataModule, tmp_path: Path) -> None:
    weights = []
    for interval in (1, 4):
        torch.manual_seed(0)
        model = LitDCGAN(SHAPE, accumulate_grad_batches=4, optimizer_d=lambda p: torch.optim.SGD(p, lr=0.1))
        model.validation_step = lambda batch, batch_idx: None  # draws no noise  # type: ignore[method-assign]
        model.on_validation_epoch_end = lambda: None  # type: ignore[method-assign]
        trainer = make_trainer(tmp_path, limit_train_batches=4, val_check_interval=interval)
        trainer.fit(model, datamodule=data)
        weights.append(flat(model.discriminator))
    assert torch.equal(*weights)


@pytest.mark.slow
def test_a_checkpoint_loads_at_a_prompt(data: MNISTDataModule, tmp_path: Path) -> None:
    model = LitDCGAN(SHAPE, ema_decay=0.5)
    trainer = make_trainer(tmp_path)
    trainer.fit(model, datamodule=data)
    trainer.save_checkpoint(tmp_path / "gan.ckpt")
    loaded = LitDCGAN.load_from_checkpoint(tmp_path / "gan.ckpt", weights_only=True).eval()
    model.eval()
    x = torch.rand(2, *SHAPE)
    assert torch.equal(model.encode(x), loaded.encode(x))
    torch.manual_seed(0)
    images = model.sample(2)
    torch.manual_seed(0)
    assert torch.equal(images, loaded.sample(2))
