"""On the official MNIST: real images against real ones, copies, and a test split without one class."""

from pathlib import Path

import pytest
import torch

from datamodules import MNISTDataModule
from evaluation.baselines import baselines
from evaluation.of_samples import copy_threshold, measure_samples
from evaluation.reference import Reference
from lit_models import LitClassifier


@pytest.mark.long
@pytest.mark.slow
def test_real_images_are_real_and_copies_are_found(real_data: Path) -> None:
    """The classifier is untrained: that distances see what they must does not need a good one."""
    data = MNISTDataModule(str(real_data), val_fraction=0)
    data.setup()
    torch.manual_seed(0)
    judge = LitClassifier((1, 28, 28)).eval()
    train = (part[:10_000] for part in data.split("train"))  # a sixth of the pixels to compare
    reference = Reference(*train, *data.split("test"), data.class_names, judge)
    threshold = copy_threshold(reference)
    sets = {name: pair for name, pair in baselines(reference, 1000).items() if name != "Gaussian a class"}
    found = {name: measure_samples(images, against, threshold) for name, (images, against) in sets.items()}
    real = found["real"].figures
    assert abs(real["fd_infinity"].value) < 4 * real["fd_infinity"].error
    assert abs(real["kd"].value) < 3 * real["kd"].error
    assert min(real[name].value for name in ("precision", "recall", "coverage")) > 0.9
    assert real["density"].value == pytest.approx(1, abs=0.07)
    assert real["copies"].value == pytest.approx(0.01, abs=0.01)
    assert found["training images"].figures["copies"].value == 1
    assert found["Gaussian"].figures["copies"].value < 0.01
    without = reference.floats("test")[reference.test_labels != 3][torch.randperm(8990)[:1000]]
    lacking = measure_samples(without, sets["real"][1], threshold).figures
    assert lacking["fd"].value > real["fd"].value + 3 * real["fd"].error
    assert lacking["coverage"].value < real["coverage"].value
