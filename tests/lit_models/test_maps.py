"""Codes that are flattened maps: the encoder, its mirror, and the classifiers on them."""

from functools import partial

import pytest
import torch
from torch import nn
from torch.nn.functional import conv2d, interpolate, pixel_unshuffle

from lit_models import LitAutoencoder, LitClassifier, LitVAE, load_model
from lit_models.networks import ConvHead, Head, MapClassifier, MapDecoder, MapEncoder
from lit_models.networks.conv_head import MapLayers
from lit_models.networks.maps import map_shape
from tests.lit_models.test_loading import save

SHAPE = (3, 16, 8)
SMALL = {"channels": (4, 6), "strides": (1, 2)}  # 6 maps of 8 x 4
MIRROR = {"channels": (6, 4), "strides": (2, 1)}
NARROW = {"hidden_dims": (6, 4), "pool_after": 1}


def gradients(network: nn.Module) -> dict[str, float]:
    return {name: float(value.grad.abs().sum()) for name, value in network.named_parameters()}


@pytest.mark.parametrize("condition_dim", [0, 7])
def test_encoder_keeps_the_contract(condition_dim: int) -> None:
    network = MapEncoder(SHAPE, 192, condition_dim, **SMALL, activation=nn.Tanh).double()
    x, condition = torch.rand(3, *SHAPE).double(), torch.eye(7)[:3].double() if condition_dim else None
    out = network(x, condition)
    assert out.shape == (3, 192)
    torch.testing.assert_close(network.features(x, condition), out)
    torch.testing.assert_close(network(x[:1], None if condition is None else condition[:1]), out[:1])
    if condition is not None:
        assert not torch.allclose(network(x, condition.flip(0)), out)
    out.square().sum().backward()
    assert all(gradients(network).values())


@pytest.mark.parametrize("condition_dim", [0, 7])
def test_decoder_keeps_the_contract(condition_dim: int) -> None:
    network = MapDecoder(192, SHAPE, condition_dim, **MIRROR, activation=nn.Tanh).double()
    z, condition = torch.randn(3, 192).double(), torch.eye(7)[:3].double() if condition_dim else None
    out = network(z, condition)
    assert out.shape == (3, *SHAPE)
    if condition is not None:
        assert not torch.allclose(network(z, condition.flip(0)), out)
    out.square().sum().backward()
    assert all(gradients(network).values())


def test_a_code_is_the_maps_row_by_row() -> None:
    network = MapEncoder((2, 8, 8), 3 * 16, channels=[3], strides=[2]).double()
    x = torch.rand(2, 2, 8, 8).double()
    layer = network.body[0]
    maps = conv2d(x, layer.weight, layer.bias, stride=2, padding=1).relu()
    torch.testing.assert_close(network(x).unflatten(1, (3, 4, 4)), maps)


def test_the_decoder_reads_maps_as_the_encoder_writes_them() -> None:
    """A code that is not zero in the upper left of its maps alone changes the upper left of the image alone."""
    decoder = MapDecoder(192, SHAPE, **MIRROR).double()
    code = torch.zeros(1, 6, 8, 4).double()
    code[:, :, :2, :2] = 1
    change = (decoder(code.flatten(1)) - decoder(torch.zeros(1, 192).double())).abs().sum((0, 1))
    assert change[:6, :6].sum() > 0
    assert change[6:].sum() == 0
    assert change[:, 6:].sum() == 0


def test_strides_that_are_not_two() -> None:
    encoder = MapEncoder((1, 18, 27), 5 * 6 * 9, channels=[4, 5], strides=[3, 1])
    decoder = MapDecoder(5 * 6 * 9, (1, 18, 27), channels=[5, 4], strides=[1, 3])
    assert decoder(encoder(torch.rand(2, 1, 18, 27))).shape == (2, 1, 18, 27)


def test_the_courseworks_sizes() -> None:
    assert map_shape((3, 32, 32), (32, 48, 96, 126), (1, 2, 2, 2)) == (126, 4, 4)
    model = LitAutoencoder((3, 32, 32), 2016, MapEncoder, MapDecoder, "mse", num_components=0)
    assert model.encode(torch.rand(1, 3, 32, 32)).shape == (1, 2016)
    assert model.reconstruct(torch.rand(1, 3, 32, 32)).shape == (1, 3, 32, 32)
    assert [*ConvHead(2016, 10).body.body[0].weight.shape] == [256, 126, 3, 3]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_an_autoencoder_of_maps_in_any_precision(dtype: torch.dtype) -> None:
    encoder, decoder = partial(MapEncoder, **SMALL), partial(MapDecoder, **MIRROR)
    model = LitAutoencoder(SHAPE, 192, encoder, decoder, num_components=0).to(dtype)
    x = torch.rand(1, *SHAPE).to(dtype)
    model.step(x, None, "train").backward()
    assert model.reconstruct(x).shape == (1, *SHAPE)
    assert set(gradients(model)) == {name for name, _ in model.named_parameters()}


