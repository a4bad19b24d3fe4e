"""The denoising benchmark: its linear denoiser, its table, what it refuses."""

import re
import sys
from pathlib import Path

import pytest
import torch
from lightning.pytorch import Trainer

from benchmarks import denoising
from lit_models import LitAutoencoder, LitVAE
from lit_models.base import BaseModule


def correlated(n: int) -> torch.Tensor:
    mixing = torch.tensor([[1.0, 0, 0], [0.8, 0.3, 0], [0, 0, 0.1]]).double()
    return 0.5 + torch.randn(n, 3, dtype=torch.float64) @ mixing.T


def test_no_linear_denoiser_is_better() -> None:
    """Least squares from noisy to clean images, of many draws, comes to the closed form, and to its error."""
    clean = correlated(100_000)
    noisy = clean + 0.5 * torch.randn_like(clean)
    found = denoising.wiener(clean, noisy, 0.5)
    inputs = torch.cat([noisy, torch.ones(len(noisy), 1).double()], 1)
    fitted = inputs @ torch.linalg.lstsq(inputs, clean).solution
    torch.testing.assert_close(found, fitted, atol=0.03, rtol=0)
    assert denoising.mse(found, clean) < denoising.mse(0.9 * noisy + 0.1 * clean.mean(0), clean)


def test_no_noise_changes_nothing_and_much_noise_leaves_the_mean() -> None:
    clean = correlated(1000)
    torch.testing.assert_close(denoising.wiener(clean, clean, 1e-6), clean)
    torch.testing.assert_close(denoising.wiener(clean, clean, 1e6), clean.mean(0).expand_as(clean), atol=1e-6, rtol=0)


def checkpoint_of(model: BaseModule, folder: Path) -> str:
    trainer = Trainer(default_root_dir=folder, logger=False, accelerator="cpu", enable_checkpointing=False)
    trainer.strategy.connect(model)
    trainer.save_checkpoint(folder / "model.ckpt")
    return str(folder / "model.ckpt")


def run(monkeypatch: pytest.MonkeyPatch, *words: str) -> None:
    monkeypatch.setattr(sys, "argv", ["denoising", *words])
    denoising.main()


def test_a_table_of_three_rows(
    fake_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = checkpoint_of(LitAutoencoder((1, 28, 28), 8, noise_std=0.3, sparsity=0.1), tmp_path)
    run(monkeypatch, "--data_dir", str(fake_data), "--ckpt_path", checkpoint)
    said = capsys.readouterr().out
    figures = {
        name: [float(cell) for cell in cells] for name, *cells in re.findall(r"\| (\w+) \| (.+) \| (.+) \|", said)
    }
    assert set(figures) == {"noisy", "Wiener", "model"}
    assert figures["noisy"][0] == pytest.approx(0.09, rel=0.05)
    assert figures["Wiener"][0] < figures["noisy"][0]
    assert figures["model"][0] == figures["model"][1]  # cut already
    assert said.count("that are not zero: ") == 2


@pytest.mark.parametrize("model", [LitVAE((1, 28, 28)), LitAutoencoder((1, 28, 28))])
def test_a_model_that_does_not_denoise(
    model: BaseModule,
    fake_data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        run(monkeypatch, "--data_dir", str(fake_data), "--ckpt_path", checkpoint_of(model, tmp_path))
    message = "--ckpt_path must hold a LitAutoencoder with noise_std above 0, got a Lit"
    assert message in " ".join(capsys.readouterr().err.split())
