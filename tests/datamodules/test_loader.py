"""Batches: order, shares, short steps."""

import pytest
import torch

from datamodules.loader import BatchLoader, BatchSampler


def indices(**options) -> list[list[int]]:
    return [step.tolist() for step in BatchSampler(**options)]


@pytest.mark.parametrize("world_size", [1, 2, 3, 4])
@pytest.mark.parametrize("size", [7, 8, 9, 24, 25, 48, 49, 95])
@pytest.mark.parametrize("shuffle", [False, True])
def test_shares_are_disjoint_and_together_the_whole_split(size: int, world_size: int, shuffle: bool) -> None:
    shares = [
        indices(size=size, batch_size=4, shuffle=shuffle, rank=rank, world_size=world_size)
        for rank in range(world_size)
    ]
    assert sorted(i for share in shares for step in share for i in step) == list(range(size))
    # uneven numbers of steps, or a step without an image, would hang or break DDP
    assert len({len(share) for share in shares}) == 1
    assert all(step for share in shares for step in share)
    sampler = BatchSampler(size=size, batch_size=4, world_size=world_size)
    assert len(sampler) == len(shares[0])


def test_step_k_of_two_processes_sees_what_one_with_the_doubled_batch_sees() -> None:
    one = indices(size=50, batch_size=8, shuffle=True, seed=3)
    two = [indices(size=50, batch_size=4, shuffle=True, seed=3, rank=rank, world_size=2) for rank in range(2)]
    assert [sorted(a + b) for a, b in zip(*two, strict=True)] == [sorted(step) for step in one]


def test_order_is_a_function_of_seed_and_epoch() -> None:
    def order(seed: int, epoch: int) -> list[list[int]]:
        sampler = BatchSampler(size=100, batch_size=10, shuffle=True, seed=seed)
        sampler.set_epoch(epoch)
        torch.rand(epoch + 1)  # nothing else that is random may matter
        return [step.tolist() for step in sampler]

    assert order(1, 2) == order(1, 2)
    assert order(1, 2) != order(1, 3)
    assert order(1, 2) != order(2, 2)
    assert order(1, 2) != order(2, 1)


def test_without_shuffle_the_order_is_the_files() -> None:
    assert indices(size=5, batch_size=2) == [[0, 1], [2, 3], [4]]


def test_drop_last_leaves_out_the_step_that_is_not_full() -> None:
    assert [len(step) for step in indices(size=11, batch_size=4, drop_last=True)] == [4, 4]
    assert [len(step) for step in indices(size=11, batch_size=4)] == [4, 4, 3]
    assert [len(step) for step in indices(size=23, batch_size=4, drop_last=True, rank=1, world_size=2)] == [4, 4]


def test_a_remainder_smaller_than_the_processes_joins_the_step_before() -> None:
    # 17 = 2 steps of 8 and one image: it cannot be shared by two processes
    assert [len(step) for step in indices(size=17, batch_size=4, rank=0, world_size=2)] == [4, 5]
    assert [len(step) for step in indices(size=17, batch_size=4, rank=1, world_size=2)] == [4, 4]


def test_batch_larger_than_the_split_with_drop_last() -> None:
    with pytest.raises(ValueError, match=r"batch_size=64 on 1 process.*drop_last=True.*split of 50.*batch_size <= 50"):
        BatchSampler(size=50, batch_size=64, drop_last=True)
    with pytest.raises(ValueError, match=r"batch_size=30 on 2 process.*batch_size <= 25"):
        BatchSampler(size=50, batch_size=30, drop_last=True, world_size=2)


def test_fewer_images_than_processes() -> None:
    with pytest.raises(ValueError, match="holds 2 images, fewer than the 3 processes: use fewer devices"):
        BatchSampler(size=2, batch_size=1, world_size=3)


def test_loader_pairs_images_with_their_labels() -> None:
    labels = torch.arange(20)
    images = labels.to(torch.uint8).reshape(20, 1, 1, 1).expand(20, 1, 2, 2)
    loader = BatchLoader(images, labels, torch.arange(20), BatchSampler(size=20, batch_size=6, shuffle=True))
    batches = list(loader)
    assert len(batches) == len(loader) == 4
    for x, y in batches:
        assert x.dtype == torch.uint8
        assert torch.equal(x[:, 0, 0, 0].long(), y)