def test_a_conditional_model_of_maps() -> None:
    encoder, decoder = partial(MapEncoder, **SMALL), partial(MapDecoder, **MIRROR | {"channels": (3, 4)})
    model = LitVAE(SHAPE, latent_dim=96, encoder=encoder, decoder=decoder, conditional=True)
    assert model.step(torch.rand(2, *SHAPE), torch.tensor([0, 9]), "train").isfinite()


@pytest.mark.parametrize("maps", [(5, 4, 4), (5, 3, 5), (5, 1, 1)])
@pytest.mark.parametrize("pool_after", [1, 2])
def test_head_takes_maps_of_any_size(maps: tuple[int, int, int], pool_after: int) -> None:
    size = maps[0] * maps[1] * maps[2]
    head = ConvHead(size, 3, maps, (6, 7), (6, 4), pool_after, dropout=0.0).double()
    codes = torch.randn(8, size).double()
    assert head(codes).shape == (8, 3)
    head(codes).square().sum().backward()
    assert all(gradients(head).values())
    head.eval()
    torch.testing.assert_close(head(codes[:1]), head(codes)[:1])


def test_head_standardizes_each_map() -> None:
    maps = (3, 2, 2)
    head = ConvHead(12, 4, maps, (6,), **NARROW).double()
    codes = torch.randn(500, 12).double() * torch.arange(1, 13) + torch.arange(12)
    head.set_scale(codes.mean(0), codes.std(0, correction=0))
    z = head.standardize(codes).unflatten(1, maps)
    torch.testing.assert_close(z.mean((0, 2, 3)), torch.zeros(3).double())
    torch.testing.assert_close(z.std((0, 2, 3), correction=0), torch.ones(3).double())
    # within a map nothing but one shift and one factor
    ratio = (codes.unflatten(1, maps)[1] - codes.unflatten(1, maps)[0]) / (z[1] - z[0])
    torch.testing.assert_close(ratio, ratio[:, :1, :1].expand_as(ratio))


def test_a_map_that_never_changes_is_only_centred() -> None:
    head = ConvHead(8, 4, (2, 2, 2), (6,), **NARROW)
    codes = torch.cat([torch.full((9, 4), 0.3), torch.rand(9, 4)], 1)
    head.set_scale(codes.mean(0), codes.std(0, correction=0))
    assert head.standardize(codes)[:, :4].abs().max() < 1e-6


def test_pooling_early_and_late_halves_once() -> None:
    sizes: list[list[int]] = []
    for pool_after in (1, 2, 3):
        layers = MapLayers(5, (6, 7, 8), (4,), pool_after)
        sizes.append([])
        for layer in layers.body:
            if isinstance(layer, nn.Conv2d):
                layer.register_forward_pre_hook(lambda _, inputs: sizes[-1].append(inputs[0].shape[-1]))
        layers(torch.rand(2, 5, 4, 4))
    assert sizes == [[4, 2, 2], [4, 4, 2], [4, 4, 4]]


@pytest.mark.parametrize("condition_dim", [0, 7])
@pytest.mark.parametrize("body", [SMALL, {"patch_size": 4, "channels": [], "strides": []}, SMALL | {"patch_size": 2}])
def test_classifier_keeps_the_contract(body: dict, condition_dim: int) -> None:
    options = {"head_channels": (6, 7), "hidden_dims": (6, 4), "dropout": 0.0} | {"pool_after": 1}
    network = MapClassifier(SHAPE, 5, condition_dim, **body, **options).double()
    x, condition = torch.rand(3, *SHAPE).double(), torch.eye(7)[:3].double() if condition_dim else None
    out = network(x, condition)
    assert out.shape == (3, 5)
    out.square().sum().backward()
    assert all(gradients(network).values())
    network.eval()
    torch.testing.assert_close(network.head(network.features(x, condition)), network(x, condition))


def test_end_to_end_is_encoder_and_head_in_one() -> None:
    """With the same weights both give the same logits, so that what differs is who trains the encoder."""
    options = {"hidden_dims": (6, 4), "pool_after": 1}
    encoder = MapEncoder(SHAPE, 192, **SMALL).double().eval()
    head = ConvHead(192, 5, (6, 8, 4), (7, 8), **options).double().eval()
    whole = MapClassifier(SHAPE, 5, **SMALL, head_channels=(7, 8), **options).double().eval()
    whole.maps[1].load_state_dict(encoder.body.state_dict())
    whole.body.load_state_dict(head.body.state_dict())
    whole.head.load_state_dict(head.logits.state_dict())
    x = torch.rand(3, *SHAPE).double()
    torch.testing.assert_close(whole(x), head(encoder(x)))


