"""Interpolation: which pairs, what is decoded between them, how it is drawn, with any model and any data."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback, seed_everything
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from callbacks import Interpolation
from callbacks.image_pairs import image_pairs
from callbacks.interpolation import interpolate
from callbacks.interpolation_strips import interpolation_strips
from datamodules import DigitsDataModule
from lit_models import LitGAN, LitRBM, LitVAE
from tests.callbacks.test_callbacks import Mute, make_trainer, pictures


class Identity(Mute):
    """Its codes are the pixels; it remembers what it was asked to encode and to decode."""

    def __init__(self, conditional: bool = False) -> None:
        super().__init__()
        self.conditional = conditional
        self.num_classes = 10
        self.encoded: list[tuple[Tensor, Tensor | None]] = []
        self.decoded: list[tuple[Tensor, Tensor | None]] = []

    def read_batch(self, batch: list[Tensor] | Tensor) -> tuple[Tensor, Tensor | None]:
        return (batch, None) if isinstance(batch, Tensor) else (batch[0], batch[1] if len(batch) > 1 else None)

    def encode(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        assert not self.training
        self.shape = x.shape[1:]
        self.encoded.append((x, y))
        return x.flatten(1)

    def decode(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        self.decoded.append((z, y))
        return z.unflatten(1, self.shape)


def loader(labels: list[int] | None, n: int = 0, shape: tuple[int, int, int] = (1, 6, 4)) -> DataLoader:
    x = torch.rand(n if labels is None else len(labels), *shape, generator=torch.Generator().manual_seed(0))
    return DataLoader(TensorDataset(x) if labels is None else TensorDataset(x, torch.tensor(labels)), 8)


def labels_of(model: Identity, data: DataLoader) -> list[tuple[int, int]]:
    """Of both images of each pair that the model encoded, found by looking for the images."""
    images, labels = data.dataset.tensors
    found = [[int(labels[(images == one).flatten(1).all(1)]) for one in x] for x, _ in model.encoded[-2:]]
    return list(zip(*found, strict=True))


def fit(folder: Path, model: Mute, data: DataLoader, *callbacks: Callback, epochs: int = 1, **options) -> None:
    make_trainer(folder, *callbacks, epochs=epochs, **options).fit(model, data, data)


# -- pairs ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("same_class", [False, True])
def test_pairs_fit_and_use_no_image_twice(same_class: bool, seed: int) -> None:
    labels = torch.arange(60) % 5
    pairs = image_pairs(labels, 12, same_class, seed)
    assert pairs.shape == (12, 2)
    assert len(pairs.unique()) == 24
    assert ((labels[pairs[:, 0]] == labels[pairs[:, 1]]) == same_class).all()
    assert torch.equal(pairs, image_pairs(labels, 12, same_class, seed))
    assert not torch.equal(pairs, image_pairs(labels, 12, same_class, seed + 1))


@pytest.mark.parametrize(
    ("labels", "same_class", "count"),
    [
        ([0], False, 0),
        ([0, 1], True, 0),
        ([0, 1, 2, 0], True, 1),
        ([3, 3, 3, 3, 3], False, 2),  # one class alone: pairs of it
        ([0, 0, 0, 1], False, 2),
        (list(range(7)), False, 3),
    ],
)
def test_fewer_pairs_where_the_images_run_out(labels: list[int], same_class: bool, count: int) -> None:
    pairs = image_pairs(torch.tensor(labels), 9, same_class)
    assert pairs.shape == (count, 2)
    assert len(pairs.unique()) == 2 * count


# -- images on the way ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 7, 5)])
@pytest.mark.parametrize("prior", ["standard", "mixture"])
@pytest.mark.parametrize("conditional", [False, True])
def test_the_ends_are_the_reconstructions(conditional: bool, prior: str, shape: tuple[int, int, int]) -> None:
    model = LitVAE(shape, latent_dim=3, conditional=conditional, prior=prior, num_components=2).double().eval()
    starts, ends = torch.rand(2, 4, *shape, dtype=torch.float64).unbind()
    y = torch.tensor([1, 7, 0, 1]) if conditional else None
    with torch.no_grad():
        walk = interpolate(model, starts, ends, 5, y)
        torch.testing.assert_close(walk[:, 0], model.reconstruct(starts, y))
        torch.testing.assert_close(walk[:, -1], model.reconstruct(ends, y))
        middle = model.decode((model.encode(starts, y) + model.encode(ends, y)) / 2, y)
        torch.testing.assert_close(walk[:, 2], middle)
        assert (walk[:, 1] - walk[:, 0]).abs().max() > 1e-4


def test_nothing_is_drawn_at_random() -> None:
    model = LitVAE((1, 8, 8), latent_dim=3)
    x = torch.rand(2, 1, 8, 8)
    before = torch.get_rng_state()
    walks = [interpolate(model, x[:1], x[1:], 4) for _ in range(2)]
    assert torch.equal(*walks)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_line_is_straight_and_evenly_walked() -> None:
    model = Identity().eval()
    starts, ends = torch.rand(2, 3, 1, 4, 4, dtype=torch.float64).unbind()
    walk = interpolate(model, starts, ends, 7)
    steps = walk.diff(dim=1)
    torch.testing.assert_close(steps, ((ends - starts) / 6).unsqueeze(1).expand_as(steps))
    assert torch.equal(walk[:, 0], starts)
    assert torch.equal(walk[:, -1], ends)


def test_a_machine_of_binary_units_has_a_line_too() -> None:
    model = LitRBM((1, 6, 6), hidden_dim=4).eval()
    model.fit_scale([torch.rand(20, 1, 6, 6)])
    with torch.no_grad():
        model.weight.normal_()
        x = torch.rand(2, 1, 6, 6)
        walk = interpolate(model, x[:1], x[1:], 3)
        torch.testing.assert_close(walk[0, [0, 2]], model.reconstruct(x))


# -- the drawing ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 3])
def test_originals_stand_apart_from_what_is_decoded(channels: int) -> None:
    starts, ends = torch.zeros(2, channels, 8, 8), torch.full((2, channels, 8, 8), 0.9)
    walk = torch.linspace(0.1, 0.5, 5).view(1, 5, 1, 1, 1).expand(2, 5, channels, 8, 8)
    figure = interpolation_strips(starts, [walk], ends, ["a", "b"], ["a model"])
    (axes,) = figure.axes
    picture = np.asarray(axes.get_images()[0].get_array())
    assert picture.shape == ((18, 73) if channels == 1 else (18, 73, 3))  # 7 images of 9 pixels and two gaps of 5
    row = picture[3].reshape(73, -1)[:, 0]
    expected = [0.0] * 8 + [1.0] * 6
    for value in (0.1, 0.2, 0.3, 0.4, 0.5):
        expected += [value] * 8 + [1.0]
    np.testing.assert_allclose(row, [*expected, *[1.0] * 5, *[0.9] * 8, 1.0], atol=1e-6)
    centers = [round(tick) for tick in axes.get_xticks()]
    np.testing.assert_allclose(row[centers], [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.9], atol=1e-6)
    assert [text.get_text() for text in axes.get_yticklabels()] == ["a", "b"]
    assert axes.get_title() == "a model"


def test_two_models_stand_side_by_side(tmp_path: Path) -> None:
    starts, ends = torch.rand(2, 3, 1, 8, 8).unbind()
    walks = [torch.rand(3, 4, 1, 8, 8), torch.rand(3, 4, 1, 8, 8)]
    figure = interpolation_strips(starts, walks, ends, ["1", "2", "3"], ["Autoencoder", "VAE"])
    figure.savefig(tmp_path / "two.png")
    left, right = figure.axes
    assert (left.get_title(), right.get_title()) == ("Autoencoder", "VAE")
    assert (len(left.get_yticklabels()), len(right.get_yticklabels())) == (3, 0)
    assert left.get_position().x1 < right.get_position().x0
    shown = [np.asarray(axes.get_images()[0].get_array()) for axes in (left, right)]
    assert np.array_equal(shown[0][:, :8], shown[1][:, :8])
    assert not np.array_equal(shown[0], shown[1])


# -- the callback -----------------------------------------------------------------------------------------------------


def test_pairs_are_of_different_classes_of_held_out_images(tmp_path: Path) -> None:
    model, data = Identity(), loader([0, 1, 2, 3] * 10)
    train = loader([5] * 16)
    make_trainer(tmp_path, Interpolation(rows=6, every_n_epochs=1), epochs=2).fit(model, train, data)
    assert pictures(tmp_path) == {"interpolations_epoch001.png", "interpolations_epoch002.png"}
    pairs = labels_of(model, data)
    assert len(pairs) == 6
    assert all(one != other for one, other in pairs)
    first, second = (model.encoded[i][0] for i in (0, 2))
    assert torch.equal(first, second)  # the same pairs each time
    (z, y) = model.decoded[0]
    assert z.shape == (6 * 11, 24)
    assert torch.equal(y, model.encoded[0][1].repeat_interleave(11))


def test_another_seed_has_other_pairs(tmp_path: Path) -> None:
    model, data = Identity(), loader([0, 1, 2, 3] * 10)
    for seed in (0, 1):
        fit(tmp_path / str(seed), model, data, Interpolation(seed=seed))
    assert not torch.equal(model.encoded[0][0], model.encoded[2][0])


def test_a_conditional_model_goes_from_image_to_image_of_one_class(tmp_path: Path) -> None:
    model, data = Identity(conditional=True), loader([0, 1, 2, 3] * 10)
    fit(tmp_path, model, data, Interpolation(rows=5, steps=4))
    pairs = labels_of(model, data)
    assert len(pairs) == 5
    assert all(one == other for one, other in pairs)
    (_, first), (_, last) = model.encoded
    assert first.tolist() == last.tolist() == [one for one, _ in pairs]
    assert model.decoded[0][1].tolist() == [one for one, _ in pairs for _ in range(4)]


@pytest.mark.parametrize(
    ("labels", "conditional", "rows"),
    [
        ([0, 1, 0, 1, 2], False, 2),  # fewer images than asked
        ([3] * 20, False, 8),  # a single class
        ([3] * 20, True, 8),
        ([0] * 300 + [1] * 4, False, 8),  # sorted by class
        (None, False, 8),  # no labels
    ],
)
def test_splits_of_all_sorts(labels: list[int] | None, conditional: bool, rows: int, tmp_path: Path) -> None:
    model, data = Identity(conditional), loader(labels, n=30)
    fit(tmp_path, model, data, Interpolation())
    assert pictures(tmp_path) == {"interpolations_epoch001.png"}
    assert len(model.encoded[0][0]) == rows
    if labels is not None and len(labels) > 300:
        assert sum(one != other for one, other in labels_of(model, data)) == 4


@pytest.mark.parametrize(
    ("labels", "conditional", "message"),
    [
        ([4], False, "Interpolation draws no picture of epoch001: the val split has no two images"),
        ([4, 5, 6], True, "Interpolation draws no picture of epoch001: the val split has no two images of one class"),
    ],
)
def test_no_pair_is_no_picture(
    labels: list[int], conditional: bool, message: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO"):
        fit(tmp_path, Identity(conditional), loader(labels), Interpolation())
    assert pictures(tmp_path) == set()
    assert message in [line.getMessage() for line in caplog.records]


@pytest.mark.filterwarnings("ignore:You defined a `validation_step` but have no")
def test_without_validation_the_images_are_of_test(tmp_path: Path) -> None:
    model, data = Identity(), DigitsDataModule(val_fraction=0)
    trainer = make_trainer(tmp_path, Interpolation(rows=2), epochs=1)
    trainer.limit_val_batches = 0
    trainer.fit(model, datamodule=data)
    images = data.split("test")[0].float() / 255
    assert all((images == one).flatten(1).all(1).any() for one in model.encoded[0][0])
    make_trainer(tmp_path / "none", Interpolation(), epochs=1, limit_val_batches=0).fit(Identity(), loader([0, 1]))
    assert pictures(tmp_path / "none") == set()


def test_test_draws_test_images(tmp_path: Path) -> None:
    model, data = Identity(), DigitsDataModule()
    make_trainer(tmp_path, Interpolation(rows=2)).test(model, datamodule=data, verbose=False)
    assert pictures(tmp_path) == {"interpolations_test.png"}
    images = data.split("test")[0].float() / 255
    assert all((images == one).flatten(1).all(1).any() for x, _ in model.encoded for one in x)


@pytest.mark.parametrize("precision", ["bf16-true", "bf16-mixed", "64-true"])
@pytest.mark.parametrize("conditional", [False, True])
def test_any_precision_in_colour(conditional: bool, precision: str, tmp_path: Path) -> None:
    model = LitVAE((3, 6, 4), latent_dim=2, conditional=conditional)
    data = loader([0, 1] * 10, shape=(3, 6, 4))
    make_trainer(tmp_path, Interpolation(rows=2), epochs=1, precision=precision).fit(model, data, data)
    with Image.open(tmp_path / "run" / "version_0" / "pictures" / "interpolations_epoch001.png") as picture:
        assert picture.size[0] > picture.size[1]


def test_training_is_left_as_it_was(tmp_path: Path) -> None:
    def weights(*callbacks: Callback) -> Tensor:
        seed_everything(0, verbose=False)
        model = LitVAE((1, 6, 4), latent_dim=2)
        fit(tmp_path, model, loader([0, 1] * 10), *callbacks, epochs=2)
        return torch.cat([parameter.flatten() for parameter in model.parameters()])

    assert torch.equal(weights(Interpolation(every_n_epochs=1)), weights())


def test_it_pickles() -> None:
    assert pickle.loads(pickle.dumps(Interpolation(rows=3))).rows == 3


# -- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rows": 0}, "rows must be at least 1, got 0"),
        ({"steps": 1}, "steps must be at least 2, since both ends are among them, got 1"),
        ({"seed": -1}, "seed must be at least 0, got -1"),
        ({"every_n_epochs": -1}, "every_n_epochs must be at least 0, got -1"),
    ],
)
def test_arguments_out_of_range(options: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Interpolation(**options)


def test_models_without_the_verbs(tmp_path: Path) -> None:
    class Decoder(Mute):
        def decode(self, z: Tensor, y: Tensor | None = None) -> Tensor:
            return z

    data = loader([0, 1])
    with pytest.raises(TypeError, match=r"Interpolation needs a model with decode\(z, y=None\), which LitGAN does not"):
        fit(tmp_path, LitGAN((1, 28, 28)), data, Interpolation())
    with pytest.raises(
        TypeError, match=r"Interpolation needs a model with encode\(x, y=None\), which Decoder does not"
    ):
        fit(tmp_path, Decoder(), data, Interpolation())
