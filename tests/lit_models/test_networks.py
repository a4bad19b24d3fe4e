"""Networks keep the shape contract of Encoder and Decoder, with and without a condition, at every size that fits."""

from functools import partial

import pytest
import torch
from torch import nn

from lit_models import LitClassifier, LitGAN, LitVAE
from lit_models.networks import (
    ConvDecoder,
    ConvEncoder,
    DCGANDiscriminator,
    DCGANGenerator,
    Encoder,
    MapClassifier,
    MLPDecoder,
    MLPEncoder,
    PooledConvEncoder,
    ShallowConvEncoder,
)

ENCODERS = [
    MLPEncoder,
    partial(MLPEncoder, hidden_dims=[], activation=nn.Tanh),
    ConvEncoder,
    partial(ConvEncoder, channels=[4, 8], norm=nn.BatchNorm2d, activation=partial(nn.LeakyReLU, negative_slope=0.2)),
    DCGANDiscriminator,
    partial(DCGANDiscriminator, first_norm=True, pool=4, kernels=[4, 4, 4, 3]),
    PooledConvEncoder,
    partial(ShallowConvEncoder, channels=3, kernel_size=3, mean=0.5, std=0.25),
    partial(MapClassifier, channels=[4, 6], strides=[1, 2], head_channels=[6, 8], hidden_dims=[8], pool_after=1),
]
DECODERS = [
    MLPDecoder,
    ConvDecoder,
    partial(ConvDecoder, channels=[8], norm=nn.BatchNorm2d),
    DCGANGenerator,
    partial(DCGANGenerator, dropout=0.3),
]
SHAPES = [(1, 28, 28), (3, 32, 20), (2, 16, 64)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("condition_dim", [0, 7])
@pytest.mark.parametrize("make", ENCODERS)
def test_encoders(make, condition_dim: int, shape: tuple[int, int, int]) -> None:
    network = make(shape, 5, condition_dim).double().eval()
    x = torch.rand(3, *shape).double()
    condition = torch.eye(7)[:3].double() if condition_dim else None
    out = network(x, condition)
    assert out.shape == (3, 5)
    torch.testing.assert_close(network.head(network.features(x, condition)), out)
    torch.testing.assert_close(network(x[:1], None if condition is None else condition[:1]), out[:1])
    if condition is not None:
        assert not torch.allclose(network(x, condition.flip(0)), out)
    out.sum().backward()
    assert all(p.grad is not None for p in network.parameters())


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("condition_dim", [0, 7])
@pytest.mark.parametrize("make", DECODERS)
def test_decoders(make, condition_dim: int, shape: tuple[int, int, int]) -> None:
    network = make(5, shape, condition_dim).double().eval()
    z = torch.randn(3, 5).double()
    condition = torch.eye(7)[:3].double() if condition_dim else None
    out = network(z, condition)
    assert out.shape == (3, *shape)
    if condition is not None:
        assert not torch.allclose(network(z, condition.flip(0)), out)
    out.sum().backward()
    assert all(p.grad is not None for p in network.parameters())


@pytest.mark.parametrize("make", ENCODERS)
def test_every_encoder_works_in_every_model_that_takes_one(make) -> None:
    shape, x, y = (3, 16, 16), torch.rand(4, 3, 16, 16), torch.arange(4)
    vae = LitVAE(shape, latent_dim=3, encoder=make, decoder=ConvDecoder, conditional=True)
    assert vae.step(x, y, "train").isfinite()
    assert LitGAN(shape, discriminator=make, conditional=True).encode(x, y).shape[0] == 4
    assert LitClassifier(shape, encoder=make).step(x, y, "train").isfinite()


@pytest.mark.parametrize("make", [ConvEncoder, ConvDecoder])
def test_a_size_that_the_strides_do_not_divide(make) -> None:
    sizes = ((1, 30, 28), 5) if make is ConvEncoder else (5, (1, 30, 28))
    message = (
        r"2 layers of stride 2 need height and width divisible by 4, got 30 x 28: resize the images to 32 x 28, or"
    )
    with pytest.raises(ValueError, match=message):
        make(*sizes, channels=[4, 8])


@pytest.mark.parametrize(
    ("channels", "message"),
    [
        ([], "channels must name at least one layer, got an empty list"),
        ([4, 0], r"channels must be a list of whole numbers, each at least 1, got \[4, 0\]"),
        (4, "channels must be a list of whole numbers, each at least 1, got 4"),
    ],
)
def test_channels_out_of_range(channels, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ConvEncoder((1, 8, 8), 5, channels=channels)


# Lightning's advice on modules among arguments, before ours is said
@pytest.mark.filterwarnings("ignore:Attribute 'encoder' is an instance of `nn.Module`")
@pytest.mark.parametrize("given", [MLPEncoder((1, 8, 8), 4), "MLPEncoder", None])
def test_what_is_no_factory(given) -> None:
    with pytest.raises(TypeError, match=r"encoder must be a factory, a class or functools.partial\(class, ...\)"):
        LitVAE((1, 8, 8), latent_dim=2, encoder=given)


def wider(image_shape, out_dim, condition_dim):
    return MLPEncoder(image_shape, out_dim + 2, condition_dim)


def higher(in_dim, image_shape, condition_dim):
    return MLPDecoder(in_dim, (1, 9, 8), condition_dim)


@pytest.mark.parametrize("options", [{"encoder": wider}, {"decoder": higher}, {"encoder": wider, "conditional": True}])
def test_networks_of_other_sizes_than_asked(options: dict) -> None:
    with pytest.raises(ValueError, match=r"must give \(1, .*\) for one input, .* got \(1, "):
        LitVAE((1, 8, 8), latent_dim=2, **options)


def test_factories_of_ones_own(tmp_path) -> None:
    """A function that takes a class first is a factory too, which only a recipe cannot say."""

    def make(activation, image_shape, out_dim, condition_dim):
        return MLPEncoder(image_shape, out_dim, condition_dim, activation=activation)

    model = LitVAE((1, 8, 8), encoder=partial(make, nn.GELU))
    assert model.recipe["init_args"]["encoder"]["class_path"].startswith("<")


def test_a_network_without_features_says_so() -> None:
    class Bare(Encoder):
        def __init__(self, image_shape, out_dim, condition_dim) -> None:
            super().__init__()
            self.out = nn.Linear(image_shape[1] * image_shape[2], out_dim)

        def forward(self, x, condition=None):
            return self.out(x.flatten(1))

    model = LitGAN((1, 28, 28), discriminator=Bare)
    with pytest.raises(NotImplementedError, match=r"Bare has no features\(x, condition\), which codes are made of"):
        model.encode(torch.rand(2, 1, 28, 28))
    assert LitVAE((1, 28, 28), encoder=Bare).encode(torch.rand(2, 1, 28, 28)).shape == (2, 20)


def test_the_shallow_network_is_the_courseworks_and_standardizes_by_itself() -> None:
    torch.manual_seed(0)
    network = ShallowConvEncoder((1, 28, 28), 10, mean=0.1307, std=0.3081).double()
    assert network.head.in_features == 1352
    assert sum(parameter.numel() for parameter in network.parameters()) == 8 * 5 + 13530
    x = torch.rand(3, 1, 28, 28, dtype=torch.float64)
    convolution = network.body[0]
    wanted = nn.functional.conv2d((x - 0.1307) / 0.3081, convolution.weight, convolution.bias).relu()
    wanted = network.head(nn.functional.max_pool2d(wanted, 2).flatten(1))
    torch.testing.assert_close(network(x), wanted)
    network(x).sum().backward()
    assert all(parameter.grad.abs().max() > 0 for parameter in network.parameters())
    conditional = ShallowConvEncoder((3, 3, 5), 2, condition_dim=4, channels=6)
    assert conditional(torch.rand(1, 3, 3, 5), torch.rand(1, 4)).shape == (1, 2)


@pytest.mark.parametrize(
    ("shape", "options", "message"),
    [
        ((1, 28, 28), {"channels": 0}, "channels and kernel_size must be at least 1, got 0 and 2"),
        ((1, 28, 28), {"kernel_size": 0}, "channels and kernel_size must be at least 1, got 8 and 0"),
        ((1, 28, 28), {"std": 0.0}, r"std must be above 0, got 0\.0"),
        ((1, 2, 28), {}, r"image_shape must have height and width of at least 3, kernel_size \+ 1, got \(1, 2, 28\)"),
    ],
)
def test_the_shallow_network_refuses_in_words(shape: tuple[int, int, int], options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ShallowConvEncoder(shape, 10, **options)
