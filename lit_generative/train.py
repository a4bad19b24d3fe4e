"""Trains, validates, tests models and predicts with them: `train.py {fit,validate,test,predict} --config FILE`."""

import os

import torch
from lightning.pytorch.cli import ArgsType

from lit_generative.cli import GenerativeCLI, run


def main(args: ArgsType = None) -> GenerativeCLI:
    """Run one command.

    Args:
        args: words of the command line, as a list; None takes them from `sys.argv`.

    Returns:
        The command line object, with its `trainer`, `model` and `datamodule`.

    Example:
        >>> main(["fit", "--config=configs/quickstart.yaml"])  # doctest: +SKIP
    """
    return run(args)


def hide_absent_gpu() -> None:
    """Keep torch from looking for a GPU driver at every optimizer step, 0.2 ms each time, where there is no GPU.

    This sets an environment variable, so only the program does it, never `main` in somebody else's process.

    Example:
        >>> hide_absent_gpu()  # doctest: +SKIP
    """
    if torch.cuda.device_count() == 0:
        os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
