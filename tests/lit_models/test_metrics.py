"""Figures of an epoch do not depend on how the batches were cut."""

from collections.abc import Callable

import pytest
import torch
from torchmetrics import Metric

from lit_models.metrics import ActiveUnits, EpochMeans, HiddenUnits, reset


@pytest.mark.parametrize("cuts", [[10], [4, 4, 2], [9, 1]])
def test_means_weigh_every_image_the_same(cuts: list[int]) -> None:
    losses = torch.arange(10.0)
    metric = EpochMeans(["loss", "twice"])
    for part in losses.split(cuts):
        metric.update([part.mean(), 2 * part.mean()], len(part))
    assert {name: value.item() for name, value in metric.compute().items()} == pytest.approx({"loss": 4.5, "twice": 9})


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_sums_stay_wide_in_a_model_of_16_bits(dtype: torch.dtype) -> None:
    """In 16 bits the sum would stall, or overflow: 552 an image, 100 batches of 128."""
    metric = EpochMeans(["loss"]).to(dtype)
    for _ in range(100):
        metric.update([torch.tensor(552.0, dtype=dtype)], 128)
    assert metric.compute()["loss"].item() == 552.0
    assert metric.total.dtype == torch.float32


def test_means_keep_no_graph() -> None:
    metric = EpochMeans(["loss"])
    metric.update([torch.ones((), requires_grad=True) * 2], 3)
    assert not metric.compute()["loss"].requires_grad


def test_active_units_over_batches() -> None:
    mu = torch.stack([torch.randn(100), torch.zeros(100)], dim=1)
    metric = ActiveUnits(2)
    for part in mu.split(33):
        metric.update(part)
    assert metric.compute().item() == 1


def test_hidden_units_over_batches_of_any_cut() -> None:
    probabilities = torch.tensor([[0.0, 0.5], [0.999, 0.5], [0.2, 0.001]])
    metric = HiddenUnits(2)
    for part in probabilities.split([2, 1]):
        metric.update(part.logit())
    figures = metric.compute()
    assert figures["hidden_activation"].item() == pytest.approx(probabilities.mean().item())
    assert figures["saturated_share"].item() == pytest.approx(3 / 6)
    torch.testing.assert_close(metric.activation, probabilities.mean(0))


@pytest.mark.parametrize("make", [lambda: EpochMeans(["loss"]), lambda: ActiveUnits(2), lambda: HiddenUnits(2)])
def test_what_inference_mode_reset_can_be_added_to_outside(make: Callable[[], Metric]) -> None:
    metric = make()
    batch = ([torch.zeros(())], 1) if isinstance(metric, EpochMeans) else (torch.zeros(3, 2),)
    with torch.inference_mode():
        metric.update(*batch)
        reset(metric)
    metric.update(*batch)
    assert metric.update_count == 1
