"""A shipped config through train.py, timed from inside."""

import tempfile

import train
from benchmarks.timer import EpochTimer, StepTimer


def timed_fit(config: str, data_dir: str, timer: type[EpochTimer | StepTimer], *words: str) -> list[float]:
    """Seconds that `timer` took down while `train.py fit` ran a config with its logging, checkpoints and callbacks on.

    Args:
        config: name of a file in configs/, without its ending.
        data_dir: folder of the data sets.
        timer: what to time.
        words: more of the command line.
    """
    with tempfile.TemporaryDirectory() as runs:
        where = [f"--data.data_dir={data_dir}", f"--trainer.default_root_dir={runs}"]
        where.append("--trainer.accelerator=cpu")  # where the loops beside it run
        callback = f"--trainer.callbacks+=benchmarks.timer.{timer.__name__}"
        cli = train.main(["fit", f"--config=configs/{config}.yaml", *where, *words, callback])
    timers = [c for c in vars(cli.trainer)["callbacks"] if isinstance(c, timer)]
    return timers[0].seconds
