"""Probes on codes, how sure their accuracy is; principal components of small images and of large ones."""

import numpy as np
import pytest
import torch
from torch import Tensor

from evaluation.codes import pca_errors
from evaluation.of_models import measure_codes
from evaluation.reference import Reference


class Rows:
    """Codes that are the pixels."""

    def encode(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return x.flatten(1)


def test_draws_that_are_all_the_same_images_are_not_certain() -> None:
    """With no more labels than each draw takes, the test images alone make the error."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(200) % 2
    images = 0.5 + 0.1 * (labels - 0.5).view(-1, 1, 1, 1) + 0.1 * torch.randn(200, 1, 2, 2, generator=generator)
    images = images.clamp(0, 1)
    reference = Reference(images[:100], labels[:100], images[100:], labels[100:], ("a", "b"))
    probe = measure_codes(Rows(), reference, draws=3, n_labels=5000)["probe"]
    assert probe.n == 100
    assert probe.error == pytest.approx((probe.value * (1 - probe.value) / 100) ** 0.5, rel=0.2)


@pytest.mark.parametrize("components", [3, 35, 100])
@pytest.mark.parametrize("side", [8, 40])
def test_principal_components_are_the_best_at_any_size_of_images(side: int, components: int) -> None:
    """40 x 40 in colour are more pixels than a covariance is made for, and more than there are images."""
    train, test = (torch.rand(n, 3, side, side) * torch.linspace(0, 1, side) for n in (40, 7))
    inputs, held_out = (images.flatten(1).double().numpy() for images in (train, test))
    mean = inputs.mean(0)
    rows = np.linalg.svd(inputs - mean, full_matrices=False)[2][: min(components, 39)]
    truth = np.square(((held_out - mean) @ rows.T @ rows + mean).clip(0, 1) - held_out).mean(1)
    assert pca_errors(train, test, components).numpy() == pytest.approx(truth, rel=1e-3)
