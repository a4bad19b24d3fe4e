"""Residual networks keep the shape contract, start as straight paths, and use and train all of their parameters."""

from functools import partial

import pytest
import torch
from torch import nn

from lit_models import LitAutoencoder, LitGAN, LitVAE
from lit_models.networks import ResidualDecoder, ResidualEncoder
from lit_models.networks.residual import ResidualBlock

LEAKY = partial(nn.LeakyReLU, negative_slope=0.2)
SETTINGS = [
    {},
    {"channels": [4, 6, 8], "blocks": 2, "activation": nn.SiLU},
    {"channels": (4,), "norm": nn.BatchNorm2d, "activation": LEAKY},
]
SHAPES = [(1, 28, 28), (3, 64, 64), (2, 8, 40)]


def fits(shape: tuple[int, int, int], settings: dict) -> bool:
    return all(size % 2 ** len(settings.get("channels", [32, 64])) == 0 for size in shape[1:])


CASES = [(shape, settings) for shape in SHAPES for settings in SETTINGS if fits(shape, settings)]


def condition_of(network: nn.Module, condition_dim: int) -> torch.Tensor | None:
    """Three conditions, or None; and no convolution at zero, where parameters before it have gradients of zero."""
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return torch.eye(7)[:3].double() if condition_dim else None


@pytest.mark.parametrize("condition_dim", [0, 7])
@pytest.mark.parametrize(("shape", "settings"), CASES)
def test_encoder(shape: tuple[int, int, int], settings: dict, condition_dim: int) -> None:
    network = ResidualEncoder(shape, 5, condition_dim, **settings).double().eval()
    condition = condition_of(network, condition_dim)
    x = torch.rand(3, *shape).double()
    out = network(x, condition)
    assert out.shape == (3, 5)
    torch.testing.assert_close(network.head(network.features(x, condition)), out)
    torch.testing.assert_close(network(x[:1], None if condition is None else condition[:1]), out[:1])
    assert condition is None or not torch.allclose(network(x, condition.flip(0)), out)
    out.square().sum().backward()
    assert all(parameter.grad.any() for parameter in network.parameters())


@pytest.mark.parametrize("condition_dim", [0, 7])
@pytest.mark.parametrize(("shape", "settings"), CASES)
def test_decoder(shape: tuple[int, int, int], settings: dict, condition_dim: int) -> None:
    network = ResidualDecoder(5, shape, condition_dim, **settings).double().eval()
    condition = condition_of(network, condition_dim)
    z = torch.randn(3, 5).double()
    out = network(z, condition)
    assert out.shape == (3, *shape)
    torch.testing.assert_close(network(z[:1], None if condition is None else condition[:1]), out[:1])
    assert condition is None or not torch.allclose(network(z, condition.flip(0)), out)
    out.square().sum().backward()
    assert all(parameter.grad.any() for parameter in network.parameters())


def test_a_new_block_is_the_identity_and_learns_to_be_another() -> None:
    block = ResidualBlock(4).double()
    x = torch.randn(2, 4, 5, 7).double()
    assert torch.equal(block(x), x)
    optimizer = torch.optim.Adam(block.parameters())
    before = [parameter.clone() for parameter in block.parameters()]
    for _ in range(2):  # the first step moves the convolution at zero, the second all parameters
        optimizer.zero_grad()
        (block(x) - x.flip(3)).square().sum().backward()
        optimizer.step()
    assert all(not torch.equal(old, new) for old, new in zip(before, block.parameters(), strict=True))


@pytest.mark.parametrize("blocks", [1, 3])
def test_depth_leaves_a_new_network_as_it_is(blocks: int) -> None:
    """So that activations neither vanish nor explode, however many blocks there are."""
    one, many = (ResidualEncoder((3, 16, 16), 5, channels=[4, 8], blocks=number).double() for number in (1, blocks))
    strided = [[part for part in network.body if isinstance(part, nn.Conv2d)] for network in (one, many)]
    for source, target in zip([*strided[0], one.head], [*strided[1], many.head], strict=True):
        target.load_state_dict(source.state_dict())
    x = torch.rand(2, 3, 16, 16).double()
    assert sum(isinstance(part, ResidualBlock) for part in many.body) == 2 * blocks
    torch.testing.assert_close(many(x), one(x))


def test_new_networks_are_linear() -> None:
    """The skips join into one path without activations: f(a) + f(b) = f(a + b) + f(0)."""
    for network, shape in (
        (ResidualEncoder((3, 16, 16), 5, channels=[4, 8]), (3, 16, 16)),
        (ResidualDecoder(5, (3, 16, 16), channels=[8, 4]), (5,)),
    ):
        a, b = torch.randn(2, 2, *shape).double()
        f = network.double()
        torch.testing.assert_close(f(a) + f(b), f(a + b) + f(torch.zeros_like(a)))


def test_every_doubling_covers_all_pixels_equally_often() -> None:
    """With all weights equal, equal codes make equal pixels, away from the border: no checkerboard."""
    network = ResidualDecoder(5, (1, 32, 32), channels=[4, 4]).double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.fill_(0.1)
    for part in network.body:
        if isinstance(part, nn.ConvTranspose2d):
            out = part(torch.ones(1, 4, 8, 8).double())[..., 1:-1, 1:-1]
            torch.testing.assert_close(out, out.mean().expand_as(out))


@pytest.mark.parametrize("make", [ResidualEncoder, ResidualDecoder])
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"channels": [4, 8]}, "2 layers of stride 2 need height and width divisible by 4, got 30 x 28: resize the"),
        ({"channels": []}, "channels must name at least one layer, got an empty list"),
        ({"channels": [4, 0]}, r"channels must be a list of whole numbers, each at least 1, got \[4, 0\]"),
        ({"channels": [4], "blocks": 0}, "blocks must be at least 1, got 0: stages without any are ConvEncoder and"),
    ],
)
def test_bad_settings(make, settings: dict, message: str) -> None:
    sizes = ((1, 30, 28), 5) if make is ResidualEncoder else (5, (1, 30, 28))
    with pytest.raises(ValueError, match=message):
        make(*sizes, **settings)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_in_the_models(dtype: torch.dtype) -> None:
    shape = (3, 16, 16)
    encoder = partial(ResidualEncoder, channels=[4, 8])
    decoder = partial(ResidualDecoder, channels=[8, 4])
    for batch in (1, 4):
        x, y = torch.rand(batch, *shape, dtype=dtype), torch.arange(batch)
        vae = LitVAE(shape, 3, encoder, decoder, conditional=True, likelihood="gaussian").to(dtype)
        assert vae.step(x, y, "train").isfinite()
        assert LitAutoencoder(shape, 3, encoder, decoder).to(dtype).step(x, y, "train").isfinite()
        gan = LitGAN(shape, generator=decoder, discriminator=encoder, conditional=True).to(dtype)
        assert gan.sample(batch, y).shape == x.shape
        assert gan.encode(x, y).shape == (batch, 8 * 4 * 4)


@pytest.mark.slow
def test_overfits_a_batch_with_many_blocks_and_no_normalization() -> None:
    torch.manual_seed(0)
    x = torch.rand(8, 3, 8, 8)
    settings = {"channels": [16], "blocks": 8}
    encoder, decoder = ResidualEncoder((3, 8, 8), 8, **settings), ResidualDecoder(8, (3, 8, 8), **settings)
    optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], 2e-3)
    for _ in range(300):
        optimizer.zero_grad()
        loss = (decoder(encoder(x)).sigmoid() - x).square().mean()
        loss.backward()
        optimizer.step()
    assert loss < 0.1 * x.var()
