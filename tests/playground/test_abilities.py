"""What one can do with models, by the verbs that they answer."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
import torch
from torch.testing import assert_close

from lit_models import (
    LitAutoencoder,
    LitBoxRegressor,
    LitClassifier,
    LitGAN,
    LitLinear,
    LitPPCA,
    LitProbe,
    LitRBM,
    LitSegmenter,
    LitVAE,
)
from lit_models.networks import ConvEncoder, UNet
from playground.abilities import Abilities
from playground.encoded import EncodedClassifier
from playground.examples import Examples
from tests.playground.models import Chain, Finder, Labelled, Mirror, OnlySamples, PriorMirror, Regression

X = torch.tensor([[[[0.0, 0.2], [0.4, 0.8]]]])


def four_images() -> Examples:
    images = torch.stack([torch.tensor([0.0, value, 2 * value, 0.5]) for value in (0.0, 0.1, 0.2, 0.3)])
    return Examples(images.view(4, 1, 2, 2), torch.arange(4))


def digits(n: int = 20) -> Examples:
    return Examples(torch.randint(0, 256, (n, 1, 28, 28), dtype=torch.uint8), torch.arange(n) % 10)


def can(model: Abilities) -> set[str]:
    names = ["can_sample", "can_reconstruct", "can_walk", "can_run_chains", "can_classify"]
    names += ["can_locate", "can_segment", "units"]
    return {name.removeprefix("can_") for name in names if getattr(model, name)}


def test_what_each_family_can_do() -> None:
    shape = (1, 28, 28)
    rbm = LitRBM(shape, hidden_dim=8)
    rbm.fit_scale([torch.rand(20, *shape)])
    ppca = LitPPCA(shape, latent_dim=3)
    ppca.fit_covariance([torch.rand(20, *shape)])
    codes = {"sample", "reconstruct", "walk", "units"}
    expected = [
        (LitVAE(shape, latent_dim=3), codes),
        (LitVAE(shape, latent_dim=3, conditional=True), codes),
        (LitAutoencoder(shape, latent_dim=3), codes),
        (ppca, codes),
        (rbm, codes | {"run_chains"}),
        (LitGAN(shape), {"sample"}),
        (LitClassifier(shape), {"classify"}),
        (LitLinear(shape), {"classify"}),
        (EncodedClassifier(LitClassifier(shape), LitProbe((128,))), {"classify"}),
        (LitBoxRegressor(shape, backbone=ConvEncoder), {"locate"}),
        (LitSegmenter(shape, network=partial(UNet, channels=[4, 8])), {"segment"}),
    ]
    for model, abilities in expected:
        assert can(Abilities("model", model.eval(), digits())) == abilities, type(model).__name__


def test_samples_are_those_of_the_seed_and_leave_torch_alone() -> None:
    model = Abilities("own", OnlySamples())
    state = torch.get_rng_state()
    first = model.sample(3, seed=7)
    assert torch.equal(state, torch.get_rng_state())
    torch.manual_seed(7)
    assert torch.equal(first, torch.rand(3, 3, 6, 8))
    assert model.image_shape == (3, 6, 8)
    assert not torch.equal(first, model.sample(3, seed=8))


def test_threads_do_not_take_each_others_random_numbers() -> None:
    model = Abilities("vae", LitVAE((1, 8, 8), latent_dim=4).eval())
    expected = [model.sample(4, seed) for seed in range(8)]
    with ThreadPoolExecutor(8) as threads:
        for _ in range(10):
            assert all(map(torch.equal, threads.map(lambda seed: model.sample(4, seed), range(8)), expected))


def test_a_conditional_model_gives_one_class_or_each_in_turn() -> None:
    model = Abilities("labelled", Labelled())
    assert model.sample(6, 0)[:, 0, 0, 0].tolist() == pytest.approx([0, 0.1, 0.2, 0.3, 0, 0.1])
    assert model.sample(2, 0, label=3).unique().tolist() == pytest.approx([0.3])
    assert model.class_names == ["0", "1", "2", "3"]


def test_classes_may_be_known_from_the_examples() -> None:
    assert Abilities("labelled", Labelled(None), four_images()).num_classes == 4


def test_a_reconstruction_comes_with_its_error() -> None:
    seen, error = Abilities("mirror", Mirror()).reconstruct(X)
    assert_close(seen, X / 2)
    assert error == pytest.approx(float((X / 2).square().mean()))


def test_what_is_found_in_a_picture_has_names_where_they_are_known() -> None:
    model = Abilities("finder", Finder())
    assert can(model) == {"locate", "segment"}
    assert model.locate(X) == [0.5, 0.5, 1.0, 0.0]
    classes, names = model.segment(X)
    assert classes.tolist() == [[1, 1], [1, 0]]
    assert names == ["0", "1"]
    named = Abilities("finder", Finder(), Examples(X, class_names=["light", "dark"]))
    assert named.segment(X)[1] == ["light", "dark"]


def test_what_a_diverged_model_finds() -> None:
    for ask, what in ((Abilities("finder", Finder()).locate, "box"), (Abilities("finder", Finder()).segment, "mask")):
        with pytest.raises(
            ValueError, match=f"the model's {what} holds values that are not finite numbers: .* earlier"
        ):
            ask(X * torch.nan)


def test_units_of_a_prior_are_ordered_by_kl_and_move_in_its_deviations() -> None:
    model = Abilities("prior", PriorMirror(), four_images(), most_units=3)
    assert [(unit.number, unit.least, unit.most) for unit in model.units] == [(3, -3, 3), (2, -3, 3), (1, -3, 3)]
    own = model.positions(X)
    assert own == [3.0, -1.0, -3.0]  # 0.8 and 0.2 lie at the end, or past it
    assert_close(model.move(X, own), X)  # and keep their value all the same
    assert_close(model.move(X, [own[0], 2.0, own[2]]).flatten(), torch.tensor([0.0, 0.2, 0.7, 0.8]))


def test_units_without_a_prior_are_ordered_by_their_spread_and_stay_within_it() -> None:
    model = Abilities("mirror", Mirror(), four_images())
    assert [unit.number for unit in model.units] == [2, 1]  # the others are the same for all images
    low, high = model.units[0].least, model.units[0].most
    moved = [float(model.move(X, [end, 0.0])[0, 0, 1, 0]) for end in (low, high)]
    assert moved == pytest.approx([0.0, 0.6], abs=0.01)


def test_units_without_test_images_are_measured_on_samples() -> None:
    assert len(Abilities("vae", LitVAE((1, 8, 8), latent_dim=3).eval()).units) == 3
    assert not Abilities("mirror", Mirror()).units


def test_a_walk_has_the_reconstructions_at_its_ends() -> None:
    model = Abilities("vae", LitVAE((1, 8, 8), latent_dim=3, conditional=True).eval())
    first, last = torch.rand(2, 1, 1, 8, 8)
    walk = model.walk(first, last, 5, label=2)
    assert_close(walk[:1], model.reconstruct(first, 2)[0])
    assert_close(walk[-1:], model.reconstruct(last, 2)[0])


def test_a_chain_goes_on_where_it_was() -> None:
    rbm = LitRBM((1, 8, 8), hidden_dim=4)
    rbm.fit_scale([torch.rand(20, 1, 8, 8)])
    for model in (Abilities("chain", Chain()), Abilities("rbm", rbm)):
        before, after = (model.run_chains(2, steps, last=3, seed=5) for steps in (7, 8))
        assert before.shape[:2] == (2, 3)
        assert_close(before[:, 1:], after[:, :2])
        assert model.run_chains(2, 1, last=3, seed=5).shape[1] == 1


def test_classes_have_their_names() -> None:
    examples = Examples(torch.zeros(2, 1, 28, 28), torch.tensor([0, 1]), ("cat", "dog"))
    shares = Abilities("classifier", LitClassifier((1, 28, 28), 2).eval(), examples).classify(examples[0])
    assert list(shares) == ["cat", "dog"]
    assert sum(shares.values()) == pytest.approx(1)


def test_a_training_model_stays_so() -> None:
    model = LitVAE((1, 8, 8), latent_dim=2).train()
    Abilities("vae", model).sample(1, 0)
    assert model.training


def test_models_without_a_page_are_refused() -> None:
    with pytest.raises(ValueError, match="wrong, a Regression, has nothing that this page can show: it needs one of"):
        Abilities("wrong", Regression())
    with pytest.raises(ValueError, match="labelled is conditional, and the number of its classes is not known: give"):
        Abilities("labelled", Labelled(None))
    with pytest.raises(ValueError, match=r"image_shape must be \(1, H, W\) or \(3, H, W\).*got \(2, 8, 8\)"):
        Abilities("vae", LitVAE((2, 8, 8)))
    with pytest.raises(ValueError, match="has nothing that this page can show"):
        Abilities("probe", LitProbe((64,)), digits())  # of codes, without its encoder


@pytest.mark.parametrize("seed", [-1, 0.5, 2**60, None])
def test_other_seeds_are_refused(seed: float) -> None:
    with pytest.raises(ValueError, match="seed must be a whole number from 0 to 9,007,199,254,740,992, got"):
        Abilities("own", OnlySamples()).sample(1, seed)  # type: ignore[arg-type]


@pytest.mark.parametrize("label", [-1, 4, None])
def test_other_classes_are_refused(label: int | None) -> None:
    model = Abilities("vae", LitVAE((1, 8, 8), latent_dim=2, conditional=True, num_classes=4).eval())
    with pytest.raises(ValueError, match=r"vae is conditional: choose a class of 0\.\.3, got"):
        model.reconstruct(torch.rand(1, 1, 8, 8), label)
