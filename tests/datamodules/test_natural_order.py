"""Natural order: total, by value, folder by folder."""

import random
from itertools import permutations

from datamodules.pictures.natural_order import natural_order


def test_natural_order_is_total_and_independent_of_the_order_before() -> None:
    expected = ["a/z", "a b/1", "a1/x", "a2", "a02", "a10", "b", "b1c2", "b1c10", "ä", "0", "1", "01", "2", "10"]
    expected = natural_order(expected)
    assert expected.index("a2") < expected.index("a10")
    assert expected.index("b1c2") < expected.index("b1c10")
    assert [name for name in expected if name.isdigit()] == ["0", "01", "1", "2", "10"]
    generator = random.Random(0)
    for _ in range(50):
        assert natural_order(generator.sample(expected, len(expected))) == expected
    for names in permutations(["01", "1", "001"]):
        assert natural_order(names) == ["001", "01", "1"]


def test_natural_order_is_that_of_values() -> None:
    generator = random.Random(0)
    numbers = [generator.randrange(10 ** generator.randrange(1, 40)) for _ in range(300)]
    assert natural_order(f"img{n}.png" for n in set(numbers)) == [f"img{n}.png" for n in sorted(set(numbers))]


def test_natural_order_keeps_folders_together() -> None:
    names = [f"{folder}/{number}" for folder in ("a", "a b", "a1", "a.b", "a-b") for number in (1, 2)]
    folders = [name.rpartition("/")[0] for name in natural_order(names)]
    assert folders[::2] == folders[1::2] == natural_order(set(folders))


def test_natural_order_of_nothing() -> None:
    assert natural_order([]) == []
