"""A shipped config through train.py, timed from inside."""

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml  # type: ignore[import-untyped]
from lightning.pytorch import Trainer

import train
from benchmarks.timer import EpochTimer
from lit_models import LitDCGAN


def epochs_of(config: str, data_dir: str, device: str, epochs: int, steps: int, *words: str) -> list[float]:
    """Seconds of each epoch of `train.py fit`, with the config's logging, checkpoints and callbacks on.

    Args:
        config: name of a file in configs/, without its ending.
        data_dir: folder of the data sets.
        device: "cpu" or "cuda".
        epochs: how many.
        steps: at most so many batches an epoch.
        words: more of the command line.
    """
    with tempfile.TemporaryDirectory() as runs:
        where = [f"--data.data_dir={data_dir}", f"--trainer.default_root_dir={runs}"]
        where.append(f"--trainer.accelerator={'gpu' if device == 'cuda' else 'cpu'}")
        where += [f"--trainer.max_epochs={epochs}", f"--trainer.limit_train_batches={steps}"]
        words += (f"--trainer.callbacks={_callbacks(config)}",)
        cli = train.main(["fit", f"--config=configs/{config}.yaml", *where, *words])
    (timer,) = [c for c in vars(cli.trainer)["callbacks"] if isinstance(c, EpochTimer)]
    return timer.seconds


def _callbacks(config: str) -> str:
    """Those of the config, without t-SNE, which would run after the last epoch and off the clock; and the timer."""
    given = yaml.safe_load(Path(f"configs/{config}.yaml").read_text())["trainer"]["callbacks"]
    kept = [callback for callback in given if not callback["class_path"].endswith("TSNE")]
    return json.dumps([*kept, {"class_path": "benchmarks.timer.EpochTimer"}])


def probe(data_dir: str, device: str, epochs: int, steps: int) -> list[float]:
    """The probe of an untrained discriminator, without the baseline beside it."""
    with _untrained_gan() as checkpoint:
        return epochs_of(
            "probe_mnist",
            data_dir,
            device,
            epochs,
            steps,
            "--model.encoder=random",
            f"--model.encoder_ckpt={checkpoint}",
        )


@contextmanager
def _untrained_gan() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(default_root_dir=folder, accelerator="cpu", logger=False, enable_checkpointing=False)
        trainer.strategy.connect(LitDCGAN((1, 28, 28)))
        trainer.save_checkpoint(Path(folder) / "gan.ckpt")
        yield Path(folder) / "gan.ckpt"
