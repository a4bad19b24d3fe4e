"""Precision of a run that prefers bfloat16."""

from typing import Literal

import torch
from lightning.pytorch.accelerators import Accelerator, CUDAAccelerator, MPSAccelerator

# names in torch.cpu.get_capabilities() of instructions that multiply in bfloat16: x86, then ARM
_CPU_BF16 = ("avx512_bf16", "amx_bf16", "bf16", "sve_bf16")


def preferred_precision(accelerator: str | Accelerator) -> tuple[Literal["bf16-mixed", "32-true"], str]:
    """bf16-mixed where the device computes in bfloat16 natively, and 32-true where PyTorch would emulate it.

    An emulated bfloat16 is slower than float32.

    Args:
        accelerator: `trainer.accelerator`; "auto" and "gpu" are resolved as the Trainer does.

    Returns:
        The precision for the Trainer, and the reason in words.

    Example:
        >>> preferred_precision("mps")
        ('32-true', 'PyTorch knows of no native bfloat16 on this mps')
    """
    device = _device(accelerator)
    if (device == "cpu" and _cpu_has_bf16()) or (device == "cuda" and _cuda_has_bf16()):
        return "bf16-mixed", f"this {device} computes in bfloat16 natively"
    return "32-true", f"PyTorch knows of no native bfloat16 on this {device}"


def _device(accelerator: str | Accelerator) -> str:
    if isinstance(accelerator, Accelerator):
        return accelerator.name()
    if accelerator not in ("auto", "gpu"):
        return accelerator
    if MPSAccelerator.is_available():
        return "mps"
    return "cuda" if CUDAAccelerator.is_available() else "cpu"


def _cpu_has_bf16() -> bool:
    capabilities: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()  # since torch 2.11
    return any(capabilities.get(name, False) for name in _CPU_BF16)


def _cuda_has_bf16() -> bool:
    return torch.cuda.is_bf16_supported(including_emulation=False)
