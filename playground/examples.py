"""Test images to choose from by number."""

from collections.abc import Sequence
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch
from torch import Tensor


class Examples:
    """Test images and, where there are classes, their labels and names.

    Args:
        images: (N, C, H, W), bytes 0 .. 255 or floats in [0, 1]; at least one.
        labels: (N,) whole numbers; None where there are no classes.
        class_names: of each class; the numbers themselves by default.

    Raises:
        ValueError: images or labels of another shape.

    Example:
        >>> examples = Examples(torch.zeros(3, 1, 8, 8, dtype=torch.uint8), torch.tensor([2, 0, 1]))
        >>> len(examples), examples[0].shape, examples.label(0), examples.background
        (3, torch.Size([1, 1, 8, 8]), 2, 0)
    """

    def __init__(self, images: Tensor, labels: Tensor | None = None, class_names: Sequence[str] = ()) -> None:
        if images.ndim != 4 or not len(images):
            raise ValueError(f"images must be (N, C, H, W) with N at least 1, got shape {tuple(images.shape)}")
        if labels is not None and (tuple(labels.shape) != (len(images),) or labels.is_floating_point()):
            raise ValueError(
                f"labels must be {len(images)} whole numbers, one for each image, got shape {tuple(labels.shape)} of "
                f"{labels.dtype}"
            )
        self.images = images
        self.labels = labels
        self.class_names = tuple(class_names)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, number: int) -> Tensor:
        """One image, (1, C, H, W) in [0, 1]."""
        return self.first(1, number)

    def first(self, n: int, start: int = 0) -> Tensor:
        """Images from `start` on, (n, C, H, W) in [0, 1]; fewer where they run out."""
        part = self.images[start : start + n]
        return part.float() / 255 if part.dtype == torch.uint8 else part.float()

    def label(self, number: int) -> int | None:
        """The class of an image."""
        return None if self.labels is None else int(self.labels[number])

    @property
    def background(self) -> int:
        """0 (black) or 255 (white), whichever is nearer to the rim of the first images."""
        images = self.first(100)
        rim = torch.cat([images[:, :, [0, -1]].flatten(), images[..., [0, -1]].flatten()])
        return 0 if rim.mean() < 0.5 else 255


def read_examples(path: str | Path) -> Examples:
    """Test images of an `.npz` file: `images`, bytes (N, C, H, W), and `labels`, (N,), and `class_names`, if any.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no such file, or holds other arrays.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp(), "examples.npz")
        >>> np.savez(path, images=np.zeros((2, 1, 8, 8), np.uint8), labels=np.array([0, 1]))
        >>> len(read_examples(path))
        2
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}: pass an .npz with images, bytes (N, C, H, W), and labels")
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as content:
            arrays = dict(content)
    except (ValueError, OSError, EOFError, BadZipFile, AttributeError, TypeError) as error:
        raise ValueError(f"{path} is no .npz file of arrays ({error}): write one with numpy.savez") from error
    if "images" not in arrays or arrays["images"].dtype != np.uint8 or arrays["images"].ndim != 4:
        held = ", ".join(f"{name} {array.dtype} {array.shape}" for name, array in arrays.items()) or "nothing"
        raise ValueError(f"{path} must hold images, bytes (uint8) of shape (N, C, H, W), it holds {held}")
    labels = torch.from_numpy(arrays["labels"].astype(np.int64)) if arrays.get("labels", np.empty(0)).size else None
    names = [str(name) for name in arrays.get("class_names", ())]
    return Examples(torch.from_numpy(arrays["images"]), labels, names)
