"""Checkpoints carry their recipe: any model comes back from it, and nothing else does."""

import pickle
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from torch import nn

from lit_models import LitClassifier, LitGAN, LitPPCA, LitProbe, LitRBM, LitVAE, load_classifier, load_model
from lit_models.networks import ConvDecoder, ConvEncoder, MLPEncoder
from lit_models.recipe import build, describe
from lit_models.resuming import close_epoch
from tests.conftest import Harmful
from tests.mine import MyEncoder, MyVAE

SHAPE = (1, 28, 28)
LEAKY = partial(nn.LeakyReLU, negative_slope=0.2)
CONV = {
    "encoder": partial(ConvEncoder, channels=[4, 8], norm=nn.BatchNorm2d, activation=LEAKY),
    "decoder": partial(ConvDecoder, channels=[8, 4]),
}
MODELS = [
    LitVAE(SHAPE),
    LitVAE(SHAPE, latent_dim=3, conditional=True, **CONV),
    LitGAN(SHAPE, ema_decay=0.9, loss="wasserstein", gradient_penalty=1.0, discriminator=CONV["encoder"].func),
    LitRBM(SHAPE, chains="persistent", num_chains=8, sigma="per_pixel"),
    LitClassifier(SHAPE, num_classes=4),
    LitProbe((2, 5)),
    LitPPCA(SHAPE, latent_dim=3, noise="diagonal", fit="gradient"),
]


def save(model: LightningModule, path: Path) -> Path:
    trainer = Trainer(default_root_dir=path.parent, logger=False, accelerator="cpu", enable_progress_bar=False)
    trainer.strategy.connect(model)
    trainer.save_checkpoint(path)
    return path


def alter(path: Path, **entries: Any) -> Path:
    """A checkpoint with other entries."""
    torch.save(torch.load(path, weights_only=True) | entries, path)
    return path


@pytest.mark.parametrize("model", MODELS, ids=lambda model: type(model).__name__)
def test_load_model_makes_any_model_again(model: LightningModule, tmp_path: Path) -> None:
    loaded = load_model(save(model, tmp_path / "any.ckpt"))
    assert type(loaded) is type(model)
    assert loaded.recipe == model.recipe
    assert not loaded.training
    assert not any(parameter.requires_grad for parameter in loaded.parameters())
    for name, value in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value), name


@pytest.mark.parametrize("model", MODELS, ids=lambda model: type(model).__name__)
def test_untrained_twins_are_all_alike(model: LightningModule, tmp_path: Path) -> None:
    path = save(model, tmp_path / "any.ckpt")
    untrained = load_model(path, trained=False)
    assert any(not torch.equal(a, b) for a, b in zip(untrained.parameters(), model.parameters(), strict=True))
    torch.rand(3)
    again = load_model(path, trained=False)
    assert all(torch.equal(a, b) for a, b in zip(untrained.parameters(), again.parameters(), strict=True))
    other = model.untrained(seed=1)
    assert any(not torch.equal(a, b) for a, b in zip(untrained.parameters(), other.parameters(), strict=True))


@pytest.mark.parametrize("model", MODELS, ids=lambda model: type(model).__name__)
def test_models_can_be_pickled(model: LightningModule) -> None:
    again = pickle.loads(pickle.dumps(model))
    assert again.recipe == model.recipe
    for a, b in zip(model.parameters(), again.parameters(), strict=True):
        assert torch.equal(a, b)
    again.configure_optimizers()


def test_a_users_own_classes_are_trusted_by_name(tmp_path: Path) -> None:
    model = MyVAE(SHAPE, "plain", latent_dim=3, encoder=partial(MyEncoder, width=7))
    path = save(model, tmp_path / "mine.ckpt")
    loaded = load_model(path, trusted=["tests"])
    assert isinstance(loaded, MyVAE)
    assert (loaded.flavour, loaded.latent_dim, loaded.encoder.hidden.out_features) == ("plain", 3, 7)
    message = r"tests.mine.MyVAE, which is in none of the modules .* load with trusted=\['tests'\]"
    with pytest.raises(ValueError, match=message):
        load_model(path)
    assert MyVAE.load_from_checkpoint(path).flavour == "plain"


VAE = "lit_models.vae.LitVAE"


