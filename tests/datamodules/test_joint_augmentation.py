"""Images and places changed together: what happens to a box happens to the pixels in it."""

import pytest
import torch
from torch import Tensor, nn
from torchvision.transforms import v2

from datamodules import PlacesDataModule
from datamodules.collage import boxes_around
from datamodules.joint_augmentation import JointAugmentation, RandomQuarterTurn
from datamodules.pictures.mask_format import IGNORED

GEOMETRIC = [
    v2.RandomHorizontalFlip(0.5),
    v2.RandomVerticalFlip(0.5),
    RandomQuarterTurn(),
    v2.RandomResizedCrop(32, (0.6, 1.0), interpolation=v2.InterpolationMode.NEAREST),
    v2.RandomAffine(0, translate=(0.1, 0.1), scale=(0.8, 1.2)),
]


def rectangles(n: int) -> tuple[Tensor, Tensor, Tensor]:
    """Black images of 32 x 32 with a white rectangle, its box and its mask."""
    generator = torch.Generator().manual_seed(1)
    images = torch.zeros(n, 3, 32, 32)
    for image in images:
        top, left, height, width = torch.randint(6, 13, (4,), generator=generator).tolist()
        image[:, top : top + height, left : left + width] = 1
    masks = images[:, 0] > 0.5
    return images, boxes_around(masks), masks.to(torch.uint8)


@pytest.mark.parametrize("transform", GEOMETRIC, ids=lambda transform: type(transform).__name__)
def test_box_and_mask_follow_their_image(transform: v2.Transform) -> None:
    images, boxes, masks = rectangles(64)
    torch.manual_seed(0)
    moved, new_boxes = JointAugmentation([transform])(images, boxes)
    torch.manual_seed(0)
    again, new_masks = JointAugmentation([transform])(images, masks)
    assert torch.equal(moved, again)  # both kinds of places, the same draws
    assert not torch.equal(moved, images)
    # a pixel is 1/32 of the side: resampling may move an edge by one
    torch.testing.assert_close(new_boxes, boxes_around(moved[:, 0] > 0.5), atol=1.01 / 32, rtol=0)
    torch.testing.assert_close(new_boxes, boxes_around(new_masks == 1), atol=1.01 / 32, rtol=0)


@pytest.mark.parametrize("transform", [v2.ElasticTransform(40.0, 4.0), v2.RandomRotation((30, 40))])
def test_a_box_holds_what_is_bent_or_turned(transform: v2.Transform) -> None:
    images, boxes, _ = rectangles(32)
    torch.manual_seed(0)
    moved, new_boxes = JointAugmentation([transform])(images, boxes)
    inner = boxes_around(moved[:, 0] > 0.5)
    lows, highs = new_boxes[:, :2] - new_boxes[:, 2:] / 2, new_boxes[:, :2] + new_boxes[:, 2:] / 2
    assert (inner[:, :2] - inner[:, 2:] / 2 >= lows - 2 / 32).all()
    assert (inner[:, :2] + inner[:, 2:] / 2 <= highs + 2 / 32).all()


def test_what_comes_from_outside_is_of_no_class() -> None:
    images, _, masks = rectangles(16)
    _, turned = JointAugmentation([v2.RandomRotation((45, 45))])(images, masks)
    assert (turned[:, 0, 0] == IGNORED).all()  # the corner
    assert set(turned.unique().tolist()) == {0, 1, IGNORED}
    masks[:, :4] = IGNORED
    _, same = JointAugmentation([v2.Identity()])(images, masks)
    assert torch.equal(same, masks)


def test_each_part_of_a_batch_has_draws_of_its_own_and_keeps_its_order() -> None:
    images, boxes, _ = rectangles(64)
    moved, new = JointAugmentation([v2.RandomHorizontalFlip(0.5)])(images, boxes)
    flipped = (moved == images.flip(3)).flatten(1).all(1)
    assert 8 <= int(flipped.sum()) <= 56
    torch.testing.assert_close(new[flipped, 0], 1 - boxes[flipped, 0])


def test_an_image_whose_box_would_be_lost_stays_as_it_is() -> None:
    images, _, _ = rectangles(16)
    corner = torch.tensor([[0.05, 0.05, 0.1, 0.1]] * 16)
    moved, new = JointAugmentation([v2.CenterCrop(16), v2.Resize(32)])(images, corner)
    assert torch.equal(moved, images)
    assert torch.equal(new, corner)


def test_what_cannot_be_used() -> None:
    images, boxes, masks = rectangles(4)
    with pytest.raises(TypeError, match=r"transforms of torchvision.transforms.v2.*got Identity"):
        JointAugmentation([nn.Identity()])
    with pytest.raises(TypeError, match="augment must be a list of modules"):
        JointAugmentation(["flip"])  # type: ignore[list-item]
    for places in (boxes, masks):
        with pytest.raises(ValueError, match="augment must keep the batch's shape"):
            JointAugmentation([v2.Resize(16)])(images, places)
    with pytest.raises(ValueError, match=r"augment must keep images in \[0, 1\]"):
        JointAugmentation([v2.Normalize([0.5], [0.1])])(images, boxes)


@pytest.mark.parametrize("transform", [v2.RandomRotation(20, fill=[0.4, 0.5, 0.6]), v2.SanitizeBoundingBoxes()])
def test_transforms_that_cannot_change_both(transform: v2.Transform) -> None:
    images, _, masks = rectangles(4)
    with pytest.raises(ValueError, match=rf"{type(transform).__name__} cannot change images together with their"):
        JointAugmentation([transform])(images, masks)


def test_an_augment_of_images_alone_is_refused() -> None:
    class Wrong(PlacesDataModule):
        def augment(self, images: Tensor) -> Tensor:
            return images.flip(3)

    with pytest.raises(TypeError, match=r"Wrong.augment would change images without their places: write augment_batch"):
        Wrong()
