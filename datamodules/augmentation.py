"""Random changes of training batches, on the device: torchvision's transforms, or any module from images to images."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

# A transform of torchvision draws once for what it is given. In one piece, all images of a batch would be flipped, or
# none; one by one, 128 images cost as much time as a small model's step.
PARTS = 16
_TOLERANCE = 1e-3  # resizing leaves [0, 1] by rounding


class Augmentation:
    """Modules that change a training batch one after the other, such as torchvision.transforms.v2.RandomHorizontalFlip.

    A batch is given to them in up to 16 random parts, and what they draw at random they draw once for each part.

    Args:
        modules: from images (b, C, h, w) to images (b, C, h', w'); the last one gives the shape of the batch again.

    Raises:
        TypeError: one of them is no module.
        ValueError: they change a batch's shape, or the first batch leaves [0, 1].

    Example:
        >>> from torchvision.transforms import v2
        >>> flip_and_shift = Augmentation([v2.RandomHorizontalFlip(), v2.RandomCrop(8, padding=1)])
        >>> flip_and_shift(torch.rand(32, 3, 8, 8)).shape
        torch.Size([32, 3, 8, 8])
    """

    def __init__(self, modules: Sequence[nn.Module] = ()) -> None:
        given = modules if isinstance(modules, Sequence) and not isinstance(modules, str) else [modules]
        for module in given:
            if not isinstance(module, nn.Module):
                raise TypeError(
                    "augment must be a list of modules such as torchvision.transforms.v2.RandomHorizontalFlip(), got "
                    f"{module!r}"
                )
        self.modules = nn.Sequential(*given)
        self._checked = False

    def __bool__(self) -> bool:
        return len(self.modules) > 0

    def __call__(self, images: Tensor) -> Tensor:
        """Images (B, C, H, W) in [0, 1] to such images."""
        if not self:
            return images
        order = torch.randperm(len(images), device=images.device)
        self.modules.to(images.device)  # where one of them holds tensors
        changed = torch.cat([self.modules(part) for part in images[order].chunk(PARTS)])
        self._check(images, changed)
        return changed.to(images.dtype)[order.argsort()]

    def _check(self, images: Tensor, changed: Tensor) -> None:
        if changed.shape != images.shape:
            raise ValueError(
                f"augment must keep the batch's shape {tuple(images.shape)}, it made {tuple(changed.shape)}: end with "
                f"torchvision.transforms.v2.Resize({list(images.shape[2:])})"
            )
        if self._checked:  # reading values waits for the device, once is enough
            return
        low, high = (float(value) for value in changed.aminmax())
        if not (low >= -_TOLERANCE and high <= 1 + _TOLERANCE):
            raise ValueError(
                f"augment must keep images in [0, 1], it made values from {low:.4g} to {high:.4g}: leave out what "
                "standardizes, since models scale images themselves"
            )
        self._checked = True
