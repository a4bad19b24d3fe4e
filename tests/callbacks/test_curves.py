"""Curves: each figure at its epoch, whatever the order of hooks, and in a run that goes on."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback, Trainer
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from callbacks import Curves, ReconstructionMSE, RunCheckpoint, SaveOnInterrupt
from callbacks.curve_panels import MAX_PANELS, Panel, draw_panels, panels
from lit_generative import train
from tests.callbacks.test_callbacks import Mute, Speaks
from tests.processes import fit_on_two

BATCHES = 4


class Logs(Speaks):
    """Logs the number of the epoch as a model of the house does: at the ends of epochs."""

    def on_train_epoch_end(self) -> None:
        self.log("train/loss", 10.0 + self.current_epoch)

    def on_validation_epoch_end(self) -> None:
        self.log("val/loss", 20.0 + self.trainer.fit_loop.epoch_loop.total_batch_idx + 1)


def batches(n: int = BATCHES) -> DataLoader:
    return DataLoader(TensorDataset(torch.rand(2 * n, 1, 28, 28), torch.zeros(2 * n).long()), 2)


def run(folder: Path, *callbacks: Callback, epochs: int = 3, **options: Any) -> Trainer:
    usual: dict[str, Any] = {"logger": False, "enable_checkpointing": False, "num_sanity_val_steps": 1}
    return Trainer(
        default_root_dir=folder, callbacks=list(callbacks), max_epochs=epochs, accelerator="cpu",
        enable_progress_bar=False, enable_model_summary=False, **usual | options,
    )  # fmt: skip


def drawn(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*.png")}


def test_a_point_an_epoch_for_both_splits_without_a_logger(tmp_path: Path) -> None:
    curves = Curves()
    run(tmp_path, curves).fit(Logs(), batches(), batches())
    assert curves.points == {"train/loss": {1: 10, 2: 11, 3: 12}, "val/loss": {1: 24, 2: 28, 3: 32}}
    assert drawn(tmp_path) == {"curves_epoch003.png"}
    with Image.open(tmp_path / "pictures" / "curves_epoch003.png") as picture:
        assert np.asarray(picture.convert("L")).std() > 5


def test_drawn_every_n_epochs_with_the_figures_of_that_epoch(tmp_path: Path) -> None:
    seen = []

    class Notes(Curves):
        def draw(self, trainer: Trainer, module: Any, when: str) -> None:
            seen.append((when, max(self.points["train/loss"]), max(self.points["val/loss"])))
            super().draw(trainer, module, when)

    run(tmp_path, Notes(every_n_epochs=2), epochs=5).fit(Logs(), batches(), batches())
    assert seen == [("epoch002", 2, 2), ("epoch004", 4, 4), ("epoch005", 5, 5)]
    assert drawn(tmp_path) == {f"curves_epoch00{epoch}.png" for epoch in (2, 4, 5)}


@pytest.mark.parametrize(
    ("options", "val"),
    [
        ({"check_val_every_n_epoch": 2}, {2: 28, 4: 36}),
        ({"val_check_interval": 0.5}, {x / 2: 20 + 2 * x for x in range(1, 11)}),
        ({"limit_val_batches": 0}, None),
        ({"limit_train_batches": 2}, {x: 20 + 2 * x for x in range(1, 6)}),
        ({"accumulate_grad_batches": 3}, {x: 20 + 4 * x for x in range(1, 6)}),
    ],
    ids=lambda value: str(value) if value is None or "val" in str(value) else "",
)
@pytest.mark.filterwarnings("ignore:You defined a `validation_step` but have no")
def test_when_validation_runs(options: dict[str, Any], val: dict[float, float] | None, tmp_path: Path) -> None:
    curves = Curves()
    run(tmp_path, curves, epochs=5, **options).fit(Logs(), batches(), batches())
    assert curves.points["train/loss"] == {epoch: 9 + epoch for epoch in range(1, 6)}
    assert curves.points.get("val/loss") == val


def test_an_epoch_that_max_steps_cuts_short(tmp_path: Path) -> None:
    curves = Curves()
    run(tmp_path, curves, epochs=-1, max_steps=6, val_check_interval=0.25).fit(Logs(), batches(), batches())
    assert curves.points["train/loss"] == {1: 10, 1.5: 11}
    assert curves.points["val/loss"] == {x / 4: 20 + x for x in range(1, 7)}
    assert drawn(tmp_path) == {"curves_epoch002.png"}


def test_a_figure_that_is_not_logged_again_has_no_new_point(tmp_path: Path) -> None:
    curves = Curves()
    callbacks = (curves, ReconstructionMSE(every_n_epochs=2))
    run(tmp_path, *callbacks, epochs=5).fit(Logs(), batches(), batches())
    for split in ("train", "val"):
        assert list(curves.points[f"{split}/reconstruction_mse"]) == [2, 4, 5]


def test_a_figure_that_stays_the_same_has_all_its_points(tmp_path: Path) -> None:
    class Constant(Logs):
        def on_train_epoch_end(self) -> None:
            self.log("train/active_units", 0.0)

    curves = Curves()
    run(tmp_path, curves, epochs=4).fit(Constant(), batches(), batches())
    assert curves.points["train/active_units"] == {1: 0, 2: 0, 3: 0, 4: 0}


def test_any_way_to_log_gives_one_panel_a_figure(tmp_path: Path) -> None:
    """Each step, each epoch or both, with the names of Lightning's own examples."""

    class Steps(Mute):
        def training_step(self, batch: Any, batch_idx: int) -> Tensor:
            self.log("train_loss", float(batch_idx), on_step=True, on_epoch=True)
            self.log("lr", 0.1)
            return self.weight.square()

        def validation_step(self, batch: Any, batch_idx: int) -> None:
            self.log("val_loss", float(batch_idx))

    curves = Curves()
    run(tmp_path, curves, epochs=2).fit(Steps(), batches(), batches())
    assert curves.points["train_loss"] == {1: 1.5, 2: 1.5}
    assert curves.points["val_loss"] == {1: 1.5, 2: 1.5}
    ((figure, lines),) = panels(curves.points)
    assert figure == "loss"
    assert set(lines) == {"train", "val"}
    assert [panel.figure for panel in panels(curves.points, ["lr"])] == ["lr"]


