"""Packages of optional extras."""

from importlib.util import find_spec


def require_packages(*packages: str, extra: str) -> None:
    """Raise a RuntimeError that says how to install an extra where one of its packages is missing.

    Example:
        >>> require_packages("torch", extra="export")
        >>> require_packages("no_such_package", extra="export")
        Traceback (most recent call last):
        RuntimeError: no_such_package is not installed: uv run --extra export ..., or pip install no_such_package
    """
    missing = [package for package in packages if find_spec(package) is None]
    if missing:
        names = " ".join(missing)
        raise RuntimeError(
            f"{names} {'is' if len(missing) == 1 else 'are'} not installed: uv run --extra {extra} ..., or pip "
            f"install {names}"
        )
