"""Boxes (cx, cy, w, h) as fractions of the image: their corners, and by how much two of them overlap."""

import torch
from torch import Tensor
from torch.nn.functional import smooth_l1_loss
from torchvision.ops import box_convert, box_iou, generalized_box_iou_loss

BOX_LOSSES = ("smooth_l1", "giou")


def to_corners(boxes: Tensor) -> Tensor:
    """(cx, cy, w, h), (N, 4), to (x0, y0, x1, y1), (N, 4): left, top, right and bottom edge.

    Example:
        >>> to_corners(torch.tensor([[0.5, 0.5, 0.5, 1.0]]))
        tensor([[0.2500, 0.0000, 0.7500, 1.0000]])
    """
    return box_convert(boxes, "cxcywh", "xyxy")


def paired_iou(boxes: Tensor, others: Tensor) -> Tensor:
    """Area shared by each box and its partner over the area that they cover together, (N,) in [0, 1].

    Args:
        boxes: (cx, cy, w, h), (N, 4).
        others: the same.

    Example:
        >>> left, whole = torch.tensor([[0.25, 0.5, 0.5, 1.0]]), torch.tensor([[0.5, 0.5, 1.0, 1.0]])
        >>> paired_iou(left, whole)
        tensor([0.5000])
    """
    pairs = zip(to_corners(boxes).split(_BLOCK), to_corners(others).split(_BLOCK), strict=True)
    return torch.cat([box_iou(some, partners).diagonal() for some, partners in pairs])


_BLOCK = 256  # torchvision's compares all boxes with all others


def box_loss(boxes: Tensor, others: Tensor, kind: str, image_size: tuple[int, int]) -> Tensor:
    """Mean loss of predicted boxes, a scalar.

    Args:
        boxes: predicted, (cx, cy, w, h) as fractions, (N, 4).
        others: the true ones.
        kind: "smooth_l1", the mean over the four numbers in pixels, squared below one pixel and linear above (R.
            Girshick, arXiv:1504.08083); or "giou", 1 - GIoU, in [0, 2] (H. Rezatofighi et al., arXiv:1902.09630).
        image_size: (H, W) in pixels.

    Example:
        >>> one, other = torch.tensor([[0.5, 0.5, 0.5, 0.5]]), torch.tensor([[0.75, 0.5, 0.5, 0.5]])
        >>> box_loss(one, other, "smooth_l1", (8, 8)), box_loss(one, one, "giou", (8, 8)).abs() < 1e-6
        (tensor(0.3750), tensor(True))
    """
    if kind == "giou":
        return generalized_box_iou_loss(to_corners(boxes), to_corners(others), reduction="mean")
    height, width = image_size
    pixels = boxes.new_tensor([width, height, width, height])
    return smooth_l1_loss(boxes * pixels, others * pixels)