def test_pixels_are_the_head_on_patches() -> None:
    options = {"hidden_dims": (6, 4), "pool_after": 1}
    head = ConvHead(3 * 16 * 8, 5, (48, 4, 2), (7, 8), **options).double().eval()
    pixels = MapClassifier(SHAPE, 5, patch_size=4, channels=[], strides=[], head_channels=(7, 8), **options)
    pixels = pixels.double().eval()
    pixels.body.load_state_dict(head.body.state_dict())
    pixels.head.load_state_dict(head.logits.state_dict())
    x = torch.rand(3, *SHAPE).double()
    torch.testing.assert_close(pixels(x), head(pixel_unshuffle(x, 4).flatten(1)))


def test_a_classifier_of_maps_loads_from_its_checkpoint(tmp_path) -> None:
    encoder = partial(MapClassifier, **SMALL, head_channels=(6, 7), **NARROW)
    model = LitClassifier(SHAPE, encoder=encoder).eval()
    x = torch.rand(2, *SHAPE)
    assert torch.equal(load_model(save(model, tmp_path / "any.ckpt")).classify(x), model.classify(x))
    assert model.encode(x).shape == (2, 4)


ERRORS = [
    (
        lambda: MapEncoder((3, 32, 32), 128),
        r"out_dim must be 2016, the number of values in 126 maps of 4 x 4, got 128: set an autoencoder's latent_dim to",
    ),
    (lambda: MapDecoder(128, (3, 32, 32)), "in_dim must be 2016, the number of values in 126 maps of 4 x 4, got 128"),
    (
        lambda: MapEncoder((3, 28, 33), 2016),
        r"strides \[1, 2, 2, 2\] need height and width divisible by 8, got 28 x 33: resize the images to 32 x 32, or",
    ),
    (
        lambda: MapEncoder((3, 32, 32), 2016, channels=[4], strides=[1, 2]),
        r"strides must be as many as channels, 1, got 2: \[1, 2\]",
    ),
    (lambda: MapEncoder((3, 8, 8), 64, channels=[1], strides=[0]), "strides must be a list of whole numbers, each at"),
    (lambda: MapEncoder((3, 8, 8), 192, channels=[], strides=[]), "channels must name at least one layer"),
    (lambda: MapDecoder(192, (3, 8, 8), channels=[], strides=[]), "channels must name at least one layer"),
    (lambda: ConvHead(64, 10), "in_dim must be 2016, the number of values in 126 maps of 4 x 4, got 64"),
    (lambda: ConvHead(64, 10, maps=(4, 16)), r"maps must be \(C, h, w\), got \(4, 16\)"),
    (lambda: ConvHead(2016, 10, pool_after=4), "pool_after must be in 1 .. 3, the number of channels, got 4"),
    (lambda: ConvHead(2016, 10, pool_after=0), "pool_after must be in 1 .. 3, the number of channels, got 0"),
    (lambda: ConvHead(2016, 10, channels=()), r"channels and hidden_dims must not be empty, got \[\] and \[512, 256\]"),
    (lambda: ConvHead(2016, 10, hidden_dims=()), "channels and hidden_dims must not be empty"),
    (lambda: ConvHead(2016, 10, dropout=1.0), r"dropout must be in \[0, 1\), got 1.0"),
    (
        lambda: MapClassifier((3, 30, 32), 10, patch_size=8),
        "patch_size must be at least 1 and divide height and width, 30 x 32, got 8: choose another, or resize the imag",
    ),
    (lambda: MapClassifier((3, 32, 32), 10, patch_size=0), "patch_size must be at least 1 .* got 0"),
]


@pytest.mark.parametrize(("build", "message"), ERRORS)
def test_arguments_that_do_not_fit(build, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()


@pytest.mark.slow
def test_an_autoencoder_of_maps_overfits_a_batch() -> None:
    torch.manual_seed(0)
    encoder = partial(MapEncoder, channels=[16, 8], strides=[1, 2])
    decoder = partial(MapDecoder, channels=[8, 16], strides=[2, 1])
    model = LitAutoencoder(SHAPE, 256, encoder, decoder, "mse", num_components=0)
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    x = interpolate(torch.rand(8, 3, 4, 2), SHAPE[1:], mode="bilinear")
    for _ in range(300):
        optimizer.zero_grad()
        loss = model.step(x, None, "train")
        loss.backward()
        optimizer.step()
    assert loss < 0.1 * x.var()


@pytest.mark.slow
def test_head_and_classifier_overfit_a_batch() -> None:
    torch.manual_seed(0)
    x, y = torch.rand(16, *SHAPE), torch.arange(16) % 4
    options = {"hidden_dims": (16, 16), "pool_after": 1}
    head: Head = ConvHead(384, 4, SHAPE, (16, 16), **options)
    whole = MapClassifier(SHAPE, 4, **SMALL, head_channels=(16, 16), **options)
    for network, inputs in ((head, x.flatten(1)), (whole, x)):
        optimizer = torch.optim.Adam(network.parameters(), 1e-2)
        for _ in range(300):
            optimizer.zero_grad()
            nn.functional.cross_entropy(network(inputs), y).backward()
            optimizer.step()
        assert (network.eval()(inputs).argmax(1) == y).all()
