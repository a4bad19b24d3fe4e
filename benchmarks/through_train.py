"""A shipped config through train.py, timed from inside."""

import json
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import yaml  # type: ignore[import-untyped]
from lightning.pytorch import Trainer

import train
from benchmarks.timer import EpochTimer
from benchmarks.turns import Clock, Setting
from lit_models import LitDCGAN


def config(setting: Setting, clock: Clock, name: str, words: Sequence[str] = ()) -> None:
    """`train.py fit` with a file of configs/ and more words, its logging, checkpoints and callbacks on."""
    EpochTimer.clock = clock
    with tempfile.TemporaryDirectory() as runs:
        where = [f"--data.data_dir={setting.data_dir}", f"--trainer.default_root_dir={runs}"]
        where.append(f"--trainer.accelerator={'gpu' if setting.device == 'cuda' else 'cpu'}")
        where += [f"--trainer.max_epochs={setting.epochs}", f"--trainer.limit_train_batches={setting.steps}"]
        train.main(["fit", f"--config=configs/{name}.yaml", *where, *words, f"--trainer.callbacks={_callbacks(name)}"])


def _callbacks(name: str) -> str:
    """Those of the config, without t-SNE, which would run after the last epoch and off the clock; and the timer."""
    given = yaml.safe_load(Path(f"configs/{name}.yaml").read_text())["trainer"]["callbacks"]
    kept = [callback for callback in given if not callback["class_path"].endswith("TSNE")]
    return json.dumps([*kept, {"class_path": "benchmarks.timer.EpochTimer"}])


def probe(setting: Setting, clock: Clock) -> None:
    """The probe of an untrained discriminator, without the baseline beside it."""
    with _untrained_gan() as checkpoint:
        config(setting, clock, "probe_mnist", ["--model.encoder=random", f"--model.encoder_ckpt={checkpoint}"])


@contextmanager
def _untrained_gan() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(default_root_dir=folder, accelerator="cpu", logger=False, enable_checkpointing=False)
        trainer.strategy.connect(LitDCGAN((1, 28, 28)))
        trainer.save_checkpoint(Path(folder) / "gan.ckpt")
        yield Path(folder) / "gan.ckpt"
