"""Splits: disjoint, decided by their seed, stratified."""

import torch

from datamodules.splits import stratified_subset, train_val_indices


def test_split_is_disjoint_complete_and_of_the_official_size() -> None:
    train, val = train_val_indices(60_000, 0.2, seed=0)
    assert (len(train), len(val)) == (48_000, 12_000)
    assert torch.equal(torch.cat([train, val]).sort().values, torch.arange(60_000))


def test_split_depends_on_its_seed_alone() -> None:
    first = train_val_indices(100, 0.3, seed=1)[1]
    torch.manual_seed(99)
    assert torch.equal(first, train_val_indices(100, 0.3, seed=1)[1])
    assert not torch.equal(first, train_val_indices(100, 0.3, seed=2)[1])


def test_no_validation() -> None:
    train, val = train_val_indices(10, 0.0, seed=0)
    assert len(train) == 10
    assert len(val) == 0


def test_subset_keeps_the_fraction_of_each_class() -> None:
    labels = torch.tensor([0] * 50 + [1] * 30 + [2] * 4)
    kept = stratified_subset(labels, 0.1, seed=0)
    assert labels[kept].bincount().tolist() == [5, 3, 1]  # at least one of each
    assert len(kept.unique()) == len(kept)
    assert not torch.equal(kept, stratified_subset(labels, 0.1, seed=1))
    assert torch.equal(kept, stratified_subset(labels, 0.1, seed=0))