@pytest.mark.parametrize(
    ("recipe", "kind", "message"),
    [
        (
            {"class_path": "os.system", "init_args": {"command": "touch harm"}},
            ValueError,
            "os.system, which is in none",
        ),
        ({"class_path": "posix.system", "init_args": {}}, ValueError, "posix.system, which is in none of the modules"),
        # a module's own imports are not its classes
        ({"class_path": "lit_models.recipe.import_module", "init_args": {"name": "this"}}, ValueError, "in none of"),
        (
            {"class_path": "lit_models.networks.MLPEncoder", "init_args": {}},
            ValueError,
            "MLPEncoder as its model, which",
        ),
        ({"class_path": "lit_models.nothing.Here", "init_args": {}}, ValueError, "Here, which cannot be imported"),
        ({"class_path": "lit_models.base.STAGES", "init_args": {}}, ValueError, "STAGES"),
        (
            {"class_path": VAE, "init_args": {"image_shape": SHAPE, "encoder": {"class_path": "torch.nn.Linear"}}},
            TypeError,
            "encoder must make a lit_models.networks.base.Encoder, got Linear: derive it",
        ),
        (
            {"class_path": VAE, "init_args": {"image_shape": SHAPE, "encoder": {"class_path": "subprocess.Popen"}}},
            ValueError,
            "subprocess.Popen, which is in none of the modules",
        ),
        (
            {
                "class_path": VAE,
                "init_args": {"image_shape": SHAPE, "encoder": {"class_path": "lit_models.networks.ConvDecoder"}},
            },
            TypeError,
            r"encoder must make a lit_models.networks.base.Encoder, got ConvDecoder: derive it",
        ),
        (
            {"class_path": VAE, "init_args": {"image_shape": SHAPE, "encoder": {"class_path": "<lambda>"}}},
            ValueError,
            "<l",
        ),
        # a function of ours may load other checkpoints, with other trust, and a class more than a network
        (
            {"class_path": "lit_models.loading.load_model", "init_args": {"checkpoint": "x", "trusted": ["os"]}},
            ValueError,
            "load_model, which is no network, model, optimizer or scheduler",
        ),
        *[
            (
                {
                    "class_path": VAE,
                    "init_args": {
                        "image_shape": SHAPE,
                        "encoder": {
                            "class_path": "lit_models.networks.MLPEncoder",
                            "init_args": {"activation": {"class_path": path, "init_args": arguments}},
                        },
                    },
                },
                ValueError,
                "which is no network, model, optimizer or scheduler",
            )
            for path, arguments in [
                ("lit_models.recipe.build", {"trusted": ["os"]}),
                ("lightning.pytorch.cli.LightningCLI", {"run": False, "args": ["--trainer.logger", "evil.X"]}),
                ("lightning.pytorch.cli.instantiate_class", {"init": {}}),
            ]
        ],
        ({"class_path": "os", "init_args": {}}, ValueError, "'os', which is no import path of a class"),
        ({"class_path": VAE, "init_args": {"encoder": {"class_path": 5}}}, ValueError, "5, which is no import path"),
        ({"class_path": VAE, "init_args": [1]}, ValueError, "does not say how its model was made"),
        (None, ValueError, "does not say how its model was made.* Train the model again with its config.yaml"),
    ],
)
def test_what_a_recipe_may_not_name(recipe: Any, kind: type[Exception], message: str, tmp_path: Path) -> None:
    path = alter(save(LitVAE(SHAPE), tmp_path / "bad.ckpt"), recipe=recipe)
    with pytest.raises(kind, match=message):
        load_model(path)
    assert not Path("harm").exists()


def test_an_encoder_that_is_none_is_refused_in_words() -> None:
    with pytest.raises(TypeError, match=r"encoder must make a lit_models.networks.base.Encoder, got Linear"):
        LitVAE(SHAPE, encoder=lambda *sizes: nn.Linear(784, 40))


def test_files_that_are_no_checkpoints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FileNotFoundError, match=r"there is no checkpoint .*nowhere.ckpt: train.py fit writes them"):
        load_model(tmp_path / "nowhere.ckpt")
    path = save(LitVAE(SHAPE), tmp_path / "vae.ckpt")
    (tmp_path / "half.ckpt").write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ValueError, match=r"half.ckpt is truncated, or not a checkpoint of tensors and plain values"):
        load_model(tmp_path / "half.ckpt")
    torch.save({"weights": 1}, tmp_path / "other.ckpt")
    with pytest.raises(ValueError, match=r"other.ckpt is not a Lightning checkpoint: it has no state_dict"):
        load_model(tmp_path / "other.ckpt")
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": {}, "recipe": Harmful()}, tmp_path / "harm.ckpt")
    with pytest.raises(ValueError, match="not a checkpoint of tensors and plain values"):
        load_model(tmp_path / "harm.ckpt")
    assert not (tmp_path / "harm").exists()
    with pytest.raises(
        ValueError, match=r"holds a LitVAE, which does not classify: pass a checkpoint of LitClassifier"
    ):
        load_classifier(str(path))


def test_a_lambda_has_no_recipe_but_an_optimizer_is_not_needed_to_look(tmp_path: Path) -> None:
    model = LitVAE(SHAPE, optimizer=lambda p: torch.optim.SGD(p, lr=1.0))
    assert isinstance(load_model(save(model, tmp_path / "lambda.ckpt")), LitVAE)
    path = save(LitVAE(SHAPE, encoder=lambda *sizes: MLPEncoder(*sizes, hidden_dims=[8])), tmp_path / "encoder.ckpt")
    with pytest.raises(ValueError, match=r"names no class but a <lambda>: make the model yourself, of a named factory"):
        load_model(path)
    loaded = LitVAE.load_from_checkpoint(path, encoder=partial(MLPEncoder, hidden_dims=[8]))
    assert loaded.encoder.head.in_features == 8


def test_recipes_are_plain_data_and_come_back() -> None:
    factory = partial(ConvEncoder, channels=(4, 8), activation=LEAKY)
    recipe = describe(factory)
    assert recipe == {
        "class_path": "lit_models.networks.conv.ConvEncoder",
        "init_args": {
            "channels": [4, 8],
            "activation": {"class_path": "torch.nn.modules.activation.LeakyReLU", "init_args": {"negative_slope": 0.2}},
        },
    }
    again = build(recipe)
    assert describe(again) == recipe
    assert again(SHAPE, 3, 0)(torch.rand(2, *SHAPE)).shape == (2, 3)


def test_hyperparameters_are_plain_and_say_what_the_data_gave(tmp_path: Path) -> None:
    path = save(LitVAE(SHAPE, latent_dim=2), tmp_path / "vae.ckpt")
    content = torch.load(path, weights_only=True)
    assert content["hyper_parameters"]["image_shape"] == [1, 28, 28]
    assert content["recipe"]["class_path"] == VAE
    assert LitVAE.load_from_checkpoint(path).latent_dim == 2
    assert LitVAE.load_from_checkpoint(path, beta=3.0).beta == 3.0


def test_a_lightning_that_keeps_its_loops_in_another_way_is_said() -> None:
    with pytest.warns(UserWarning, match="keeps its loops in another way .* may repeat batches"):
        close_epoch({"loops": {"fit_loop": {}}})
