"""Networks by class path: in YAML, on the command line, in a saved config, in a checkpoint's recipe."""

import pickle
from pathlib import Path

import pytest
import torch
import yaml
from torch import Tensor

from datamodules import ImageDataModule
from lit_generative import train
from lit_models import LitGAN, LitVAE, load_model
from lit_models.networks import ConvDecoder, ConvEncoder
from tests.mine import MyEncoder


class ColourNoise(ImageDataModule):
    """60 train and 20 test images of noise, 3x32x32, of 4 classes."""

    input_shape = (3, 32, 32)
    num_classes = 4
    class_names = ("a", "b", "c", "d")

    def load(self, train: bool) -> tuple[Tensor, Tensor]:
        """See `TensorDataModule.load`."""
        n = 60 if train else 20
        generator = torch.Generator().manual_seed(int(train))
        return torch.randint(0, 256, (n, 3, 32, 32), dtype=torch.uint8, generator=generator), torch.arange(n) % 4


CONFIG = {
    "model": {
        "class_path": "lit_models.LitVAE",
        "init_args": {
            "latent_dim": 5,
            "conditional": True,
            "encoder": {
                "class_path": "lit_models.networks.ConvEncoder",
                "init_args": {"channels": [4, 8], "norm": "torch.nn.BatchNorm2d"},
            },
            "decoder": {"class_path": "lit_models.networks.ConvDecoder", "init_args": {"channels": [8, 4]}},
        },
    },
    "data": {"class_path": "tests.test_networks_as_arguments.ColourNoise", "init_args": {"batch_size": 16}},
    "trainer": {"callbacks": [{"class_path": "callbacks.SampleGrid"}, {"class_path": "callbacks.ReconstructionGrid"}]},
}


def run(command: str, root: Path, *words: str) -> LitVAE:
    usual = [f"--trainer.default_root_dir={root}", "--trainer.enable_progress_bar=false", "--trainer.accelerator=cpu"]
    return train.main([command, *words, *usual]).model


@pytest.mark.slow
def test_a_conditional_convolutional_vae_of_colour_images_from_yaml(tmp_path: Path) -> None:
    (tmp_path / "conv.yaml").write_text(yaml.safe_dump(CONFIG))
    words = [f"--config={tmp_path}/conv.yaml", "--model.encoder.channels=[8,16]", "--trainer.max_epochs=1"]
    model = run("fit", tmp_path, *words, "--trainer.log_every_n_steps=1")
    assert isinstance(model.encoder, ConvEncoder)
    assert isinstance(model.decoder, ConvDecoder)
    folder = tmp_path / "conv" / "version_0"
    checkpoint = folder / "checkpoints" / "last.ckpt"
    tested = run("test", tmp_path, f"--config={folder}/config.yaml", f"--ckpt_path={checkpoint}")
    loaded = load_model(checkpoint)
    assert loaded.recipe["init_args"]["encoder"]["init_args"]["channels"] == [8, 16]
    assert loaded.init_args["image_shape"] == [3, 32, 32]  # which the data gave
    assert loaded.num_classes == 4
    for name, value in tested.state_dict().items():
        assert torch.equal(value, loaded.state_dict()[name]), name


def test_a_users_own_encoder_on_the_command_line(tmp_path: Path) -> None:
    words = ["--model=LitVAE", "--model.encoder=tests.mine.MyEncoder", "--model.encoder.width=7"]
    words += ["--data=DigitsDataModule", "--trainer.max_epochs=1", "--trainer.limit_train_batches=2"]
    model = run("fit", tmp_path, *words, "--trainer.log_every_n_steps=1")
    assert isinstance(model.encoder, MyEncoder)
    checkpoint = tmp_path / "LitVAE" / "version_0" / "checkpoints" / "last.ckpt"
    with pytest.raises(ValueError, match=r"tests.mine.MyEncoder, which is in none of the modules"):
        load_model(checkpoint)
    assert load_model(checkpoint, trusted=["tests.mine"]).encoder.hidden.out_features == 7


@pytest.mark.parametrize(
    "network",
    ["torch.nn.Linear", "lit_models.networks.ConvDecoder"],
    ids=["no network of ours", "a decoder for an encoder"],
)
def test_a_network_of_another_kind_is_refused(network: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--model=LitVAE", f"--model.encoder={network}", "--data=DigitsDataModule"]
    with pytest.raises((SystemExit, TypeError, ValueError)) as caught:
        run("fit", tmp_path, *words)
    said = capsys.readouterr().err if caught.type is SystemExit else str(caught.value)
    assert "Encoder" in said
    assert not list(tmp_path.iterdir())


def test_models_are_pickled() -> None:
    """No lambda, no closure."""
    for model in (LitVAE((1, 8, 8), conditional=True), LitGAN((1, 8, 8), ema_decay=0.9)):
        again = pickle.loads(pickle.dumps(model))
        assert all(map(torch.equal, model.state_dict().values(), again.state_dict().values()))


@pytest.mark.long
@pytest.mark.slow
def test_a_model_travels_to_a_spawned_process(tmp_path: Path) -> None:
    """`ddp_spawn` pickles the model, for one process as for several."""
    words = ["--model=LitGAN", "--data=DigitsDataModule", "--data.batch_size=8", "--trainer.max_epochs=1"]
    words += ["--trainer.limit_train_batches=2", "--trainer.limit_val_batches=1", "--trainer.log_every_n_steps=1"]
    words += ["--model.ema_decay=0.9", "--model.generator=ConvDecoder", "--model.generator.channels=[8,4]"]
    run("fit", tmp_path, *words, "--trainer.devices=1", "--trainer.strategy=ddp_spawn")
    checkpoint = tmp_path / "LitGAN" / "version_0" / "checkpoints" / "last.ckpt"
    assert torch.load(checkpoint, weights_only=True)["global_step"] == 2