@pytest.mark.slow
def test_manual_optimization_with_two_players(tmp_path: Path) -> None:
    words = ["--model=LitGAN", "--model.generator=ConvDecoder", "--model.generator.channels=[4, 4]"]
    words += ["--model.discriminator=ConvEncoder", "--model.discriminator.channels=[4, 4]"]
    words += ["--data=DigitsDataModule", "--trainer.limit_train_batches=2", "--trainer.max_epochs=2"]
    quiet = ["--trainer.enable_progress_bar=false", f"--trainer.default_root_dir={tmp_path}"]
    callbacks = "--trainer.callbacks=[{class_path: Curves}]"
    cli = train.main(["fit", *words, *quiet, callbacks, "--trainer.accelerator=cpu"])
    (curves,) = (callback for callback in cli.trainer.callbacks if isinstance(callback, Curves))
    assert {"d_loss", "g_loss"} == {panel.figure for panel in panels(curves.points)[:2]}
    assert list(curves.points["train/g_loss"]) == [1, 2]
    assert (tmp_path / "LitGAN/version_0/pictures/curves_epoch002.png").is_file()
    assert torch.load(tmp_path / "LitGAN/version_0/checkpoints/last.ckpt", weights_only=True)["curves"]["train/g_loss"]


@pytest.mark.filterwarnings("ignore:Be aware that when using `ckpt_path`, callbacks used to create the checkpoint")
@pytest.mark.filterwarnings("ignore:You're resuming from a checkpoint that ended before the epoch ended")
@pytest.mark.parametrize("at", [0.5, 1, 1.5, 2])
def test_a_resumed_run_goes_on_with_the_curves(at: float, tmp_path: Path) -> None:
    """From the middle and from the end of an epoch; the checkpoint of an epoch's end has its figures."""
    whole = Curves()
    saves = RunCheckpoint(tmp_path / "saved", every_n_train_steps=2, save_top_k=-1, filename="{step}")
    ends = RunCheckpoint(tmp_path / "ends", filename="{epoch}", save_top_k=-1, save_on_train_epoch_end=True)
    run(tmp_path, whole, saves, ends, enable_checkpointing=True).fit(Logs(), batches(), batches())
    path = tmp_path / ("ends" if at == int(at) else "saved")
    path /= f"epoch={int(at) - 1}.ckpt" if at == int(at) else f"step={int(at * BATCHES)}.ckpt"
    saved = torch.load(path, weights_only=True)["curves"]
    assert {name: max(dict(points)) for name, points in saved.items()} == (
        {"train/loss": int(at), "val/loss": int(at)} if at >= 1 else {}
    )
    resumed = Curves()
    trainer = run(tmp_path, resumed)
    trainer.fit(Logs(), batches(), batches(), ckpt_path=path, weights_only=True)
    assert resumed.points == whole.points


