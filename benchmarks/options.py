"""What the benchmarks' command lines share: settings that are looked at before anything is measured."""

from argparse import ArgumentDefaultsHelpFormatter, ArgumentParser, ArgumentTypeError, RawDescriptionHelpFormatter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch


class _Help(RawDescriptionHelpFormatter, ArgumentDefaultsHelpFormatter):
    """The description as it stands, and defaults."""


def make_parser(description: str | None) -> ArgumentParser:
    """A parser with `--data_dir`."""
    parser = ArgumentParser(description=description, formatter_class=_Help)
    parser.add_argument("--data_dir", default="data", help="folder of the data sets, in torchvision's layout")
    return parser


def add_device(parser: ArgumentParser) -> None:
    """Add `--device`, one that is there."""

    def device(word: str) -> str:
        if word == "cuda" and not torch.cuda.is_available():
            raise ArgumentTypeError("torch finds no GPU to use for 'cuda'; use 'cpu'")
        return word

    parser.add_argument("--device", type=device, default="cpu", choices=["cpu", "cuda"], help="where to train")


def add_count(parser: ArgumentParser, name: str, default: int | Sequence[int], least: int, meaning: str) -> None:
    """Add an option that is a whole number, at least so large; or several where the default is a list."""

    def count(word: str) -> int:
        if not word.isdecimal() or int(word) < least:
            raise ArgumentTypeError(f"must be a whole number, at least {least}, got {word}")
        return int(word)

    several: dict[str, Any] = {} if isinstance(default, int) else {"nargs": "+"}
    parser.add_argument(name, type=count, default=default, help=meaning, **several)


def add_epochs(parser: ArgumentParser) -> None:
    """Add `--epochs`."""
    add_count(parser, "--epochs", 8, 2, "epochs of each way, of which the first warms up")


def check_data(parser: ArgumentParser, data_dir: str, names: Iterable[str]) -> None:
    """End the program where a data set is not there."""
    for name in sorted(set(names)):
        if not Path(data_dir, name, "raw").is_dir():
            parser.error(
                f"--data_dir must hold {name}/raw, which is not in {data_dir!r}: give the folder that has it, or have "
                f"`train.py fit` with a config of {name} download it"
            )
