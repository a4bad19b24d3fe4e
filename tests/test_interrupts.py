"""Runs that are stopped from outside: by Ctrl-C, by SIGTERM, and by SIGKILL, which no process can answer."""

import random
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
import torch

from tests.processes import Run, start_two

EPOCHS = 6


def start(root: Path, name: str, *words: str) -> Run:
    return Run(root / f"{name}.log", [*words_of(root, name), *words])


def words_of(root: Path, name: str) -> list[str]:
    """A VAE on the digits, 18 batches an epoch, with a checkpoint after every batch."""
    return [
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
        f"--experiment={name}",
    ]


def checkpoints(root: Path, name: str) -> Path:
    return root / name / "version_0" / "checkpoints"


def load(path: Path) -> dict:
    return torch.load(path, weights_only=True)


def go_on(root: Path, name: str, checkpoint: Path, *words: str) -> None:
    """Resume; and not begin anew, which equal seeds would bring to the same end."""
    said = start(root, name, f"--ckpt_path={checkpoint}", *words).finish()
    assert f"Restored all states from the checkpoint at {checkpoint}" in said


def assert_equal_ends(root: Path, one: str, other: str) -> None:
    first, second = (load(checkpoints(root, name) / "last.ckpt") for name in (one, other))
    assert first["global_step"] == second["global_step"]
    for name, value in first["state_dict"].items():
        assert torch.equal(value, second["state_dict"][name]), name


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an uninterrupted run in it, by the name of `whole`."""
    root = tmp_path_factory.mktemp("runs")
    start(root, "whole").finish()
    return root


@pytest.mark.slow
@pytest.mark.parametrize(("sent", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_and_says_how_to_resume(sent: signal.Signals, status: int, root: Path) -> None:
    stopped = start(root, f"stopped_{status}")
    folder = checkpoints(root, f"stopped_{status}")
    stopped.wait_until((folder / "newest.ckpt").exists)
    time.sleep(random.Random(status).random() / 5)
    stopped.send(sent)
    said = stopped.finish(status)
    checkpoint = folder / "interrupted.ckpt"
    step = load(checkpoint)["global_step"]
    assert f"Interrupted at batch {step}. Go on with: --ckpt_path {checkpoint}" in said
    assert "weights_only" not in said
    go_on(root, f"resumed_{status}", checkpoint)
    assert 0 < step < load(checkpoints(root, "whole") / "last.ckpt")["global_step"]
    assert_equal_ends(root, "whole", f"resumed_{status}")


@pytest.mark.slow
def test_a_signal_in_the_middle_of_a_validation(root: Path) -> None:
    """The epoch is over by then; the run that goes on neither repeats nor skips a batch."""
    start(root, "validating", "--trainer.callbacks+=tests.ranks.StopInValidation").finish(143)
    checkpoint = checkpoints(root, "validating") / "interrupted.ckpt"
    assert load(checkpoint)["global_step"] == 2 * load(checkpoints(root, "whole") / "last.ckpt")["global_step"] / EPOCHS
    go_on(root, "validated", checkpoint)
    assert_equal_ends(root, "whole", "validated")


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
def test_a_signal_to_one_of_two_processes_stops_both_after_the_same_batch(rank: int, root: Path) -> None:
    """So many epochs that no machine is at their end before the signal comes."""
    name = f"two_{rank}"
    runs = start_two(root, *words_of(root, name), "--trainer.max_epochs=1000")
    newest = checkpoints(root, name) / "newest.ckpt"
    runs[0].wait_until(newest.exists)
    time.sleep(0.3)
    runs[rank].send(signal.SIGTERM)
    said = "".join([run.finish(143) for run in runs])
    checkpoint = checkpoints(root, name) / "interrupted.ckpt"
    step, epochs = load(checkpoint)["global_step"], load(checkpoint)["epoch"] + 2
    assert said.count(f"Interrupted at batch {step}.") == 1
    more = f"--trainer.max_epochs={epochs}"
    again = start_two(root, *words_of(root, f"again_{rank}"), more, f"--ckpt_path={checkpoint}")
    assert "Restored all states" in "".join([run.finish() for run in again])
    assert load(checkpoints(root, f"again_{rank}") / "last.ckpt")["global_step"] > step


@pytest.mark.slow
def test_a_disk_that_fills_up(root: Path, tmp_path: Path) -> None:
    """The run ends with a message; the newest whole checkpoint goes on, where there is room, to the same end."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", disk], check=False).returncode:
        pytest.skip("only the superuser may mount a small tmpfs")
    try:
        named = "--trainer.callbacks.filename={step}"
        said = start(disk, "small", named, "--trainer.callbacks.save_top_k=-1").finish(1)
        assert re.search(r"\.ckpt could not be written \(.*\); .* Make room, or pass another folder", said)
        whole = [path for path in checkpoints(disk, "small").iterdir() if load(path)["global_step"]]
        newest = max(whole, key=lambda path: path.stat().st_mtime_ns)
        go_on(root, "roomier", newest, named)
    finally:
        subprocess.run(["umount", disk], check=True)
    assert_equal_ends(root, "whole", "roomier")


@pytest.mark.long
@pytest.mark.slow
def test_ten_kills_lose_nothing(root: Path) -> None:
    """SIGKILL at random moments, every other time while a checkpoint is half written; each time the newest goes on."""
    moments = random.Random(0)
    words: list[str] = []
    step = halves = 0
    for number in range(10):
        run = start(root, f"killed_{number}", *words)
        newest = checkpoints(root, f"killed_{number}") / "newest.ckpt"
        half = newest.with_name(".newest.ckpt.tmp")
        run.wait_until(newest.exists)
        time.sleep(moments.random() / 10)
        if number % 2:
            run.wait_until(half.exists)
        run.send(signal.SIGKILL)
        run.finish(-signal.SIGKILL)
        halves += half.exists()
        assert load(newest)["global_step"] > step
        step = load(newest)["global_step"]
        words = [f"--ckpt_path={newest}"]
        assert number == 0 or "Restored all states from the checkpoint" in run.said
    assert halves > 0, "no kill came while a checkpoint was being written"
    go_on(root, "survivor", newest)
    assert_equal_ends(root, "whole", "survivor")
