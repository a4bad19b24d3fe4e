"""What a report says of predicted boxes and masks."""

from typing import Any

import torch
from torch import Tensor
from torchvision.ops import box_convert, box_iou

from evaluation.estimate import Estimate, mean_estimate, share_estimate
from evaluation.reference import Reference, in_parts

_FOUND = 0.5  # IoU from which a box counts as found
_BLOCKS = 20  # of the jackknife
_CHUNK = 500  # images at a time
_NO_CLASS = 255


def measure_boxes(model: Any, reference: Reference) -> dict[str, Estimate]:
    """Overlap of predicted and true boxes of all test images.

    Args:
        model: has `locate(x)`, which gives boxes (cx, cy, w, h) as fractions, (N, 4).
        reference: the data, whose labels are such boxes.

    Returns:
        "iou": mean intersection over union. "found": share of images where it is at least 0.5. "iou_of_mean": what the
        mean box of the training images would have, whatever the image shows.

    Raises:
        ValueError: the data's labels are no boxes.

    Example:
        >>> class Whole:
        ...     def locate(self, x):
        ...         return torch.tensor([[0.5, 0.5, 1.0, 1.0]] * len(x))
        >>> images, boxes = torch.rand(4, 3, 8, 8), torch.tensor([[0.25, 0.5, 0.5, 1.0]] * 4)
        >>> measure_boxes(Whole(), Reference(images, boxes, images, boxes))["iou"].value
        0.5
    """
    true = reference.test_labels
    if true.ndim != 2 or true.shape[1] != 4:
        raise ValueError("the labels of these data are no boxes")
    overlaps = overlap(in_parts(model.locate, reference.floats("test")), true)
    always = overlap(reference.train_labels.float().mean(0).expand_as(true), true)
    return {
        "iou": mean_estimate(overlaps),
        "found": share_estimate(overlaps >= _FOUND),
        "iou_of_mean": mean_estimate(always),
    }


def overlap(boxes: Tensor, others: Tensor) -> Tensor:
    """Intersection over union of each box and its partner, (cx, cy, w, h), (N, 4) each: (N,).

    Example:
        >>> overlap(torch.tensor([[0.25, 0.5, 0.5, 1.0]]), torch.tensor([[0.5, 0.5, 1.0, 1.0]]))
        tensor([0.5000])
    """
    corners, partners = (box_convert(some.float(), "cxcywh", "xyxy") for some in (boxes, others))
    # torchvision's compares each with all others
    parts = zip(corners.split(256), partners.split(256), strict=True)
    return torch.cat([box_iou(some, their).diagonal() for some, their in parts])


def measure_masks(model: Any, reference: Reference) -> dict[str, Estimate]:
    """Agreement of predicted and true masks of all test images.

    Args:
        model: has `segment(x)`, which gives the probability of each class for each pixel, (N, K, H, W).
        reference: the data, whose labels are masks of class indices, (N, H, W), 255 for pixels that do not count.

    Returns:
        "mask_iou": mean over classes of their pixels' intersection over union, counted over all images, with the error
        of a jackknife over at most 20 blocks of images; "mask_iou_0", "mask_iou_1", ...: of each class that is there.
        "pixel_accuracy": share of an image's pixels whose class is right, a mean over images in which a pixel counts.
        "mask_iou_of_commonest" and "pixel_accuracy_of_commonest": what the commonest class of the training masks would
        have, whatever the image shows.

    Raises:
        ValueError: the data's labels are no masks, or none of their pixels counts.

    Example:
        >>> class Nothing:
        ...     def segment(self, x):
        ...         return torch.tensor([1.0, 0.0]).view(1, 2, 1, 1).expand(len(x), 2, 8, 8)
        >>> images, masks = torch.rand(40, 3, 8, 8), torch.zeros(40, 8, 8, dtype=torch.uint8)
        >>> measure_masks(Nothing(), Reference(images, masks, images, masks))["mask_iou"].value
        1.0
    """
    true = reference.test_labels
    if true.ndim != 3:
        raise ValueError("the labels of these data are no masks")
    if not (true != _NO_CLASS).any():
        raise ValueError("no pixel of the test masks is of a class")
    commonest = int(reference.train_labels.flatten().bincount(minlength=_NO_CLASS)[:_NO_CLASS].argmax())
    counts, accuracies, always, always_right = [], [], [], []
    for rows in torch.arange(len(true)).split(_CHUNK):
        probabilities = in_parts(model.segment, reference.floats("test", rows))
        found, theirs = probabilities.argmax(1), true[rows].long()
        same = torch.full_like(theirs, commonest)
        counts.append(_counts(found, theirs, probabilities.shape[1]))
        always.append(_counts(same, theirs, probabilities.shape[1]))
        accuracies.append(_accuracies(found, theirs))
        always_right.append(_accuracies(same, theirs))
    by_image = torch.cat(counts)  # (N, 2, K)
    figures = {"mask_iou": _jackknifed(by_image)}
    for label in by_image[:, 1].sum(0).nonzero().flatten().tolist():
        figures[f"mask_iou_{label}"] = _jackknifed(by_image[:, :, [label]])
    return figures | {
        "pixel_accuracy": mean_estimate(torch.cat(accuracies)),
        "mask_iou_of_commonest": _jackknifed(torch.cat(always)),
        "pixel_accuracy_of_commonest": mean_estimate(torch.cat(always_right)),
    }


def _jackknifed(by_image: Tensor) -> Estimate:
    """The mean IoU of counts (N, 2, K), with a jackknife's error over blocks of images."""
    blocks = torch.stack([block.sum(0) for block in by_image.tensor_split(min(_BLOCKS, len(by_image)))])
    left_out = torch.stack([_mean_iou(blocks.sum(0) - block) for block in blocks])
    left_out = left_out[left_out.isfinite()]  # a class may be in one block alone
    n = len(left_out)
    error = float(((n - 1) / n * (left_out - left_out.mean()).square().sum()).sqrt()) if n > 1 else None
    return Estimate(float(_mean_iou(blocks.sum(0))), error, len(by_image))


def _counts(predicted: Tensor, true: Tensor, num_classes: int) -> Tensor:
    """Pixels that each image's class and prediction share, and that either has, (N, 2, K)."""
    found = []
    for label in range(num_classes):
        ours, theirs = (predicted == label) & (true != _NO_CLASS), true == label
        found.append(torch.stack([(ours & theirs).flatten(1).sum(1), (ours | theirs).flatten(1).sum(1)], 1))
    return torch.stack(found, 2).double()


def _mean_iou(counts: Tensor) -> Tensor:
    """Over the classes that are there, of counts (2, K)."""
    shared, either = counts
    return (shared[either > 0] / either[either > 0]).mean()


def _accuracies(predicted: Tensor, true: Tensor) -> Tensor:
    """Of each image in which a pixel counts."""
    counted = true != _NO_CLASS
    right = ((predicted == true) & counted).flatten(1).sum(1)
    pixels = counted.flatten(1).sum(1)
    return right[pixels > 0] / pixels[pixels > 0]
