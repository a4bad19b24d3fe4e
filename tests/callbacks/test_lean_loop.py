"""LeanLoop takes out hooks that nobody wrote, for the time of a fit, and nothing else."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from callbacks import LeanLoop
from datamodules import DigitsDataModule
from lit_models import LitVAE
from tests.callbacks.test_callbacks import Mute, make_trainer


class Writes(Mute):
    """Has one hook of its own, and notes what it finds in the place of another."""

    def __init__(self) -> None:
        super().__init__()
        self.ends = 0
        self.found: set[Any] = set()

    def on_train_batch_end(self, *args: Any) -> None:
        self.ends += 1
        self.found.add(self.on_after_backward)


class Counts(Callback):
    """Has one hook of its own, and breaks where it is told to."""

    def __init__(self, fails: bool = False) -> None:
        self.count = 0
        self.fails = fails

    def on_before_zero_grad(self, trainer: Trainer, pl_module: LightningModule, optimizer: object) -> None:
        self.count += 1
        assert self.on_train_batch_start is None
        if self.fails:
            raise ArithmeticError("on purpose")


def test_written_hooks_are_called_and_empty_ones_are_gone_for_the_fit(tmp_path: Path) -> None:
    model, counts = Writes(), Counts()
    trainer = make_trainer(tmp_path, LeanLoop(), counts, epochs=1)
    trainer.fit(model, datamodule=DigitsDataModule())
    assert model.ends == counts.count == trainer.global_step > 0
    assert model.found == {None}
    assert callable(model.on_after_backward)
    assert callable(counts.on_train_batch_start)


def test_they_are_back_after_an_error(tmp_path: Path) -> None:
    model, counts = Writes(), Counts(fails=True)
    with pytest.raises(ArithmeticError, match="on purpose"):
        make_trainer(tmp_path, LeanLoop(), counts, epochs=1).fit(model, datamodule=DigitsDataModule())
    assert callable(model.on_after_backward)
    assert callable(counts.on_train_batch_start)


def test_a_hook_hung_onto_an_instance_stays(tmp_path: Path) -> None:
    model, calls = Mute(), []
    model.on_after_backward = lambda: calls.append(1)  # type: ignore[method-assign]
    trainer = make_trainer(tmp_path, LeanLoop(), epochs=1)
    trainer.fit(model, datamodule=DigitsDataModule())
    assert len(calls) == trainer.global_step
    assert callable(model.on_after_backward)


class Hangs(Callback):
    """Hangs a hook onto the model as training starts, around what was there; may take it off again."""

    def __init__(self, takes_off: bool) -> None:
        self.calls = 0
        self.takes_off = takes_off

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        before = pl_module.on_after_backward

        def hook() -> None:
            self.calls += 1
            before()

        pl_module.on_after_backward = hook  # type: ignore[method-assign]

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.takes_off:
            del pl_module.on_after_backward


@pytest.mark.parametrize("takes_off", [True, False])
def test_a_hook_hung_on_as_training_starts_is_its_owners(takes_off: bool, tmp_path: Path) -> None:
    model, hangs = Mute(), Hangs(takes_off)
    trainer = make_trainer(tmp_path, hangs, LeanLoop(), epochs=1)
    trainer.fit(model, datamodule=DigitsDataModule())
    assert hangs.calls == trainer.global_step > 0
    assert ("on_after_backward" in vars(model)) != takes_off


def test_a_hook_that_replaces_ours_stays(tmp_path: Path) -> None:
    class Replaces(Callback):
        def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
            pl_module.on_after_backward = self.setup  # type: ignore[method-assign,assignment]
            del pl_module.on_before_backward

    model = Mute()
    make_trainer(tmp_path, Replaces(), LeanLoop(), epochs=1).fit(model, datamodule=DigitsDataModule())
    assert callable(vars(model)["on_after_backward"])
    assert callable(model.on_before_backward)
    assert "__signature__" not in vars(Mute.training_step)


def test_freed_memory_is_kept_on_a_cpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, int]] = []
    library = SimpleNamespace(mallopt=lambda *setting: asked.append(setting))
    monkeypatch.setattr("callbacks.lean_loop.ctypes.CDLL", lambda name: library)
    make_trainer(tmp_path, LeanLoop(), epochs=1).fit(Mute(), datamodule=DigitsDataModule())
    assert asked == [(-1, 2**31 - 1), (-3, 2**25)]


def test_training_is_the_same_without_it(tmp_path: Path) -> None:
    def weights(*callbacks: Callback) -> torch.Tensor:
        torch.manual_seed(0)
        model = LitVAE((1, 28, 28), latent_dim=2, hidden_dims=[8])
        make_trainer(tmp_path, *callbacks, epochs=1).fit(model, datamodule=DigitsDataModule())
        return torch.cat([p.detach().flatten() for p in model.parameters()])

    assert torch.equal(weights(LeanLoop()), weights())
