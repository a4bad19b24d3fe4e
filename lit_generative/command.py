"""The console command `lit-generative`: train.py's commands, and report, export, demo and configs beside them."""

import signal
import sys
from collections.abc import Sequence
from importlib import import_module

from lit_generative.configs import CONFIGS, config_names, summary
from lit_models import __version__

_PROGRAMS = ("report", "export", "demo")
_USAGE = """usage: lit-generative COMMAND ...

  fit, validate, test, predict   train a model, look at it: lit-generative fit --config quickstart
  report                         what checkpoints are worth, side by side
  export                         take a model away
  demo                           touch a model in the browser
  configs                        the experiments that come with it; configs NAME prints one
  --version                      of lit-generative

Options of one: lit-generative COMMAND --help
"""


def main(args: Sequence[str] | None = None) -> None:
    """Run one command.

    Args:
        args: words of the command line; None takes them from `sys.argv`.

    Raises:
        SystemExit: bad words, with the reason.

    Example:
        >>> main(["configs", "quickstart"])  # doctest: +ELLIPSIS
        # A conditional VAE on scikit-learn's digits...
    """
    words = list(sys.argv[1:] if args is None else args)
    command = words[0] if words else "--help"
    if command in ("-h", "--help"):
        print(_USAGE)
    elif command == "--version":
        print(__version__)
    elif command == "configs":
        _print_configs(words[1:])
    elif command in _PROGRAMS:
        if args is None:
            signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: nothing half-written is left
        import_module(f"lit_generative.{command}").main(words[1:])
    else:
        from lit_generative.train import hide_absent_gpu
        from lit_generative.train import main as train

        if args is None:
            hide_absent_gpu()
        train(words)


def _print_configs(names: Sequence[str]) -> None:
    known = config_names()
    if set(names) & {"-h", "--help"}:
        names = ()
    if unknown := [name for name in names if name not in known]:
        raise SystemExit(f"there is no config {unknown[0]}: lit-generative configs lists them")
    if names:
        print("\n".join((CONFIGS / f"{name}.yaml").read_text(encoding="utf-8") for name in names))
        return
    width = max(map(len, known))
    print("\n".join(f"{name:{width}}  {summary(name)}" for name in known))
