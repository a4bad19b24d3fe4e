"""LatentTraversal: which units, how far they move, what is drawn, with any model and any data."""

import pickle
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback, seed_everything
from matplotlib.figure import Figure
from torch import Tensor

from callbacks import LatentTraversal
from callbacks.latent_traversal import mean_unit_kl, traverse
from datamodules import DigitsDataModule
from lit_models import LitRBM, LitVAE
from tests.callbacks.test_callbacks import make_trainer, pictures
from tests.callbacks.test_interpolation import Identity, loader

UNITS = 24  # of `Identity` on images of 1 x 6 x 4


class Knows(Identity):
    """Its units' KL is their pixel, their prior is neither centred nor of one width."""

    def unit_kl(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return x.flatten(1)

    def prior_moments(self, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        assert (y is not None) == self.conditional
        mean, std = torch.linspace(0.3, 0.7, UNITS), torch.linspace(0.01, 0.1, UNITS)
        return (mean, std) if y is None else (mean * y.unsqueeze(1), std.expand(len(y), -1))


class Keeps(LatentTraversal):
    """Keeps its figures."""

    figure: Figure

    def save(self, trainer, figure: Figure, name: str, when: str) -> Path:
        self.figure = figure
        return super().save(trainer, figure, name, when)

    @property
    def labels(self) -> list[str]:
        return [text.get_text() for text in self.figure.axes[0].get_yticklabels()]

    @property
    def headings(self) -> list[str]:
        return [text.get_text() for text in self.figure.axes[0].get_xticklabels()]


def draw(folder: Path, model: Identity, callback: Callback, labels: list[int] | None, n: int = 30) -> Tensor:
    """Fit and draw; returns the held-out images."""
    data = loader(labels, n)
    make_trainer(folder, callback, epochs=1).fit(model, data, data)
    return data.dataset.tensors[0]


def vae(prior: str = "standard", conditional: bool = False, latent_dim: int = 5) -> LitVAE:
    """In float64, with codes and prior that are not special."""
    model = LitVAE((1, 6, 4), latent_dim, conditional=conditional, num_classes=3, prior=prior, num_components=2)
    return model.double().eval().requires_grad_(False)


# -- a row ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("conditional", [False, True])
def test_one_unit_moves_in_units_of_the_prior(conditional: bool) -> None:
    model = Knows(conditional).eval()
    x, y = torch.rand(1, 1, 6, 4), torch.tensor([2])
    rows = traverse(model, x, [3, 17], [-3.0, 0.0, 1.5], y if conditional else None).flatten(2)  # (2, 3, UNITS)
    mean, std = (moment.flatten() for moment in model.prior_moments(y if conditional else None))
    for row, unit in zip(rows, (3, 17), strict=True):
        expected = x.flatten().repeat(3, 1)
        expected[:, unit] = mean[unit] + torch.tensor([-3.0, 0.0, 1.5]) * std[unit]
        torch.testing.assert_close(row, expected)
    if conditional:
        assert model.decoded[-1][1].tolist() == [2] * 6


@pytest.mark.parametrize("prior", ["standard", "mixture"])
@pytest.mark.parametrize("conditional", [False, True])
def test_at_its_own_value_a_unit_gives_the_reconstruction(conditional: bool, prior: str) -> None:
    model = vae(prior, conditional)
    x, y = torch.rand(1, 1, 6, 4, dtype=torch.float64), torch.tensor([1]) if conditional else None
    mean, std = (moment.flatten() for moment in model.prior_moments(y))
    own = ((model.encode(x, y)[0] - mean) / std).tolist()
    for unit in range(5):
        row = traverse(model, x, [unit], [own[unit], own[unit] + 1], y)[0]
        torch.testing.assert_close(row[:1], model.reconstruct(x, y))
        assert (row[1] - row[0]).abs().max() > 1e-4


def test_a_unit_that_the_decoder_ignores_changes_nothing() -> None:
    model = vae()
    next(iter(model.decoder.parameters()))[:, 2] = 0
    x = torch.rand(1, 1, 6, 4, dtype=torch.float64)
    ignored, used = traverse(model, x, [2, 3], [-3, -1, 0, 2, 3])
    torch.testing.assert_close(ignored, model.reconstruct(x).expand_as(ignored))
    assert used.diff(dim=0).abs().amax((1, 2, 3)).min() > 1e-4


# -- the order of the rows --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 250, 251, 600])
@pytest.mark.parametrize("conditional", [False, True])
def test_mean_kl_is_over_all_images(conditional: bool, n: int) -> None:
    model = vae("mixture", conditional)
    x, y = torch.rand(n, 1, 6, 4, dtype=torch.float64), torch.arange(n) % 3 if conditional else None
    expected = model.unit_kl(x, y).mean(0)
    torch.testing.assert_close(mean_unit_kl(model, x, y).double(), expected, rtol=1e-5, atol=1e-6)


def test_rows_begin_with_the_largest_kl(tmp_path: Path) -> None:
    callback, model = Keeps(units=9, kl_images=20, image=4), Knows()
    images = draw(tmp_path, model, callback, [0, 1, 2] * 10)
    mean = images[:20].flatten(1).mean(0)
    order = mean.argsort(descending=True)[:9].tolist()
    assert callback.labels == [f"unit {unit}: {mean[unit]:.2f} nats" for unit in order]
    assert callback.figure.axes[0].get_title().startswith("val split, image 4 (1); KL: mean over 20 images\n")
    codes = model.decoded[-1][0].unflatten(0, (9, 7))
    for row, unit in zip(codes, order, strict=True):
        assert row.diff(dim=0).abs().amax(0).nonzero().flatten().tolist() == [unit]
    others = codes.flatten(0, 1)[:, [unit for unit in range(UNITS) if unit not in order]]
    assert torch.equal(others[0], images[4].flatten()[[unit for unit in range(UNITS) if unit not in order]])


def test_a_unit_that_ignores_the_images_comes_last(tmp_path: Path) -> None:
    callback, model = Keeps(), LitVAE((1, 6, 4), latent_dim=4)
    with torch.no_grad():
        for values in (model.encoder.head.weight, model.encoder.head.bias):
            values[[2, 4 + 2]] = 0  # posterior N(0, 1) whatever the image, and no gradient but of noise
        model.encoder.head.bias[[0, 1, 3]] = torch.tensor([1.0, 3.0, 2.0])
    data = loader([0, 1] * 10)
    make_trainer(tmp_path, callback).validate(model, data, verbose=False)
    trainer = make_trainer(tmp_path, callback)
    trainer.test(model, data, verbose=False)
    units = [int(re.match(r"unit (\d): ", label)[1]) for label in callback.labels]
    assert units == [1, 3, 0, 2]
    assert callback.labels[-1] == "unit 2: 0.00 nats"


# -- the picture ------------------------------------------------------------------------------------------------------


def test_values_stand_above_and_the_image_at_the_right(tmp_path: Path) -> None:
    callback, model = Keeps(units=2, columns=7), Knows()
    images = draw(tmp_path, model, callback, None)
    assert callback.headings == ["-3", "-2", "-1", "0", "1", "2", "3", "image", "decoded"]
    shown = np.asarray(callback.figure.axes[0].get_images()[0].get_array())
    expected = images[0, 0].numpy()
    for left in (-10, -5):  # image and reconstruction, which this model has equal; frames of one pixel
        np.testing.assert_allclose(shown[:6, shown.shape[1] + left :][:, :4], expected)
    assert (shown[7:, -10:] == 1).all()
    assert pictures(tmp_path) == {"traversals_epoch001.png"}
    columns = Keeps(columns=4)
    draw(tmp_path / "even", Knows(), columns, None)
    assert columns.headings == ["-3", "-1", "1", "3", "image", "decoded"]


def test_a_conditional_model_has_the_images_own_label(tmp_path: Path) -> None:
    model = Knows(conditional=True)
    draw(tmp_path, model, LatentTraversal(units=3, image=2), [5, 6, 7] * 10)
    assert {label for _, y in (*model.encoded, *model.decoded) for label in y.tolist()} == {7}


@pytest.mark.parametrize(
    ("options", "labels", "rows", "title"),
    [
        ({"units": 100}, [0] * 9, UNITS, "val split, image 0 (0); KL: mean over 9 images"),
        ({"image": 40}, [0, 1, 2], 10, "val split, image 2 (2); KL: mean over 3 images"),
        ({"image": 5, "kl_images": 2}, [0] * 9, 10, "val split, image 5 (0); KL: mean over 2 images"),
        ({}, [3], 10, "val split, image 0 (3); KL: mean over 1 image"),
        ({}, None, 10, "val split, image 0; KL: mean over 30 images"),
    ],
)
def test_few_images_and_few_units(
    options: dict[str, int], labels: list[int] | None, rows: int, title: str, tmp_path: Path
) -> None:
    callback = Keeps(**options)
    draw(tmp_path, Knows(), callback, labels)
    assert len(callback.labels) == rows
    assert callback.figure.axes[0].get_title().split("\n")[0] == title


@pytest.mark.filterwarnings("ignore:You defined a `validation_step` but have no")
def test_held_out_images_are_of_test_where_there_is_no_validation(tmp_path: Path) -> None:
    callback, data = Keeps(units=2), DigitsDataModule(val_fraction=0)
    model = LitVAE((1, 28, 28), latent_dim=3)
    trainer = make_trainer(tmp_path, callback, epochs=1)
    trainer.limit_val_batches = 0
    trainer.fit(model, datamodule=data)
    assert callback.figure.axes[0].get_title().startswith("test split, image 0")
    make_trainer(tmp_path / "none", callback, epochs=1, limit_val_batches=0).fit(Knows(), loader([0, 1]))
    assert pictures(tmp_path / "none") == set()


def test_test_draws_test_images(tmp_path: Path) -> None:
    callback, data = Keeps(), DigitsDataModule()
    make_trainer(tmp_path, callback).test(LitVAE((1, 28, 28), latent_dim=3), datamodule=data, verbose=False)
    assert pictures(tmp_path) == {"traversals_test.png"}
    assert "mean over 359 images" in callback.figure.axes[0].get_title()


@pytest.mark.parametrize("precision", ["bf16-true", "bf16-mixed", "64-true"])
@pytest.mark.parametrize(("conditional", "prior"), [(False, "standard"), (True, "mixture")])
def test_any_precision_in_colour(conditional: bool, prior: str, precision: str, tmp_path: Path) -> None:
    model = LitVAE((3, 6, 4), latent_dim=2, conditional=conditional, prior=prior)
    data = loader([0, 1] * 10, shape=(3, 6, 4))
    callback = Keeps()
    make_trainer(tmp_path, callback, epochs=1, precision=precision).fit(model, data, data)
    assert len(callback.labels) == 2
    assert callback.figure.axes[0].get_images()[0].get_array().shape[2] == 3


def test_training_is_left_as_it_was(tmp_path: Path) -> None:
    def weights(*callbacks: Callback) -> Tensor:
        seed_everything(0, verbose=False)
        model, data = LitVAE((1, 6, 4), latent_dim=2), loader([0, 1] * 10)
        make_trainer(tmp_path, *callbacks).fit(model, data, data)
        return torch.cat([parameter.flatten() for parameter in model.parameters()])

    assert torch.equal(weights(LatentTraversal(every_n_epochs=1)), weights())


def test_it_pickles() -> None:
    assert pickle.loads(pickle.dumps(LatentTraversal(units=3))).units == 3


# -- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"units": 0}, "units and kl_images must be at least 1, got 0 and 1000"),
        ({"kl_images": 0}, "units and kl_images must be at least 1, got 10 and 0"),
        ({"columns": 1}, "columns must be at least 2, for -3 and 3, got 1"),
        ({"image": -1}, "image must be at least 0, the first held-out image, got -1"),
        ({"every_n_epochs": -1}, "every_n_epochs must be at least 0, got -1"),
    ],
)
def test_arguments_out_of_range(options: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LatentTraversal(**options)


def test_a_model_without_a_prior_over_its_units(tmp_path: Path) -> None:
    data = loader([0, 1])
    needed = (
        r"LatentTraversal needs a model with encode.*, unit_kl\(x, y=None\) and prior_moments\(y=None\), which LitRBM"
    )
    with pytest.raises(TypeError, match=needed):
        make_trainer(tmp_path, LatentTraversal()).fit(LitRBM((1, 6, 4)), data, data)
