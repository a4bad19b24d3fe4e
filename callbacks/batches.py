"""Reading the data of a run outside its training loop, wherever the Trainer has them from."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any

import torch
from lightning.pytorch import LightningDataModule, LightningModule, Trainer
from lightning.pytorch.utilities.model_helpers import is_overridden
from lightning.pytorch.utilities.seed import isolate_rng
from torch import Generator, Tensor

from callbacks.verbs import HasSplits, ReadsBatches, is_conditional

_LOADERS = {"train": "train_dataloader", "val": "val_dataloaders", "test": "test_dataloaders"}
_HOOKS = ("on_before_batch_transfer", "transfer_batch_to_device", "on_after_batch_transfer")
_END = object()
_STREAM = 1000  # batches


def has_split(trainer: Trainer, split: str) -> bool:
    """Whether the Trainer has data for `split`, one of "train", "val" and "test".

    Example:
        >>> has_split(Trainer(logger=False, accelerator="cpu"), "train")
        False
    """
    data = _data(trainer)
    return data.has_split(split) if isinstance(data, HasSplits) else bool(_loaders(trainer, split, sharded=True))


def held_out_split(trainer: Trainer, when: str) -> str | None:
    """The split of a picture of images not trained on: "val", or "test" where there is no other and in `test` itself.

    Args:
        trainer: that runs the model.
        when: see `PictureCallback.draw`.

    Returns:
        None where there is neither.

    Example:
        >>> held_out_split(Trainer(logger=False, accelerator="cpu"), "epoch001") is None
        True
    """
    splits = ("test",) if when == "test" else ("val", "test")
    return next((split for split in splits if has_split(trainer, split)), None)


def batches(
    trainer: Trainer, module: LightningModule, split: str, sharded: bool = False
) -> Iterator[tuple[Tensor, Tensor | None]]:
    """(images, labels) of a split on the model's device, as `module.read_batch` reads them; nothing where it is not.

    The data are, in this order: a data module's `loader(split, sharded=...)` where it has one; else the split's loaders
    as the Trainer runs them, several one after the other. A data module that is not sharded is asked for new ones.
    Of a stream, whose length nobody knows, these are the first 1,000 batches. Where the data module says that it has no
    classes (`num_classes` 0), there are no labels, whatever its batches hold in their place; a conditional model gets
    them all the same. Training's random state stays as it is, and what the loaders shuffle comes in the same order each
    time.

    Args:
        trainer: that runs the model.
        module: reads the batches; without `read_batch` they must be pairs `(x, y)`.
        split: "train", "val" or "test".
        sharded: give each process its share; otherwise each gets all that its loader gives, which of plain loaders is
            its share too.

    Example:
        >>> from datamodules import DigitsDataModule
        >>> trainer, model = Trainer(logger=False, accelerator="cpu"), LightningModule()
        >>> trainer.datamodule = DigitsDataModule(batch_size=100)
        >>> trainer.datamodule.setup()
        >>> [len(x) for x, y in batches(trainer, model, "test")]
        [100, 100, 100, 59]
    """
    for loader in _loaders(trainer, split, sharded):
        for batch in islice(_undisturbed(loader), _limit(loader)):
            yield _read(trainer, module, batch)


def first_images(
    trainer: Trainer, module: LightningModule, split: str | None, n: int
) -> tuple[Tensor | None, Tensor | None]:
    """The first `n` images and labels of a split, or all where it holds fewer; None where there are none.

    Example:
        >>> first_images(Trainer(logger=False, accelerator="cpu"), LightningModule(), "train", 8)
        (None, None)
    """
    xs, ys, count = [], [], 0
    for x, y in [] if split is None else batches(trainer, module, split):
        xs.append(x)
        ys.append(y)
        count += len(x)
        if count >= n:
            break
    return join(xs, n), join(ys, n)


def join(parts: list[Tensor | None] | list[Tensor], n: int | None) -> Tensor | None:
    """The first `n` rows (None for all) of tensors one after the other; None where one is None, or there is none.

    Example:
        >>> join([torch.zeros(2), torch.ones(2)], 3)
        tensor([0., 0., 1.])
    """
    tensors = [part for part in parts if part is not None]
    return torch.cat(tensors)[:n] if tensors and len(tensors) == len(parts) else None


def class_names(trainer: Trainer, count: int) -> list[str]:
    """Names of `count` classes: the data module's `class_names` where there are so many, else "0", "1", ...

    Example:
        >>> class_names(Trainer(logger=False, accelerator="cpu"), 3)
        ['0', '1', '2']
    """
    names = getattr(_data(trainer), "class_names", ())
    return list(names[:count]) if len(names) >= count else [str(label) for label in range(count)]


def _data(trainer: Trainer) -> Any:
    return getattr(trainer, "datamodule", None)


def _loaders(trainer: Trainer, split: str, sharded: bool) -> list[Any]:
    data = _data(trainer)
    if isinstance(data, HasSplits):
        return [data.loader(split, sharded=sharded)] if data.has_split(split) else []
    running = _flat(getattr(trainer, _LOADERS[split]))
    if running and not sharded and data is not None and is_overridden(f"{split}_dataloader", data):
        return _flat(getattr(data, f"{split}_dataloader")())
    return running


def _flat(loaders: Any) -> list[Any]:
    """None, one loader, or lists and dicts of them, as a list."""
    if loaders is None:
        return []
    if isinstance(loaders, dict):
        loaders = list(loaders.values())
    return [one for part in loaders for one in _flat(part)] if isinstance(loaders, list | tuple) else [loaders]


def _limit(loader: Any) -> int | None:
    """So many batches of a stream, which may have no end; all of a loader that knows its length."""
    try:
        return None if len(loader) >= 0 else _STREAM
    except (TypeError, NotImplementedError):
        return _STREAM


def _undisturbed(loader: Iterable[Any]) -> Iterator[Any]:
    """What a loader yields; random numbers that it draws are its own, the same each time."""
    with _own_random_state(loader):
        iterator = iter(loader)
    while True:
        with _own_random_state(loader):
            batch = next(iterator, _END)
        if batch is _END:
            return
        yield batch


@contextmanager
def _own_random_state(loader: Any) -> Iterator[None]:
    generators = [getattr(part, "generator", None) for part in (loader, getattr(loader, "sampler", None))]
    states = [(generator, generator.get_state()) for generator in generators if isinstance(generator, Generator)]
    with isolate_rng():
        torch.manual_seed(0)
        for generator, _ in states:
            generator.manual_seed(0)
        yield
    for generator, state in states:
        generator.set_state(state)


def _read(trainer: Trainer, module: LightningModule, batch: Any) -> tuple[Tensor, Tensor | None]:
    """As Lightning's loops hand a batch to the model."""
    batch = trainer.precision_plugin.convert_input(batch)
    data = _data(trainer)
    for hook in _HOOKS:
        owner = data if isinstance(data, LightningDataModule) and is_overridden(hook, data) else module
        device = (module.device,) if hook == "transfer_batch_to_device" else ()
        batch = getattr(owner, hook)(batch, *device, 0)
    x, y = module.read_batch(batch) if isinstance(module, ReadsBatches) else batch
    # zeros in the place of classes; floats are something to be predicted, numbers or boxes
    zeros = y is None or not y.is_floating_point()
    unlabelled = zeros and getattr(data, "num_classes", None) == 0 and not is_conditional(module)
    return x, None if unlabelled else y
