"""Factories: classes, functions, and partials of them."""

from functools import partial
from typing import Any


def unwrap(factory: Any) -> Any:
    """The class or function behind a factory; None for a partial with positional arguments, which a recipe cannot say.

    Example:
        >>> unwrap(partial(partial(int, base=8))), unwrap(int), unwrap(partial(int, "7"))
        (<class 'int'>, <class 'int'>, None)
    """
    if not isinstance(factory, partial):
        return factory
    if str(getattr(factory.func, "__module__", "")).startswith("jsonargparse"):
        # the command line's factories: partials of jsonargparse's own functions, with the class as last argument
        return factory.args[-1]
    return None if factory.args else unwrap(factory.func)
