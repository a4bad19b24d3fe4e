"""Images that are no model's: their moments, and their order."""

import pytest
import torch

from evaluation.baselines import baselines
from evaluation.reference import Reference


@pytest.mark.parametrize("count", [30, 2000])
def test_a_gaussian_has_the_moments_of_the_pixels(count: int) -> None:
    """With fewer images than pixels, and with more."""
    generator = torch.Generator().manual_seed(0)
    images = (0.5 + 0.05 * torch.randn(count, 1, 6, 6, generator=generator)).clamp(0, 1)
    images[:, :, 1] = images[:, :, 0]  # pixels that go together
    labels = torch.zeros(count, dtype=torch.int64)
    images = torch.cat([images] * (4000 // count))
    labels = torch.cat([labels] * (4000 // count))
    drawn = baselines(Reference(images, labels, images[:9], labels[:9]), 3900)["Gaussian"][0].flatten(1)
    pixels = images.flatten(1)
    assert torch.allclose(drawn.mean(0), pixels.mean(0), atol=0.005)
    assert torch.allclose(drawn.T.cov(), pixels.T.cov(), atol=0.0006)


def test_wide_images_need_no_matrix_of_all_pixels() -> None:
    """Of two pictures all draws lie on the line through them."""
    images, labels = 0.4 + 0.02 * torch.rand(2, 3, 128, 128), torch.zeros(2, dtype=torch.int64)
    drawn = baselines(Reference(images, labels, images, labels), 2)["Gaussian"][0]
    way = (images[1] - images[0]).flatten()
    off = (drawn - images[0]).flatten(1)
    assert (off - (off @ way / way.dot(way)).unsqueeze(1) * way).abs().max() < 1e-5


def test_a_gaussian_a_class_is_in_random_order() -> None:
    """Errors by blocks would take blocks of one class each for chance."""
    labels = torch.arange(400) % 2
    images = 0.2 + 0.6 * labels.view(-1, 1, 1, 1).expand(-1, 1, 2, 2).float()
    drawn = baselines(Reference(images, labels, images[:9], labels[:9]), 400)["Gaussian a class"][0]
    bright = (drawn.mean((1, 2, 3)) > 0.5).float()
    assert bright.sum() == 200
    assert 60 < bright[:200].sum() < 140