def test_a_callback_used_again_starts_anew_and_one_that_goes_on_goes_on(tmp_path: Path) -> None:
    curves = Curves()
    run(tmp_path, curves, epochs=4).fit(Logs(), batches(), batches())
    trainer = run(tmp_path, curves, epochs=2)
    trainer.fit(Logs(), batches(), batches())
    assert list(curves.points["val/loss"]) == [1, 2]
    trainer.fit_loop.max_epochs = 3
    trainer.fit(trainer.lightning_module, batches(), batches())
    assert list(curves.points["val/loss"]) == [1, 2, 3]


class Stops(Callback):
    """Raises an exception in the middle of the third epoch."""

    def __init__(self, exception: BaseException) -> None:
        self.exception = exception

    def on_train_batch_end(self, trainer: Trainer, *args: Any) -> None:
        if trainer.global_step == 2 * BATCHES + 2:
            raise self.exception


@pytest.mark.parametrize("exception", [ArithmeticError("on purpose"), KeyboardInterrupt(), SystemExit(130)])
def test_a_run_that_is_stopped_is_drawn(exception: BaseException, tmp_path: Path) -> None:
    curves = Curves()
    with pytest.raises((ArithmeticError, SystemExit)):
        run(tmp_path, Stops(exception), curves).fit(Logs(), batches(), batches())
    assert drawn(tmp_path) == {"curves_epoch002.png"}
    assert list(curves.points["train/loss"]) == list(curves.points["val/loss"]) == [1, 2]


def test_ctrl_c_in_the_last_validation_loses_no_point(tmp_path: Path) -> None:
    """SaveOnInterrupt then ends the process in a hook that comes before the curves' own."""

    class Signal(Callback):
        def on_validation_start(self, trainer: Trainer, pl_module: Any) -> None:
            if trainer.current_epoch == 1:
                interrupt._signal = 2

    interrupt, curves = SaveOnInterrupt(), Curves()
    with pytest.raises(SystemExit):
        run(tmp_path, interrupt, curves, Signal()).fit(Logs(), batches(), batches())
    saved = torch.load(tmp_path / "checkpoints" / "interrupted.ckpt", weights_only=True)["curves"]
    assert saved == {"train/loss": [(1, 10), (2, 11)], "val/loss": [(1, 24), (2, 28)]}
    assert drawn(tmp_path) == {"curves_epoch002.png"}


def test_values_are_read_once_an_epoch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[int] = []

    def stack(values: list[Tensor]) -> Tensor:
        reads.append(len(values))
        return torch.tensor(values)

    monkeypatch.setattr("callbacks.curves.torch", SimpleNamespace(stack=stack, float32=torch.float32))
    ends = [RunCheckpoint(tmp_path, filename=f"{{epoch}}{name}", save_on_train_epoch_end=True) for name in "ab"]
    run(tmp_path, Curves(), *ends, enable_checkpointing=True, val_check_interval=0.5).fit(Logs(), batches(), batches())
    assert reads == [3, 3, 3]


def test_a_test_or_validation_alone_draws_nothing(tmp_path: Path) -> None:
    curves = Curves()
    trainer = run(tmp_path, curves)
    trainer.test(Speaks(), batches(), verbose=False)
    trainer.validate(Speaks(), batches(), verbose=False)
    assert drawn(tmp_path) == set()


def test_a_model_that_logs_nothing_has_no_picture(tmp_path: Path) -> None:
    run(tmp_path, Curves(every_n_epochs=1)).fit(Mute(), batches(), batches())
    assert drawn(tmp_path) == set()


@pytest.mark.parametrize("options", [{"fast_dev_run": True}, {"barebones": True, "logger": None}])
def test_trials_draw_nothing(options: dict[str, Any], tmp_path: Path) -> None:
    if options.get("barebones"):
        options |= {"enable_checkpointing": None, "num_sanity_val_steps": None}
        trainer = Trainer(barebones=True, callbacks=[Curves()], max_epochs=1, accelerator="cpu")
    else:
        trainer = run(tmp_path, Curves(), **options)
    trainer.fit(Mute(), batches(), batches())
    assert drawn(tmp_path) == set()


@pytest.mark.parametrize("precision", ["bf16-true", "64-true"])
def test_any_precision(precision: Any, tmp_path: Path) -> None:
    curves = Curves()
    run(tmp_path, curves, precision=precision).fit(Logs(), batches(), batches())
    assert curves.points["train/loss"] == {1: 10, 2: 11, 3: 12}


