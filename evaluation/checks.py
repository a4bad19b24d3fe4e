"""Checks of what measures are given."""

from torch import Tensor


def check_features(*sets: Tensor) -> None:
    """Raise a ValueError unless each set is of finite floats, (N, D), and all have one D.

    Example:
        >>> import torch
        >>> check_features(torch.zeros(3, 2), torch.ones(4, 2))
    """
    shapes = " and ".join(str(tuple(features.shape)) for features in sets)
    if any(features.ndim != 2 for features in sets) or len({features.shape[1] for features in sets}) != 1:
        raise ValueError(f"sets of features of one width, (N, D), are needed, got {shapes}: flatten each example")
    if not all(features.isfinite().all() for features in sets):
        raise ValueError(f"features must be finite, got nan or inf in sets of {shapes}: leave such examples out")
