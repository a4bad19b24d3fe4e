"""The command line: train, report, export, and the console command `lit-generative` in front of them."""

from lit_models import __version__

__all__ = ["__version__"]
