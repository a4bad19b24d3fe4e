"""Every YAML in configs/, by globbing, through train.main on small generated data; slow where it is like another."""

from pathlib import Path

import pytest
import torch
import yaml
from torchvision.models import resnet50

from lit_generative import train
from lit_models.networks import MapClassifier
from tests.processes import assert_ranks_are_equal, fit_on_two

pytestmark = pytest.mark.usefixtures("quick_pictures")
FIRST = "quickstart"  # what a new user runs first
CONFIGS = sorted(
    (Path(__file__).parent.parent / "configs").glob("*.yaml"), key=lambda path: (path.stem != FIRST, path.stem)
)


def _model(config: Path) -> str:
    """Model, and what of it makes another computation."""
    model = yaml.safe_load(config.read_text())["model"]
    told_apart = [model["init_args"].get(name) for name in ("conditional", "gradient_penalty", "solver")]
    return " ".join([model["class_path"], *(str(option) for option in told_apart if option)])


# the first config of each: the others have the same parts, other data and other numbers
MODELS = list({_model(config): config for config in reversed(CONFIGS)}.values())[::-1]


# the first config of each class in the fast suite, but for those that tests/test_places.py and test_colour.py train
CLASSES = {_model(config).split()[0]: config for config in reversed(MODELS)}
COLOUR = ("CollageDataModule", "CIFAR10DataModule")
FAST = [config for config in CLASSES.values() if not any(name in config.read_text() for name in COLOUR)]


MAPS = [
    "--model.encoder=MapEncoder",
    "--model.decoder=MapDecoder",
    "--model.latent_dim=2016",
    "--model.num_components=0",
]


TABLES = ("BreastCancerDataModule", "DiabetesDataModule")  # which scikit-learn brings along


@pytest.fixture(scope="module")
def encoders(tmp_path_factory: pytest.TempPathFactory, fake_data: Path) -> dict[str, Path]:
    """Checkpoints of encoders of digits and of CIFAR-10, for the configs that look at one."""
    root = tmp_path_factory.mktemp("encoders")
    run = ["--trainer.enable_progress_bar=false", f"--trainer.default_root_dir={root}", "--trainer.max_epochs=1"]
    train.main(["fit", "--model=LitVAE", "--model.latent_dim=4", "--data=DigitsDataModule", *run])
    cifar10 = ["--data=tests.colour_files.SmallCIFAR10", f"--data.data_dir={fake_data}"]
    train.main(["fit", "--model=LitAutoencoder", *MAPS, *cifar10, *run])
    last = Path("version_0", "checkpoints", "last.ckpt")
    narrow = MapClassifier((3, 32, 32), 1, channels=[4] * 4, head_channels=[8] * 3, hidden_dims=[8], pool_after=1)
    torch.save(narrow.state_dict(), root / "MapClassifier.pth")
    digits, cifar10 = root / "LitVAE" / last, root / "LitAutoencoder" / last
    return {"digits": digits, "CIFAR10": cifar10, "MapClassifier": root / "MapClassifier.pth"}


def where(config: Path, fake_data: Path, batch_size: int, encoders: dict[str, Path]) -> list[str]:
    """The words that point a config at small data: few draws, narrow GANs, an encoder for a probe."""
    if config.stem == "boxes_faces":
        return _faces(config, fake_data)
    encodes = "EncodedDataModule" in config.read_text()
    data = "data.data" if encodes else "data"
    words = [f"--config={config}", *_reader_of_generated_files(config, data)]
    words += [f"--{data}.batch_size={batch_size}"]
    if not any(f"datamodules.{table}" in config.read_text() for table in TABLES):
        words += [f"--{data}.data_dir={fake_data}"]
    if "class_path: datamodules.ImageFolderDataModule" in config.read_text():
        words += [f"--data.data_dir={fake_data}/pictures", f"--data.cache_dir={fake_data}/decoded"]
    if "LitGAN" in config.read_text():
        generator, discriminator = ([8, 4], [4, 8]) if "ConvDecoder" in config.read_text() else ([8] * 4, [8] * 4)
        words += [f"--model.generator.channels={generator}", f"--model.discriminator.channels={discriminator}"]
    if "CollageDataModule" in config.read_text():
        words += ["--data.train_size=100", "--data.test_size=20", "--data.image_size=32", "--data.digit_sizes=[16,28]"]
    if "LitBoxRegressor" in config.read_text():
        words += [f"--model.weights={encoders['MapClassifier']}", "--model.backbone.channels=[4,4,4,4]"]
        words += ["--model.backbone.head_channels=[8,8,8]", "--model.backbone.hidden_dims=[8]"]
    words += ["--model.likelihood_samples=2"] * ("likelihood_samples" in config.read_text())
    encoder = encoders["CIFAR10" if "CIFAR10DataModule" in config.read_text() else "digits"]
    return words + [f"--data.encoder.checkpoint={encoder}"] * encodes


