"""Trains, validates, tests models and predicts with them: `train.py {fit,validate,test,predict} --config FILE`."""

from lightning.pytorch.cli import ArgsType

from cli import GenerativeCLI, run


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


if __name__ == "__main__":
    main()
