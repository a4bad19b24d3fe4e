"""CodeMixture and the even draw of rows: what is fitted, what is drawn, what is refused."""

import pytest
import torch
from torch import Tensor

from lit_models.code_mixture import CodeMixture, draw_evenly

CENTRES = torch.tensor([[-5.0, 0.0, 1.0], [5.0, 2.0, 1.0]], dtype=torch.float64)


def two_clouds(n: int) -> Tensor:
    """Codes of two Gaussians, a quarter of them of the first, whose first two values go together."""
    factors = torch.tensor([[[0.5, 0, 0], [0.4, 0.1, 0], [0, 0, 1]], [[1, 0, 0], [0, 1, 0], [0, 0, 0.1]]]).double()
    kind = (torch.arange(n) % 4 > 0).long()
    noise = torch.randn(n, 3, dtype=torch.float64)
    return CENTRES[kind] + torch.einsum("nij,nj->ni", factors[kind], noise)


def test_a_mixture_finds_the_gaussians_that_codes_come_from() -> None:
    codes = two_clouds(4000)
    mixture = CodeMixture(2, 3).double()
    mixture.fit(codes)
    order = mixture.means[:, 0].argsort()
    torch.testing.assert_close(mixture.weights[order], torch.tensor([0.25, 0.75]).double(), atol=0.02, rtol=0)
    torch.testing.assert_close(mixture.means[order], CENTRES, atol=0.1, rtol=0)
    first = mixture.factors[order][0]
    torch.testing.assert_close((first @ first.T)[0, 1], torch.tensor(0.2).double(), atol=0.03, rtol=0)


def test_samples_have_the_moments_of_the_codes() -> None:
    codes = two_clouds(4000)
    mixture = CodeMixture(2, 3).double()
    mixture.fit(codes)
    drawn = mixture.sample(20_000)
    assert drawn.dtype == torch.float64
    torch.testing.assert_close(drawn.mean(0), codes.mean(0), atol=0.15, rtol=0)
    torch.testing.assert_close(drawn.T.cov(), codes.T.cov(), atol=0.3, rtol=0.05)


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e4])
def test_a_mixture_fits_codes_of_any_scale(scale: float) -> None:
    codes = two_clouds(1000)
    plain, scaled = CodeMixture(2, 3).double(), CodeMixture(2, 3).double()
    plain.fit(codes)
    scaled.fit(codes * scale)
    torch.testing.assert_close(scaled.factors, plain.factors * scale)


def test_fits_are_alike_and_leave_the_random_state_alone() -> None:
    codes = two_clouds(200)
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    first, second = CodeMixture(5, 3), CodeMixture(5, 3)
    first.fit(codes)
    assert torch.equal(torch.rand(3), expected)
    second.fit(codes)
    for name, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[name]), name


@pytest.mark.parametrize("n", [2, 3, 7])
def test_fewer_codes_than_components(n: int) -> None:
    mixture = CodeMixture(5, 3)
    mixture.fit(two_clouds(50))
    mixture.fit(two_clouds(n))
    assert (mixture.weights[n:] == 0).all()
    torch.testing.assert_close(mixture.weights.sum(), torch.tensor(1.0))
    assert mixture.sample(100).isfinite().all()


def test_codes_that_are_all_the_same() -> None:
    mixture = CodeMixture(3, 2)
    mixture.fit(torch.full((20, 2), 7.0))
    torch.testing.assert_close(mixture.sample(10), torch.full((10, 2), 7.0))


@pytest.mark.parametrize("codes", [torch.zeros(1, 3), torch.full((5, 3), torch.nan)])
def test_codes_that_cannot_be_fitted(codes: Tensor) -> None:
    with pytest.raises(
        ValueError, match=r"fitted to (at least 2 codes, got 1: give it more|finite codes, got some that)"
    ):
        CodeMixture(2, 3).fit(codes)


def test_a_mixture_without_components() -> None:
    with pytest.raises(ValueError, match="num_components must be a whole number, at least 1, got 0"):
        CodeMixture(0, 3)


def test_a_sample_before_a_fit() -> None:
    with pytest.raises(RuntimeError, match=r"the mixture has not been fitted: call fit\(codes\) first"):
        CodeMixture(2, 3).sample(4)


@pytest.mark.parametrize("size", [1, 7, 100])
def test_an_even_draw_keeps_all_of_few_rows(size: int) -> None:
    rows = torch.arange(30.0)[:, None]
    assert torch.equal(draw_evenly(rows.split(size), 30), rows)
    assert torch.equal(draw_evenly(rows.split(size), 99), rows)


@pytest.mark.parametrize("size", [1, 13, 20_000])
def test_an_even_draw_takes_from_everywhere(size: int) -> None:
    rows = torch.arange(20_000.0)[:, None]
    drawn = draw_evenly(rows.split(size), 2000).flatten()
    assert len(drawn.unique()) == 2000
    counts = drawn.histc(10, 0, 20_000)  # 200 expected of each tenth, with a standard deviation of about 13
    assert (counts - 200).abs().max() < 60
    assert torch.equal(drawn, draw_evenly(rows.split(size), 2000).flatten())


def test_no_rows() -> None:
    with pytest.raises(ValueError, match="there are no training images to fit a mixture to"):
        draw_evenly([], 10)
