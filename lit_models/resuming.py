"""What a run that resumes needs of its checkpoint: loop state that is whole, and optimizers of the same kind."""

from collections.abc import Sequence
from typing import Any

from lightning.pytorch.utilities import rank_zero_warn


def close_epoch(checkpoint: dict[str, Any]) -> int:
    """Mark the epoch as over in a checkpoint that was written by an epoch's last batch; in place.

    Lightning itself leaves it open: the resumed run would count its next epoch as the same one, and a run resumed from
    that run's checkpoints would repeat batches. What is written here is what a checkpoint of the epoch's end says. The
    names are private, so where they are gone the checkpoint is left as it is, and a warning says so.

    Args:
        checkpoint: what `Trainer.save_checkpoint` wrote; one without loops is left alone.

    Returns:
        Batches of an epoch that `max_steps` or `max_time` cut short, of which Lightning leaves the others out; else 0.

    Source: https://github.com/Lightning-AI/pytorch-lightning/issues/18060.

    Example:
        >>> close_epoch({"state_dict": {}})  # weights alone have no loops
        0
    """
    loop = checkpoint.get("loops", {}).get("fit_loop")
    if loop is None:
        return 0
    try:
        batches, epochs = loop["epoch_loop.batch_progress"], loop["epoch_progress"]
        in_batch_end = batches["total"]["completed"] == batches["total"]["processed"] - 1
        in_epoch = epochs["total"]["processed"] == epochs["total"]["started"] - 1
        if not batches["is_last_batch"] and not in_epoch:
            return int(batches["current"]["ready"])
        if batches["is_last_batch"] and in_batch_end and in_epoch:
            loop["epoch_loop.state_dict"]["_batches_that_stepped"] += 1
            for count in ("total", "current"):
                batches[count]["completed"] += 1
                epochs[count]["processed"] += 1
    except (KeyError, TypeError) as error:
        rank_zero_warn(
            f"this version of Lightning keeps its loops in another way ({error!r}): a run that goes on from a "
            "checkpoint of an epoch's last batch may repeat batches; go on from one of an epoch's end (last.ckpt)"
        )
    return 0


def class_path(thing: Any) -> str:
    """Where the class of a thing is imported from.

    Example:
        >>> class_path(torch.nn.ReLU())
        'torch.nn.modules.activation.ReLU'
    """
    return f"{type(thing).__module__}.{type(thing).__qualname__}"


def same_optimizers(saved: Sequence[str], class_paths: Sequence[str]) -> bool:
    """Whether a checkpoint's optimizers are of these classes; older checkpoints have names without modules.

    Example:
        >>> same_optimizers(["torch.optim.adam.Adam"], ["optim.adam.Adam"])
        False
        >>> same_optimizers(["Adam"], ["torch.optim.adam.Adam"])
        True
    """
    bare = [path.rpartition(".")[2] for path in class_paths]
    return list(saved) in (list(class_paths), bare)
