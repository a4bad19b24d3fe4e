"""Runs of many epochs: memory does not grow with them."""

import gc
from pathlib import Path

import pytest
from lightning.pytorch import Callback, LightningModule, Trainer
from matplotlib import pyplot

import train

EPOCHS = 80
MIB = 2**20


class MemoryAfterEpochs(Callback):
    """Resident memory of this process in bytes, and the number of Python's objects, after each epoch."""

    def __init__(self) -> None:
        self.resident: list[int] = []
        self.objects: list[int] = []

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look."""
        gc.collect()
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        self.resident.append(pages * 4096)
        self.objects.append(len(gc.get_objects()))


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads resident memory from /proc, as Linux has it")
def test_memory_is_flat_after_the_fifth_epoch(tmp_path: Path) -> None:
    """Every callback that fits the model, all checkpoints and both loggers on."""
    every = {
        "SampleGrid": 1,
        "ReconstructionGrid": 1,
        "ReconstructionMSE": 1,
        "LatentTSNE": 5,
    }  # the last takes a second
    words = [
        "--model=LitVAE",
        "--model.encoder.hidden_dims=[16]",
        "--model.decoder.hidden_dims=[16]",
        "--data=DigitsDataModule",
        "--data.train_fraction=0.2",
    ]
    for name, epochs in every.items():
        words += [f"--trainer.callbacks+={name}", f"--trainer.callbacks.every_n_epochs={epochs}"]
    words += ["--trainer.callbacks.max_points=50", "--trainer.callbacks+=tests.test_long_runs.MemoryAfterEpochs"]
    words += [f"--trainer.max_epochs={EPOCHS}", f"--trainer.default_root_dir={tmp_path}", "--trainer.accelerator=cpu"]
    cli = train.main(["fit", *words, "--trainer.enable_progress_bar=false", "--trainer.log_every_n_steps=1"])
    (memory,) = [c for c in cli.trainer.callbacks if isinstance(c, MemoryAfterEpochs)]
    assert len(memory.resident) == EPOCHS
    assert len(list(tmp_path.glob("*/*/pictures/samples_*.png"))) == EPOCHS
    assert not pyplot.get_fignums()
    # a figure is about 1 MiB, and two are drawn after each epoch: 400 left open could not be missed
    after_five, at_the_end = (memory.resident[epoch] / MIB for epoch in (4, -1))
    print(f"resident memory: {after_five:.0f} MiB after epoch 5, {at_the_end:.0f} MiB after epoch {EPOCHS}")
    assert at_the_end < after_five + 25, memory.resident
    assert memory.objects[-1] - memory.objects[10] < 2000, memory.objects
