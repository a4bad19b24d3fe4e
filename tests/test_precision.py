"""bfloat16 only where the hardware has it."""

from pathlib import Path

import pytest
import torch
from lightning.pytorch.accelerators import CPUAccelerator, CUDAAccelerator, MPSAccelerator

from lit_generative.precision import preferred_precision
from tests.test_train import fit


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [
        ({"avx2": True, "avx512_bf16": False, "amx_bf16": False}, "32-true"),
        ({"avx512_bf16": True}, "bf16-mixed"),
        ({"amx_bf16": True}, "bf16-mixed"),
        ({"bf16": True, "architecture": "aarch64"}, "bf16-mixed"),
    ],
)
def test_what_the_cpu_has(capabilities: dict, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    assert preferred_precision("cpu")[0] == expected
    assert preferred_precision(CPUAccelerator())[0] == expected


@pytest.mark.parametrize(
    ("mps", "cuda", "native", "expected"),
    [
        (True, False, True, ("32-true", "PyTorch knows of no native bfloat16 on this mps")),
        (False, True, True, ("bf16-mixed", "this cuda computes in bfloat16 natively")),
        (False, True, False, ("32-true", "PyTorch knows of no native bfloat16 on this cuda")),
    ],
)
def test_auto_is_what_the_trainer_takes(
    mps: bool, cuda: bool, native: bool, expected: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MPSAccelerator, "is_available", staticmethod(lambda: mps))
    monkeypatch.setattr(CUDAAccelerator, "is_available", staticmethod(lambda: cuda))
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: native)
    for accelerator in ("auto", "gpu"):
        assert preferred_precision(accelerator) == expected


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--prefer_bf16=true"], "32-true"),
        (["--prefer_bf16=true", "--trainer.precision=bf16-mixed"], "bf16-mixed"),
        ([], "32-true"),
    ],
)
def test_the_users_precision_stands(
    words: list[str], expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True})
    with caplog.at_level("INFO"):
        assert fit(tmp_path, "--trainer.fast_dev_run=1", *words).trainer.precision == expected
    said = "precision 32-true: PyTorch knows of no native bfloat16 on this cpu (--trainer.precision chooses another)"
    assert (said in caplog.text) == (words == ["--prefer_bf16=true"])
