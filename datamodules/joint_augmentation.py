"""Random changes of training images and of the places in them, boxes or masks, at once."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torchvision import tv_tensors
from torchvision.ops import box_convert
from torchvision.transforms import v2

from datamodules.augmentation import PARTS, Augmentation
from datamodules.pictures.mask_format import IGNORED

_FILLED = 254
_SMALLEST = 1.0  # pixels of a box's width and height, as torchvision's SanitizeBoundingBoxes has it


class RandomQuarterTurn(v2.Transform):
    """Rotates by 0, 90, 180 or 270 degrees, each as often; for square images. Nothing is interpolated.

    Example:
        >>> RandomQuarterTurn()(torch.rand(2, 3, 8, 8)).shape
        torch.Size([2, 3, 8, 8])
    """

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """The number of quarter turns."""
        return {"turns": int(torch.randint(4, ()))}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """One of the inputs, turned."""
        return v2.functional.rotate(inpt, 90.0 * params["turns"])


class JointAugmentation(Augmentation):
    """Transforms of torchvision.transforms.v2 that change images and their boxes or masks together.

    A batch is given to them in up to 16 random parts, and what they draw at random they draw once for each part. What
    rotation and the like bring into a mask from outside the image counts as no class (255). A box is cut at the image's
    edge; where less than a pixel of it is left, that image and its box stay as they were.

    Args:
        modules: such transforms; together they keep the images' height and width.

    Raises:
        TypeError: one of them is no such transform.
        ValueError: they change a batch's shape, or leave [0, 1].

    Example:
        >>> flip = JointAugmentation([v2.RandomHorizontalFlip(1.0)])
        >>> images, boxes = flip(torch.rand(2, 3, 8, 8), torch.tensor([[0.25, 0.5, 0.5, 1.0]] * 2))
        >>> boxes[0]
        tensor([0.7500, 0.5000, 0.5000, 1.0000])
    """

    def __init__(self, modules: Sequence[nn.Module] = ()) -> None:
        super().__init__(modules)
        for module in self.modules:
            if not isinstance(module, v2.Transform):
                raise TypeError(
                    "augment must be a list of transforms of torchvision.transforms.v2, which change boxes and masks "
                    f"with their images, got {type(module).__name__}"
                )

    def __call__(self, images: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        """Images (B, C, H, W) in [0, 1] with boxes (cx, cy, w, h) in [0, 1], (B, 4), or masks (B, H, W), uint8."""
        if not self:
            return images, places
        order = torch.randperm(len(images), device=images.device)
        self.modules.to(images.device)  # where one of them holds tensors
        changed = [self._part(images[part], places[part]) for part in order.chunk(PARTS)]
        new_images, new_places = (torch.cat(parts) for parts in zip(*changed, strict=True))
        self._check(images, new_images)
        back = order.argsort()
        return new_images.to(images.dtype)[back], new_places[back]

    def _part(self, images: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
        if places.is_floating_point():
            return self._with_boxes(images, places)
        # what comes from outside is filled with 0 or, where a user has it white, with 1: neither may be a class. Bytes
        # run over, so that 255, no class, becomes 1, and 0 and 1 become 254 and 255 on the way back
        image, mask = self._transformed(tv_tensors.Image(images), tv_tensors.Mask((places + 2).unsqueeze(1)))
        mask = mask.squeeze(1) - 2
        return image, mask.masked_fill(mask == _FILLED, IGNORED)

    def _with_boxes(self, images: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor]:
        height, width = images.shape[2:]
        size = boxes.new_tensor([width, height, width, height])
        corners = tv_tensors.BoundingBoxes(
            box_convert(boxes * size, "cxcywh", "xyxy"), format="XYXY", canvas_size=(height, width)
        )
        new_images, moved = self._transformed(tv_tensors.Image(images), corners)
        if tuple(new_images.shape) != tuple(images.shape):
            self._check(images, new_images)  # says so
        new = box_convert(moved.clamp(min=0).minimum(size), "xyxy", "cxcywh")
        gone = (new[:, 2:] < _SMALLEST).any(1)
        kept = gone.view(-1, 1, 1, 1)
        return torch.where(kept, images, new_images), torch.where(gone.unsqueeze(1), boxes, new / size)

    def _transformed(self, *pair: Any) -> tuple[Tensor, Tensor]:
        for module in self.modules:
            try:
                pair = module(*pair)
                image, places = pair
            except (ValueError, TypeError, RuntimeError, NotImplementedError) as error:
                raise ValueError(
                    f"augment: {type(module).__name__} cannot change images together with their boxes or masks "
                    f"({error}): leave it out, or give it options for both, such as one number in [0, 1] as fill"
                ) from error
        return image.as_subclass(Tensor), places.as_subclass(Tensor)
