"""Runs that are stopped from outside: by Ctrl-C and SIGTERM. Each is a process of its own."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parent.parent
EPOCHS = 40


def start(root: Path, name: str, *words: str) -> subprocess.Popen:
    usual = [
        "--model=LitVAE",
        "--data=DigitsDataModule",
        f"--trainer.max_epochs={EPOCHS}",
        "--trainer.callbacks=[{class_path: RunCheckpoint, init_args: {every_n_train_steps: 1, filename: newest, "
        "enable_version_counter: false}}]",
        f"--trainer.default_root_dir={root}",
        "--trainer.enable_progress_bar=false",
        "--trainer.accelerator=cpu",
        "--trainer.log_every_n_steps=1",
        "--data.batch_size=64",
    ]
    command = [sys.executable, "train.py", "fit", *usual, f"--experiment={name}", *words]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def wait_for(path: Path, process: subprocess.Popen) -> None:
    while not path.exists():
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.02)


def finish(process: subprocess.Popen, status: int = 0) -> str:
    said = process.communicate(timeout=240)[0]
    assert process.returncode == status, said
    return said


def load(path: Path) -> dict:
    return torch.load(path, weights_only=True)


@pytest.mark.slow
@pytest.mark.parametrize(("sent", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_and_says_how_to_resume(sent: signal.Signals, status: int, tmp_path: Path) -> None:
    finish(start(tmp_path, "whole"))
    stopped = start(tmp_path, "stopped")
    folder = tmp_path / "stopped" / "version_0" / "checkpoints"
    wait_for(folder / "newest.ckpt", stopped)
    time.sleep(random.Random(status).random())
    stopped.send_signal(sent)
    said = finish(stopped, status)
    checkpoint = folder / "interrupted.ckpt"
    step = load(checkpoint)["global_step"]
    assert f"Interrupted at batch {step}. Go on with: --ckpt_path {checkpoint}" in said
    finish(start(tmp_path, "resumed", f"--ckpt_path={checkpoint}"))
    whole, resumed = (load(tmp_path / name / "version_0/checkpoints/last.ckpt") for name in ("whole", "resumed"))
    assert 0 < step < whole["global_step"] == resumed["global_step"]
    for name, value in whole["state_dict"].items():
        assert torch.equal(value, resumed["state_dict"][name]), name
