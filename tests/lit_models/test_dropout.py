"""Dropout by bytes against what dropout is."""

import pytest
import torch

from lit_models.networks.dropout import ByteDropout


@pytest.mark.parametrize("p", [0.0, 0.3, 0.5, 0.9])
def test_drops_the_share_and_keeps_the_mean(p: float) -> None:
    x = torch.ones(1000, 301, dtype=torch.float64)
    out = ByteDropout(p)(x)
    assert (out == 0).double().mean().item() == pytest.approx(p, abs=0.005)
    assert out.mean().item() == pytest.approx(1, abs=0.01 / (1 - p))
    assert len(out.unique()) <= 2  # dropped, or scaled by one factor


@pytest.mark.parametrize("p", [0.001, 0.01, 0.1])
def test_shares_that_no_byte_has_are_kept_to(p: float) -> None:
    torch.manual_seed(0)
    dropped = (ByteDropout(p)(torch.ones(1000, 1000)) == 0).double().mean().item()
    assert dropped == pytest.approx(p, rel=0.1)


@pytest.mark.parametrize("p", [-0.1, 1.0])
def test_a_share_out_of_range(p: float) -> None:
    with pytest.raises(ValueError, match=r"dropout must be in \[0, 1\), got"):
        ByteDropout(p)


def test_values_are_dropped_independently() -> None:
    kept = (ByteDropout(0.5)(torch.ones(200_000, 8)) > 0).double()
    correlation = torch.corrcoef(kept.T) - torch.eye(8)
    assert correlation.abs().max() < 0.01
    assert not torch.equal(kept[:100], kept[100:200])


def test_gradients_pass_where_values_do() -> None:
    x = torch.ones(50, requires_grad=True)
    out = ByteDropout(0.3)(x)
    out.sum().backward()
    assert torch.equal(x.grad, out.detach())


def test_does_nothing_in_eval_mode() -> None:
    x = torch.rand(3, 5)
    assert torch.equal(ByteDropout(0.7).eval()(x), x)


def test_shape_and_dtype_stay() -> None:
    x = torch.rand(3, 5, 7).bfloat16()
    out = ByteDropout(0.3)(x)
    assert out.shape == x.shape
    assert out.dtype == x.dtype
