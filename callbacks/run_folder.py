"""Where a run's files go."""

from pathlib import Path

from lightning.pytorch import Trainer


def run_folder(trainer: Trainer) -> Path:
    """Folder of a run, for its pictures, checkpoints and codes; the same on every process.

    It is `trainer.log_dir` where that lies inside `trainer.default_root_dir`, as with Lightning's own TensorBoard and
    CSV loggers, and `trainer.default_root_dir` otherwise: loggers of services have a folder of their own, or none.

    Args:
        trainer: any Trainer. With several processes this is a collective: call it on all of them, best in `setup`.

    Example:
        >>> run_folder(Trainer(default_root_dir="mine", logger=False, accelerator="cpu")).name
        'mine'
    """
    root = Path(trainer.default_root_dir)
    logs = trainer.log_dir  # itself a collective
    folder = Path(logs) if logs is not None and Path(logs).absolute().is_relative_to(root.absolute()) else root
    return Path(trainer.strategy.broadcast(folder))