def _faces(config: Path, fake_data: Path) -> list[str]:
    """A table of boxes in the generated pictures, 20 x 30; few of them, since the network is as large as it is."""
    table, weights = fake_data / "faces.csv", fake_data / "resnet50.pth"
    torch.save(resnet50().state_dict(), weights)
    rows = [f"{number}.png,{number % 5},3,{12 + number % 5},22" for number in range(120)]
    table.write_text("\n".join(["image_name,x0,y0,x1,y1", *rows]))
    words = [f"--config={config}", f"--data.path={table}", f"--data.images={fake_data}/pictures"]
    words += [f"--data.cache_dir={fake_data}/decoded", "--data.batch_size=2", "--trainer.limit_val_batches=1"]
    return [*words, "--trainer.limit_test_batches=1", f"--model.weights={weights}"]


def _reader_of_generated_files(config: Path, data: str) -> list[str]:
    """What takes generated files for the official ones, which torchvision knows by their checksums."""
    names = [name for name in ("CIFAR10", "Collage", "SVHN") if f"{name}DataModule" in config.read_text()]
    return [f"--{data}=tests.colour_files.Small{name}" for name in names]


@pytest.mark.parametrize(
    "config",
    [pytest.param(path, id=path.stem, marks=[] if path in FAST else pytest.mark.slow) for path in CONFIGS],
)
def test_config_trains_and_tests(config: Path, fake_data: Path, tmp_path: Path, encoders: dict[str, Path]) -> None:
    arguments = [
        *where(config, fake_data, 32, encoders),
        f"--trainer.default_root_dir={tmp_path}",
        "--trainer.enable_progress_bar=false",
        "--trainer.accelerator=cpu",
    ]
    epochs = 2 if config in MODELS else 1
    train.main(["fit", *arguments, f"--trainer.max_epochs={epochs}", "--trainer.limit_train_batches=3"])
    run = tmp_path / config.stem / "version_0"
    assert (run / "checkpoints" / "last.ckpt").is_file()
    assert (run / "metrics.csv").is_file()
    assert list(run.glob("events.out.tfevents.*"))
    if config not in MODELS:  # another one of the same model was tested
        return

    cli = train.main(["test", *arguments, f"--ckpt_path={run}/checkpoints/last.ckpt"])
    if yaml.safe_load(config.read_text())["trainer"].get("callbacks"):
        assert list((tmp_path / config.stem).glob("version_*/pictures/*.png"))
    assert any(name.startswith("test/") for name in cli.trainer.callback_metrics)


@pytest.mark.slow
@pytest.mark.parametrize("config", CLASSES.values(), ids=lambda path: path.stem)
def test_config_trains_on_two_processes(
    config: Path, fake_data: Path, tmp_path: Path, encoders: dict[str, Path]
) -> None:
    """As it is, without a flag but for the devices: weights equal to the bit, and each picture made once."""
    words = [*where(config, fake_data, 16, encoders), f"--trainer.default_root_dir={tmp_path}"]
    words += ["--trainer.max_epochs=1", "--trainer.limit_train_batches=3"]
    fit_on_two(tmp_path, *words, "--trainer.log_every_n_steps=1", "--trainer.callbacks+=tests.ranks.WeightsPerRank")
    run = tmp_path / config.stem / "version_0"
    assert [path.name for path in run.parent.iterdir()] == ["version_0"]
    assert_ranks_are_equal(run)
    checkpoint = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    assert (
        checkpoint["global_step"] == checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"]["total"]["completed"]
    )


def test_there_are_configs() -> None:
    assert CONFIGS
