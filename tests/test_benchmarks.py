"""The benchmarks' own machinery: turns, ratios, repeated files; and one row of the table, end to end."""

import multiprocessing
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

from benchmarks import growth, start, table
from benchmarks.turns import Clock, Memory, Setting, take_turns
from datamodules import FashionMNISTDataModule


def test_a_clock_waits_for_its_turn_and_says_how_long_it_took() -> None:
    parent, child = multiprocessing.Pipe()
    clock = Clock(child)
    parent.send(None)
    clock.start()
    clock.stop()
    assert not parent.poll(), "what follows an epoch is still part of the turn"
    clock.give_away()
    assert parent.recv() > 0
    assert not parent.poll()
    if sys.platform == "linux":
        assert clock.resident > 1


def test_ratios_are_medians_of_neighbours_without_the_first_epoch(capsys: pytest.CaptureFixture[str]) -> None:
    # each epoch is twice as slow as the one before: ratios of medians alone would hide it
    slowing = [1.0, 2.0, 4.0, 8.0]
    seconds = [[9.0, *(3 * s for s in slowing)], [1.0, *slowing], [99.0, *(1.5 * s for s in slowing)]]
    table.print_row("VAE", 1000, seconds, [Memory(10.2, 0), Memory(20, 0), Memory(30, 0)])
    said = capsys.readouterr().out
    assert "| 9 (3 .. 24) | 3 (1 .. 8) | 4.5 (1.5 .. 12) | 2.00 | 1.50 | 10 / 20 / 30 |" in said


def test_grown_data_are_read_as_the_data_so_many_times(fake_data: Path, tmp_path: Path) -> None:
    def train_split(folder: Path) -> tuple[torch.Tensor, torch.Tensor]:
        data = FashionMNISTDataModule(str(folder), val_fraction=0)
        data.setup()
        return data.split("train")

    growth.repeat(fake_data, tmp_path / "grown", times=3)
    (images, labels), (grown, grown_labels) = train_split(fake_data), train_split(tmp_path / "grown")
    assert torch.equal(grown, images.repeat(3, 1, 1, 1))
    assert torch.equal(grown_labels, labels.repeat(3))


@pytest.mark.slow
def test_a_row_of_the_table(
    fake_data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--data_dir", str(fake_data), "--models", "RBM 16", "--epochs", "3"]
    monkeypatch.setattr(sys, "argv", ["table", *options])
    table.main()
    cells = capsys.readouterr().out.splitlines()[-1].split("|")
    assert cells[1].strip() == "RBM 16"
    assert all(float(cell) > 0 for cell in cells[5:7])


@pytest.mark.parametrize(
    ("benchmark", "words", "message"),
    [
        (table, ["--data_dir", "nowhere", "--models", "RBM 16"], "--data_dir must hold KMNIST/raw, .* 'nowhere': give"),
        (growth, ["--data_dir", "nowhere"], "--data_dir must hold FashionMNIST/raw, which is not in 'nowhere': give"),
        (start, ["--data_dir", "nowhere"], "--data_dir must hold FashionMNIST/raw, which is not in 'nowhere': give"),
        (start, ["--starts", "0"], "argument --starts: must be a whole number, at least 1, got 0"),
        (table, ["--epochs", "1"], "argument --epochs: must be a whole number, at least 2, got 1"),
        (growth, ["--epochs", "1"], "argument --epochs: must be a whole number, at least 2, got 1"),
        (table, ["--device", "cuda"], "argument --device: torch finds no GPU to use for 'cuda'; use 'cpu'"),
    ],
)
def test_settings_are_looked_at_first(
    benchmark: ModuleType,
    words: list[str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", ["benchmark", *words])
    with pytest.raises(SystemExit):
        benchmark.main()
    assert re.search(message, " ".join(capsys.readouterr().err.split()))


def _fails(setting: Setting, clock: Clock) -> None:
    raise ArithmeticError("on purpose")


def _goes(setting: Setting, clock: Clock) -> None:
    for _ in range(setting.epochs):
        clock.start()
        clock.stop()


@pytest.mark.slow
def test_a_way_that_fails_ends_the_benchmark() -> None:
    with pytest.raises(EOFError, match="a way of training failed"):
        take_turns([_goes, _fails], Setting("", "cpu", 2, 1))
    seconds, memory = take_turns([_goes], Setting("", "cpu", 2, 1))
    assert len(seconds[0]) == 2
    if sys.platform == "linux":
        assert memory[0].peak >= memory[0].resident > 1
