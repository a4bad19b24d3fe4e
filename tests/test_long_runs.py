"""Runs of many epochs: memory does not grow with them."""

import gc
import json
from pathlib import Path

import pytest
from lightning.pytorch import Callback, LightningModule, Trainer
from matplotlib import pyplot

from tests.processes import Run

EPOCHS = 18
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

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write both, and how many figures pyplot holds, into the run's folder."""
        figures = {"resident": self.resident, "objects": self.objects, "open": len(pyplot.get_fignums())}
        Path(trainer.default_root_dir, "memory.json").write_text(json.dumps(figures))


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads resident memory from /proc, as Linux has it")
def test_memory_is_flat_after_the_tenth_epoch(tmp_path: Path) -> None:
    """Every callback that fits the model, all checkpoints and both loggers on; in a process of its own.

    What other tests have freed in this process would be given back, or taken again, at any time.
    """
    every = {
        "SampleGrid": 1,
        "ReconstructionGrid": 1,
        "ReconstructionMSE": 1,
        "LatentTSNE": 8,
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
    words += ["--trainer.enable_progress_bar=false", "--trainer.log_every_n_steps=1"]
    Run(tmp_path / "log", words).finish()
    (found,) = tmp_path.glob("*/*/memory.json")
    memory = json.loads(found.read_text())
    assert len(memory["resident"]) == EPOCHS
    assert len(list(tmp_path.glob("*/*/pictures/samples_*.png"))) == EPOCHS
    assert memory["open"] == 0
    # a figure is about 1 MiB, and two are drawn after each epoch: 16 left open could not be missed
    after_ten, at_the_end = (memory["resident"][epoch] / MIB for epoch in (9, -1))
    print(f"resident memory: {after_ten:.0f} MiB after epoch 10, {at_the_end:.0f} MiB after epoch {EPOCHS}")
    assert at_the_end < after_ten + 12, memory["resident"]
    assert memory["objects"][-1] - memory["objects"][10] < 2000, memory["objects"]
