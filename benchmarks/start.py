"""From the command to the first training step: what the seconds go to, in fresh processes.

Run: uv run python -m benchmarks.start --data_dir data
"""

import os
import subprocess
import sys
import tempfile
import time
from statistics import median

from lightning.pytorch import Callback, LightningModule, Trainer

from benchmarks.options import add_count, check_data, make_parser

# the same clock for parent and child, so that the interpreter's own start counts
_CHILD = """
import sys, time
marks = [("Python starts", time.monotonic())]
import torch
marks.append(("import torch", time.monotonic()))
import torch._dynamo
marks.append(("import torch._dynamo, as the first optimizer does", time.monotonic()))
import lightning.pytorch
marks.append(("import lightning, torchmetrics, torchvision, SciPy, matplotlib", time.monotonic()))
from lit_generative import train
marks.append(("import tensorboard, jsonargparse, ours", time.monotonic()))
from benchmarks.start import Marks
Marks.marks = marks
train.main(sys.argv[1:])
print("\\n".join(f"{name}\\t{moment}" for name, moment in marks))
"""


class Marks(Callback):
    """Notes when the stages on the way to the first step were done."""

    marks: list[tuple[str, float]]  # set on the class, since the command line makes the callback

    def _mark(self, name: str) -> None:
        self.marks.append((name, time.monotonic()))

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """The data module has read its files."""
        self._mark("command line, model, data files")

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Optimizers, loggers and the run's folder are there."""
        self._mark("the Trainer's own set-up, logs")

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: object) -> None:
        """One step was made."""
        self._mark("first step")


def stages(words: list[str]) -> dict[str, float]:
    """Seconds of each stage of one start."""
    # As Python does unless told otherwise: compiled modules are kept. Without, every start compiles all of torch.
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    before = time.monotonic()
    child = subprocess.run(
        [sys.executable, "-c", _CHILD, *words], env=kept, check=True, stdout=subprocess.PIPE, text=True
    )
    found = {}
    for name, moment in (line.split("\t") for line in child.stdout.splitlines() if "\t" in line):
        found[name], before = float(moment) - before, float(moment)
    return found


def main() -> None:
    """Start a few times and print the median of each stage."""
    parser = make_parser(__doc__)
    add_count(parser, "--starts", 5, 1, "how many, after one that fills the caches")
    options = parser.parse_args()
    check_data(parser, options.data_dir, ["FashionMNIST"])
    with tempfile.TemporaryDirectory() as runs:
        words = ["fit", "--config=configs/vae_fashion_mnist.yaml", f"--data.data_dir={options.data_dir}"]
        words += [f"--trainer.default_root_dir={runs}", "--trainer.callbacks=benchmarks.start.Marks"]
        words += ["--trainer.max_steps=1", "--trainer.limit_val_batches=0", "--trainer.enable_progress_bar=false"]
        words += ["--trainer.enable_checkpointing=false"]
        measured = [stages(words) for _ in range(options.starts + 1)][1:]
    print("| stage | seconds |\n|---|---|")
    for name in measured[0]:
        print(f"| {name} | {median(start[name] for start in measured):.2f} |")
    totals = [sum(start.values()) for start in measured]
    print(f"| all | {median(totals):.2f} ({min(totals):.2f} .. {max(totals):.2f}) |")


if __name__ == "__main__":
    main()
