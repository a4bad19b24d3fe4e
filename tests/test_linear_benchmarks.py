"""The benchmarks of linear models: gradient descent without walking it, their tables and pictures."""

import re
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from benchmarks import linear_regression, newton, softmax_gradients
from lit_models import LitClassifier
from tests.test_denoising_benchmark import checkpoint_of


def run(benchmark: ModuleType, monkeypatch: pytest.MonkeyPatch, *words: str) -> None:
    monkeypatch.setattr(sys, "argv", ["benchmark", *words])
    benchmark.main()


def test_descent_is_what_walking_gives() -> None:
    h, y = torch.randn(30, 4).double(), torch.randn(30).double()
    h[:, 1] = h[:, 0]  # a direction without curvature
    theta, rate = torch.zeros(4).double(), 1 / torch.linalg.eigvalsh(h.T @ h / 30)[-1]
    walked = [theta]
    for _ in range(50):
        theta = theta - rate * h.T @ (h @ theta - y) / 30
        walked.append(theta)
    found = linear_regression.descend(h, y, [0, 1, 7, 50])
    torch.testing.assert_close(found.thetas, torch.stack([walked[step] for step in (0, 1, 7, 50)]))
    assert found.condition > 1e12


def test_folds_hold_each_row_out_once() -> None:
    x, y = torch.randn(43, 2).double(), torch.full((43,), 2.0).double()
    closed, descents = linear_regression.in_folds(x, y, [0, 1000], linear_regression.standardized, seed=0)
    torch.testing.assert_close(closed, torch.zeros(10).double())  # a bias alone is enough
    torch.testing.assert_close(descents[:, 0], torch.full((10,), 4.0).double())
    torch.testing.assert_close(descents[:, 1], torch.zeros(10).double())


def test_a_table_of_ones_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = np.random.default_rng(0).normal(100, 30, (60, 3))
    table = np.c_[rows, rows @ [1, 2, 3]]
    np.savetxt(tmp_path / "table.csv", table, delimiter=",", header="a,b,c,strength", comments="")
    words = ["--path", f"{tmp_path}/table.csv", "--target", "strength", "--steps", "100"]
    run(linear_regression, monkeypatch, *words, "--figure", f"{tmp_path}/picture.png")
    said = capsys.readouterr().out
    found = re.findall(
        r"^\| (raw|standardized) \| ([\d.e+]+) \| closed form \| (.+) \| .* \+- .* \|$", said, re.MULTILINE
    )
    assert [row[0] for row in found] == ["raw", "standardized"]
    assert float(found[0][1]) > 100 * float(found[1][1])
    assert {row[2] for row in found} == {"0.00"}
    assert (tmp_path / "picture.png").is_file()


def test_newton_prints_the_courseworks_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(newton, monkeypatch, "--steps", "2", "--figure", f"{tmp_path}/picture.png")
    said = capsys.readouterr().out
    assert "| exact Hessian | 0 | 0.6931 | 0.3844 | 0.6931 | 0.3450 |" in said
    assert "| diagonal Hessian | 1 | 0.2748 | 0.9246 | 0.2533 | 0.9532 |" in said
    assert "| exact, whole steps, l2 0.01 | 8 | 0.0774 | 0.9824 | 0.0700 | 0.9825 |" in said
    assert (tmp_path / "picture.png").is_file()


def test_both_gradients_make_one_curve(
    fake_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = checkpoint_of(LitClassifier((1, 28, 28)).eval(), tmp_path)
    words = ["--data_dir", str(fake_data), "--ckpt_path", checkpoint, "--epochs", "2"]
    run(softmax_gradients, monkeypatch, *words, "--figure", f"{tmp_path}/picture.png")
    said = capsys.readouterr().out
    rows = {label: re.findall(rf"^\| {label} \| (.+)$", said, re.MULTILINE) for label in ("by hand", "autograd")}
    assert len(rows["by hand"]) == 2
    assert rows["by hand"] == rows["autograd"]
    (apart,) = re.findall(r"beside the largest weight: (.+)$", said, re.MULTILINE)
    assert float(apart) < 1e-5
    assert (tmp_path / "picture.png").is_file()


@pytest.mark.parametrize(
    ("benchmark", "words", "message"),
    [
        (newton, ["--steps", "0"], "argument --steps: must be a whole number, at least 1, got 0"),
        (linear_regression, ["--steps", "x"], "argument --steps: must be a whole number, at least 1, got x"),
        (softmax_gradients, ["--ckpt_path", "a", "--data_dir", "no"], "--data_dir must hold MNIST/raw, .* 'no': give"),
        (softmax_gradients, [], "--ckpt_path"),
    ],
)
def test_settings_are_looked_at_first(
    benchmark: ModuleType,
    words: list[str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        run(benchmark, monkeypatch, *words)
    assert re.search(message, " ".join(capsys.readouterr().err.split()))
