"""Cutting data into train, validation and test, and taking a labelled fraction of them."""

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np
import torch
from torch import Tensor


def train_val_indices(size: int, val_fraction: float, seed: int) -> tuple[Tensor, Tensor]:
    """Random disjoint (train, validation) indices that together are 0 .. size - 1, decided by `seed` alone.

    Validation takes `round(val_fraction * size)` images. Both are sorted: order within a split carries no meaning.

    Example:
        >>> train, val = train_val_indices(10, val_fraction=0.2, seed=0)
        >>> len(train), len(val)
        (8, 2)
    """
    order = torch.randperm(size, generator=torch.Generator().manual_seed(seed))
    val_size = round(val_fraction * size)
    return order[val_size:].sort().values, order[:val_size].sort().values


def stratified_subset(labels: Tensor, fraction: float, seed: int) -> Tensor:
    """Sorted indices of `fraction` of each class (at least one image of each), decided by `seed` alone.

    Args:
        labels: (N,) class indices.
        fraction: share of each class to keep, in (0, 1].
        seed: decides which images are kept.

    Example:
        >>> stratified_subset(torch.tensor([0, 0, 0, 0, 1, 1]), fraction=0.5, seed=0).shape
        torch.Size([3])
    """
    generator = torch.Generator().manual_seed(seed)
    kept = []
    for label in labels.unique():
        members = (labels == label).nonzero().flatten()
        count = max(1, round(fraction * len(members)))
        kept.append(members[torch.randperm(len(members), generator=generator)[:count]])
    return torch.cat(kept).sort().values


def hash_numbers(names: Sequence[str], key: str) -> Tensor:
    """A random number in [0, 1) for each name, float64, (N,), decided by that name and `key` alone.

    Args:
        names: any texts, each once.
        key: tells one drawing from another.

    Example:
        >>> hash_numbers(["cat.jpg", "dog.jpg", "emu.jpg"], key="val 0").sort().indices
        tensor([2, 0, 1])
    """
    begun = blake2b(f"{key}\n".encode(), digest_size=8)
    digests = []
    for name in names:
        one = begun.copy()  # cheaper than a new one: there may be a hundred thousand names
        one.update(name.encode(errors="surrogateescape"))
        digests.append(one.digest())
    return torch.from_numpy(np.frombuffer(b"".join(digests), dtype="<u8") / 2.0**64)


def hash_subset(names: Sequence[str], fraction: float, key: str) -> Tensor:
    """Which names are in a random share of them, bool, (N,), decided for each name by itself, see `hash_numbers`.

    So a name that is added or taken away moves no other in or out, but for one: where the share is not 0, at least one
    name is in it.

    Args:
        names: any texts, each once.
        fraction: share on average, in [0, 1].
        key: tells one drawing from another.

    Example:
        >>> hash_subset(["cat.jpg", "dog.jpg", "emu.jpg"], 0.5, key="val 0")
        tensor([False, False,  True])
    """
    numbers = hash_numbers(names, key)
    chosen = numbers < fraction
    if fraction > 0 and len(numbers):
        chosen[numbers.argmin()] = True
    return chosen


def in_test_folder(splits: Sequence[str | None]) -> Tensor | None:
    """Which pictures lie in a folder of the test split, bool, (N,); None where there is no such folder.

    Example:
        >>> in_test_folder(["train", "test"]), in_test_folder([None])
        (tensor([False,  True]), None)
    """
    return torch.tensor([split == "test" for split in splits]) if "test" in splits else None


def hash_splits(
    names: Sequence[str], test_fraction: float, val_fraction: float, split_seed: int, is_test: Tensor | None = None
) -> dict[str, Tensor]:
    """Positions of the train, validation and test examples among names, each decided by its own name.

    In the order of another hash, so that the first examples of a split are of several folders.

    Args:
        names: any texts, each once.
        test_fraction: share of them in the test split, whatever `split_seed` is.
        val_fraction: share of the rest in the validation split.
        split_seed: decides that.
        is_test: which of them are in the test split, bool, (N,), in place of `test_fraction`.

    Raises:
        ValueError: all of them are in the test split.

    Example:
        >>> splits = hash_splits([f"{number}.jpg" for number in range(100)], 0.2, 0.1, split_seed=0)
        >>> sum(map(len, splits.values()))
        100
    """
    given = is_test is not None
    is_test = hash_subset(names, test_fraction, "test") if is_test is None else is_test
    if is_test.all():
        remedy = "put those into train/" if given else "use a smaller --data.test_fraction, or 0"
        raise ValueError(f"all pictures are test pictures, none is left to train on: {remedy}")
    is_val = torch.zeros_like(is_test)
    rest = [name for name, test in zip(names, is_test.tolist(), strict=True) if not test]
    is_val[~is_test] = hash_subset(rest, val_fraction, f"val {split_seed}")
    order = hash_numbers(names, "order").argsort()
    is_test, is_val = is_test[order], is_val[order]
    return {"train": order[~is_test & ~is_val], "val": order[is_val], "test": order[is_test]}
