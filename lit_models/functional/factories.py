"""Factories: classes, functions, and partials of them."""

from functools import partial
from typing import Any


def unwrap(factory: Any) -> Any:
    """The class or function behind a factory.

    Example:
        >>> unwrap(partial(partial(int, "7"), base=8)), unwrap(int)
        (<class 'int'>, <class 'int'>)
    """
    if not isinstance(factory, partial):
        return factory
    # jsonargparse's factories are partials of its own functions, with the class as last argument
    classes = [argument for argument in factory.args if isinstance(argument, type)]
    return classes[-1] if classes else unwrap(factory.func)
