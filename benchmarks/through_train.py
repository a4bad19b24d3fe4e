"""A shipped config through train.py, timed from inside."""

import json
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import yaml  # type: ignore[import-untyped]
from lightning.pytorch import LightningModule, Trainer

from benchmarks.bare import untrained_vae
from benchmarks.timer import EpochTimer, TestEndStart, TestEndStop
from benchmarks.turns import Clock, Setting
from lit_generative import train
from lit_models import LitGAN


def config(setting: Setting, clock: Clock, name: str, words: Sequence[str] = (), folder: str = "data.data_dir") -> None:
    """`train.py fit` with a file of configs/ and more words, its logging, checkpoints and callbacks on."""
    EpochTimer.clock = clock
    train.hide_absent_gpu()  # as the program does; a process is this way's alone
    with tempfile.TemporaryDirectory() as runs:
        length = [f"--trainer.max_epochs={setting.epochs}", f"--trainer.limit_train_batches={setting.steps}"]
        command = ["fit", f"--config=configs/{name}.yaml", *_where(setting, runs, folder), *length, *words]
        train.main([*command, f"--trainer.callbacks={_callbacks(name)}"])


def _where(setting: Setting, runs: str, folder: str = "data.data_dir") -> list[str]:
    accelerator = "gpu" if setting.device == "cuda" else "cpu"
    data = [f"--{folder}={setting.data_dir}", f"--trainer.default_root_dir={runs}"]
    return [*data, f"--trainer.accelerator={accelerator}", "--trainer.devices=1"]


def _callbacks(name: str) -> str:
    """Those of the config, without t-SNE, which would run after the last epoch and off the clock; and the timer."""
    given = yaml.safe_load(Path(f"configs/{name}.yaml").read_text())["trainer"]["callbacks"]
    kept = [callback for callback in given if not callback["class_path"].endswith("TSNE")]
    return json.dumps([*kept, {"class_path": "benchmarks.timer.EpochTimer"}])


def probe(setting: Setting, clock: Clock) -> None:
    """The probe of an untrained discriminator, without the baseline beside it."""
    with _untrained(LitGAN((1, 28, 28))) as checkpoint:
        words = [f"--data.encoder.checkpoint={checkpoint}", "--data.baseline=false"]
        config(setting, clock, "probe_mnist", words, folder="data.data.data_dir")


def tsne(setting: Setting, clock: Clock) -> None:
    """All that LatentTSNE does at the end of a test: codes, t-SNE, a picture, TensorBoard's projector."""
    TestEndStart.clock = TestEndStop.clock = clock
    classes = "benchmarks.timer.TestEndStart", "callbacks.LatentTSNE", "benchmarks.timer.TestEndStop"
    callbacks = json.dumps([{"class_path": path} for path in classes])
    command = ["test", "--config=configs/vae_fashion_mnist.yaml", f"--trainer.callbacks={callbacks}"]
    for _ in range(setting.epochs):
        with _untrained(untrained_vae()) as checkpoint, tempfile.TemporaryDirectory() as runs:
            train.main([*command, f"--ckpt_path={checkpoint}", *_where(setting, runs)])


@contextmanager
def _untrained(model: LightningModule) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(default_root_dir=folder, accelerator="cpu", logger=False, enable_checkpointing=False)
        trainer.strategy.connect(model)
        trainer.save_checkpoint(Path(folder) / "untrained.ckpt")
        yield Path(folder) / "untrained.ckpt"
