"""Options that several programs have."""

import argparse


def add_trusted(parser: argparse.ArgumentParser, words: str) -> None:
    """Add `--trusted MODULE ...`, which may be given several times.

    Example:
        >>> parser = argparse.ArgumentParser()
        >>> add_trusted(parser, "modules of your own that checkpoints may name")
        >>> parser.parse_args(["--trusted", "a", "b", "--trusted", "c"]).trusted
        ['a', 'b', 'c']
    """
    parser.add_argument("--trusted", action="extend", nargs="+", default=[], metavar="MODULE", help=words)
