"""FirstNaN names the value that broke first, however late it is asked."""

import math

import pytest
import torch

from lit_models.first_nan import FirstNaN


def note(first: FirstNaN, batch: int, a: float, b: float) -> None:
    first.note("a", torch.tensor(a), batch)
    first.note("b", torch.tensor(b), batch)


def test_numbers_pass() -> None:
    first = FirstNaN("a", "b")
    first.stop("nothing was noted yet")
    for batch in range(5):
        note(first, batch, 1.0, -2.0)
        first.stop("all is well")


@pytest.mark.parametrize("broken", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("batches", [4, 20])
def test_the_first_is_named_after_many_batches(broken: float, batches: int) -> None:
    first = FirstNaN("a", "b")
    for batch in range(batches):
        note(first, batch, broken if batch > 3 else 1.0, broken if batch > 2 else 1.0)
    with pytest.raises(FloatingPointError, match="b is not a number at batch 3: do this"):
        first.stop("do this")


def test_one_step_is_read_at_once_and_only_once() -> None:
    first = FirstNaN("a", "b")
    note(first, 7, math.nan, math.nan)
    with pytest.raises(FloatingPointError, match="a is not a number at batch 7"):
        first.stop("")
    first.stop("what was said is not said again")
