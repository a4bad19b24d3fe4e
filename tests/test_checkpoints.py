"""Which checkpoints a run keeps, and by which figure."""

import csv
from pathlib import Path

import pytest
import torch
from lightning.pytorch import LightningDataModule
from torch.utils.data import DataLoader, TensorDataset

from lit_generative import train
from lit_models import LitVAE
from tests.test_train import VAE, arguments, fit


class JudgedByKL(LitVAE):
    """A model with a monitor of its own."""

    monitor = "val/kl"


def names(run: Path) -> set[str]:
    return {path.name for path in (run / "checkpoints").iterdir()}


def figures(run: Path, name: str) -> list[float]:
    with (run / "metrics.csv").open() as file:
        return [float(row[name]) for row in csv.DictReader(file) if row[name]]


def epoch_of(run: Path, name: str) -> int:
    return torch.load(run / "checkpoints" / name, weights_only=True)["epoch"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [([], "val/kl"), (["--checkpoint.monitor=val/loss"], "val/loss"), (["--checkpoint.monitor=val/kl"], "val/kl")],
)
def test_the_named_figure_judges_and_else_the_models(words: list[str], expected: str, tmp_path: Path) -> None:
    model = ["--model=tests.test_checkpoints.JudgedByKL", *VAE[1:]]
    cli = train.main(["fit", *arguments(tmp_path, "--trainer.max_epochs=1", *words, model=model)])
    assert cli.trainer.checkpoint_callback.monitor == expected


@pytest.mark.slow
@pytest.mark.parametrize(("k", "mode"), [(0, "min"), (1, "max"), (2, "min"), (2, "max"), (-1, "min")])
def test_the_k_best_and_the_best_of_them(k: int, mode: str, tmp_path: Path) -> None:
    words = ["--checkpoint.monitor=val/kl", f"--checkpoint.save_top_k={k}", f"--checkpoint.mode={mode}"]
    fit(tmp_path, "--trainer.max_epochs=4", *words)
    run = tmp_path / "LitVAE" / "version_0"
    kl = figures(run, "val/kl")
    order = sorted(range(4), key=lambda epoch: kl[epoch], reverse=mode == "max")
    kept = {0: [], 1: [], 2: order[:2], -1: order}[k]
    others = {name.partition("-")[0] for name in names(run) - {"best.ckpt", "last.ckpt"}}
    assert others == {f"epoch={epoch}" for epoch in kept}
    assert names(run) >= {"last.ckpt"} | ({"best.ckpt"} if k else set())
    assert k or "best.ckpt" not in names(run)
    assert epoch_of(run, "last.ckpt") == 3
    if k:
        assert epoch_of(run, "best.ckpt") == order[0]


def test_files_may_be_named(tmp_path: Path) -> None:
    words = ["--checkpoint.filename={epoch}-{step}", "--checkpoint.save_top_k=-1"]
    cli = fit(tmp_path, "--trainer.max_epochs=2", *words)
    steps = cli.trainer.global_step // 2
    expected = {"best.ckpt", "last.ckpt", f"epoch=0-step={steps}.ckpt", f"epoch=1-step={2 * steps}.ckpt"}
    assert names(tmp_path / "LitVAE" / "version_0") == expected


def test_a_resumed_run_keeps_the_scores_of_the_run_before(tmp_path: Path) -> None:
    """Two checkpoints that watch the same figure have a state each."""
    words = ["--experiment=a", "--checkpoint.save_top_k=2"]
    first = fit(tmp_path, "--trainer.max_epochs=2", *words).trainer.checkpoint_callbacks
    assert len({callback.state_key for callback in first}) == 3
    worse = ["--model.beta=1000", "--trainer.max_epochs=3"]
    second = fit(tmp_path, "--ckpt_path=last", *worse, *words).trainer.checkpoint_callbacks
    for before, after in zip(first[:2], second[:2], strict=True):
        assert after.best_model_path == before.best_model_path
        assert after.best_k_models == before.best_k_models
    assert {"best.ckpt", "last.ckpt"} < names(tmp_path / "a" / "version_0")
    assert len(names(tmp_path / "a" / "version_0")) == 4
    assert names(tmp_path / "a" / "version_1") == {"last.ckpt"}


class Noise(LightningDataModule):
    """A user's own data module, without the attributes of ours."""

    def train_dataloader(self) -> DataLoader:
        """32 images."""
        return DataLoader(TensorDataset(torch.rand(32, 1, 28, 28), torch.arange(32) % 10), batch_size=8)

    val_dataloader = test_dataloader = predict_dataloader = train_dataloader


@pytest.mark.filterwarnings("ignore:The '(train|val|predict)_dataloader' does not have many workers")
def test_a_data_module_of_the_users_own(tmp_path: Path) -> None:
    words = [*VAE, "--model.image_shape=[1,28,28]", "--data=tests.test_checkpoints.Noise", "--experiment=own"]
    words += [f"--trainer.default_root_dir={tmp_path}", "--trainer.accelerator=cpu", "--trainer.max_epochs=1"]
    train.main(["fit", *words, "--trainer.log_every_n_steps=1"])
    assert names(tmp_path / "own" / "version_0") == {"best.ckpt", "last.ckpt"}
    train.main(["predict", *words, "--ckpt_path=best"])
    assert (tmp_path / "own/version_1/codes.npz").is_file()
