"""Natural order of names: img2 before img10."""

import re
from collections.abc import Iterable

_NUMBER = re.compile("([0-9]+)")


def natural_order(names: Iterable[str]) -> list[str]:
    """Sort paths folder by folder, with numbers by value; names that differ in leading zeros alone go by their text.

    The order depends on the names alone: not on their order before, the locale or the operating system.

    Args:
        names: relative paths with "/" between folders, or plain names; none of them holds a NUL character.

    Example:
        >>> natural_order(["img10", "img2", "img02", "a1/x", "a/x"])
        ['a/x', 'a1/x', 'img02', 'img2', 'img10']
    """
    names = sorted(names)  # so that equal keys below stay in the order of their text
    if not names:
        return []
    # all names at once: five times as fast as one substitution a name
    parts = _NUMBER.split("\0".join(names))
    # how many digits there are goes before them, so that the order as text is that of values; 0 separates folders
    length = [chr(1 + digits) for digits in range(1 + max(map(len, parts[1::2]), default=0))]
    parts[1::2] = [length[len(digits)] + digits for digits in [number.lstrip("0") for number in parts[1::2]]]
    # "/" becomes the lowest character, so that a folder's content stays together
    keys = [key.replace("/", "\0") for key in "".join(parts).split("\0")]
    return [names[position] for position in sorted(range(len(names)), key=keys.__getitem__)]