def test_a_stream_whose_length_nobody_knows(tmp_path: Path) -> None:
    class Stream(IterableDataset):
        def __iter__(self) -> Any:
            yield from (torch.rand(1, 28, 28) for _ in range(8))

    curves = Curves()
    run(tmp_path, curves, val_check_interval=2).fit(Logs(), DataLoader(Stream(), 2), batches())
    assert curves.points == {"train/loss": {1: 10, 2: 11, 3: 12}, "val/loss": {1: 24, 2: 28, 3: 32}}


def test_panels_have_units_legends_and_the_same_colours() -> None:
    one = {1.0: 5.0, 2.0: 4.0}
    curves = {
        "train/strange": one, "train/kl": one, "val/kl": one, "val/accuracy": one, "train/loss": one, "val/loss": one,
        "train/reconstruction_mse": one, "other": one,
    }  # fmt: skip
    figure = draw_panels(panels(curves))
    assert [axes.get_ylabel() for axes in figure.axes] == [
        "loss\n(nats per image)",
        "kl\n(nats per image)",
        "accuracy",
        "strange",
        "reconstruction mse\n(per pixel, of [0, 1])",
    ]
    colours = {(line.get_label(), line.get_color()) for axes in figure.axes for line in axes.lines}
    assert colours == {("train", "C0"), ("validation", "C1")}
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["train", "validation"]
    assert {axes.get_yscale() for axes in figure.axes} == {"linear"}
    # three columns, two rows: the last of each column says what is across
    assert [axes.get_xlabel() for axes in figure.axes] == ["", "", "epoch", "epoch", "epoch"]
    alone = draw_panels(panels({"train/loss": one}))
    assert alone.axes[0].get_ylabel() == "loss", "the loss of a model without a KL term may be anything"


def test_what_has_no_room_is_named() -> None:
    figure = draw_panels([Panel(f"figure_{number}", {"train": {1.0: 1.0}}) for number in range(MAX_PANELS + 2)])
    assert len(figure.axes) == MAX_PANELS
    assert figure.get_supxlabel() == "not drawn: figure_12, figure_13"


def test_values_that_are_no_numbers_are_left_open(tmp_path: Path) -> None:
    points = {1.0: 1.0, 2.0: float("nan"), 3.0: float("inf"), 4.0: 2.0}
    draw_panels([Panel("loss", {"train": points})]).savefig(tmp_path / "curves.png")
    assert (tmp_path / "curves.png").is_file()


def test_named_figures_alone_in_their_order(tmp_path: Path) -> None:
    curves = Curves(figures=["samples/entropy", "val/loss", "los"])
    model = Logs()
    model.on_train_epoch_start = lambda: model.log("samples/entropy", 2.0)  # type: ignore[method-assign]
    with pytest.warns(UserWarning, match=r"Curves found no figures \['los'\]: there are \['samples/entropy', 'train/l"):
        run(tmp_path, curves, epochs=1).fit(model, batches(), batches())
    assert [panel.figure for panel in panels(curves.points, curves.figures)] == ["samples/entropy", "loss"]


def test_no_figures_are_refused() -> None:
    with pytest.raises(ValueError, match="figures must name at least one figure, got none: pass null for all"):
        Curves(figures=[])
    with pytest.raises(ValueError, match="every_n_epochs must be at least 0, got -1"):
        Curves(every_n_epochs=-1)


@pytest.mark.filterwarnings("ignore:You defined a `validation_step` but have no")
def test_any_lightning_module(tmp_path: Path) -> None:
    class Plain(Mute):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(1, 1)

        def training_step(self, batch: Any, batch_idx: int) -> Tensor:
            self.log("train/loss", self.weight.square())
            return self.weight.square()

    run(tmp_path, Curves(), epochs=1).fit(Plain(), batches())
    assert drawn(tmp_path) == {"curves_epoch001.png"}


@pytest.mark.slow
def test_two_processes_draw_one_picture(tmp_path: Path) -> None:
    words = ["--model=LitVAE", "--model.latent_dim=2", "--data=DigitsDataModule", "--data.batch_size=100"]
    words += [f"--trainer.default_root_dir={tmp_path}", "--trainer.max_epochs=2", "--trainer.log_every_n_steps=1"]
    said = fit_on_two(tmp_path, *words, "--trainer.callbacks=[Curves]")
    assert "left out" not in said
    run_folder = tmp_path / "LitVAE" / "version_0"
    assert [path.name for path in (run_folder / "pictures").iterdir()] == ["curves_epoch002.png"]
    saved = torch.load(run_folder / "checkpoints" / "last.ckpt", weights_only=True)["curves"]
    assert {"train/loss", "val/loss", "train/kl"} <= set(saved)
    assert [epoch for epoch, _ in saved["val/loss"]] == [1, 2]
