"""Probes on codes: how sure their accuracy is."""

import pytest
import torch
from torch import Tensor

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
