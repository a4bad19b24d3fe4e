"""Bad input through the command line, one row a case: the kind of error, and the words that name cause and remedy."""

import pickle
import re
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from datamodules import DigitsDataModule
from lit_generative import train
from lit_generative.runs import check_experiment
from lit_models import LitVAE, load_model
from lit_models.networks import MLPDecoder, MLPEncoder
from tests.colour_files import write_colour_data
from tests.conftest import Harmful, write_dataset, write_idx
from tests.datamodules.pictures import write_picture


def flip(path: Path, position: int) -> None:
    """Turn all bits of one byte of a file."""
    content = bytearray(path.read_bytes())
    content[position] ^= 0xFF
    path.write_bytes(content)


def swap(first: Path, second: Path) -> None:
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)


IMAGES, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
# what is done to the folder with the files; kind of error; its words
FILES: list[tuple[str, Callable[[Path], object], type[Exception], str]] = [
    ("missing", lambda raw: (raw / LABELS).unlink(), FileNotFoundError, "MNIST: files are missing.*data_dir"),
    ("empty", lambda raw: (raw / IMAGES).write_bytes(b""), ValueError, f"{IMAGES} is truncated or corrupt: delete it"),
    (
        "truncated",
        lambda raw: (raw / IMAGES).write_bytes((raw / IMAGES).read_bytes()[:-1]),
        ValueError,
        f"{IMAGES} is truncated or corrupt",
    ),
    ("swapped", lambda raw: swap(raw / IMAGES, raw / LABELS), ValueError, f"{IMAGES} is truncated or corrupt"),
    ("magic number", lambda raw: flip(raw / IMAGES, 2), ValueError, f"{IMAGES} is truncated or corrupt"),
    ("number of images", lambda raw: flip(raw / IMAGES, 7), ValueError, f"{IMAGES} is truncated or corrupt"),
    ("width", lambda raw: flip(raw / IMAGES, 15), ValueError, f"{IMAGES} is truncated or corrupt"),
    ("label", lambda raw: flip(raw / LABELS, 8), ValueError, rf"{LABELS} holds the label 255, expected 0\.\.9"),
]


@pytest.mark.parametrize(("damage", "kind", "message"), [row[1:] for row in FILES], ids=[row[0] for row in FILES])
def test_bad_files(damage: Callable[[Path], object], kind: type[Exception], message: str, tmp_path: Path) -> None:
    write_dataset(tmp_path, "MNIST")
    damage(tmp_path / "MNIST" / "raw")
    words = ["--model=LitVAE", "--data=MNISTDataModule", f"--data.data_dir={tmp_path}", "--data.download=false"]
    words.append("--trainer.max_epochs=1")
    with pytest.raises(kind, match=message):
        train.main(["fit", *words, f"--trainer.default_root_dir={tmp_path}/runs", "--trainer.accelerator=cpu"])
    assert not list(tmp_path.glob("runs/*/*/checkpoints"))


# data module; file; what is done to it; kind of error; its words
COLOUR: list[tuple[str, str, Callable[[Path], object], type[Exception], str]] = [
    ("CIFAR10", "test_batch", Path.unlink, FileNotFoundError, "CIFAR10: files are missing.*test_batch.*data_dir"),
    ("CIFAR10", "data_batch_2", lambda path: flip(path, 99), ValueError, "data_batch_2 is truncated or corrupt"),
    ("CIFAR10", "test_batch", lambda path: path.write_bytes(b""), ValueError, "test_batch is truncated or corrupt"),
    (
        "CIFAR10",
        "batches.meta",
        lambda path: path.write_bytes(pickle.dumps(Harmful())),
        ValueError,
        "batches.meta is truncated or corrupt .its MD5 is .*: delete it and download it again",
    ),
    ("SVHN", "train_32x32.mat", Path.unlink, FileNotFoundError, "SVHN: files are missing.*train_32x32.mat.*data_dir"),
    ("SVHN", "test_32x32.mat", lambda path: flip(path, 199), ValueError, "test_32x32.mat is truncated or corrupt"),
]


@pytest.mark.parametrize(("name", "file", "damage", "kind", "message"), COLOUR)
def test_bad_colour_files(
    name: str,
    file: str,
    damage: Callable[[Path], object],
    kind: type[Exception],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    write_colour_data(tmp_path)
    damage(next(tmp_path.glob(f"*/{file}")))
    words = [f"--data=tests.colour_files.Small{name}", f"--data.data_dir={tmp_path}", "--data.download=false"]
    with pytest.raises(kind, match=message):
        train.main(["fit", "--model=LitVAE", *words, "--trainer.max_epochs=1", "--trainer.accelerator=cpu"])
    assert not list(tmp_path.glob("runs/*/*/checkpoints"))
    assert not (tmp_path / "harm").exists()


def animation(path: Path) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "green")]
    frames[0].save(path, save_all=True, append_images=frames[1:])


def half(path: Path) -> None:
    Image.effect_noise((64, 64), 50).save(path, "JPEG")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def zipped(path: Path) -> None:
    """The folder of `path` becomes a file that is called a zip, cut short."""
    archive = shutil.make_archive(str(path.parent.parent / "packed"), "zip", path.parent)
    content = Path(archive).read_bytes()
    shutil.rmtree(path.parent)
    path.parent.write_bytes(content[: len(content) // 2])


def among_classes(path: Path) -> None:
    write_picture(path.parent / "cat" / "1.png")
    write_picture(path)


def only_test_pictures(path: Path) -> None:
    path.parent.rename(path.parent.with_name("test"))
    path.parent.mkdir()
    path.parent.with_name("test").rename(path.parent / "test")


def table(text: str) -> Callable[[Path], object]:
    return lambda path: path.with_name("metadata.csv").write_text(text)


# name of a file among two good pictures; what is put there; words of the command line; kind of error; its words
PICTURES: list[tuple[str, Callable[[Path], object], list[str], type[Exception], str]] = [
    ("a.jpg", lambda path: shutil.rmtree(path.parent), [], FileNotFoundError, "there is no such folder or zip"),
    (
        "a.txt",
        lambda path: [picture.unlink() for picture in path.parent.iterdir()],
        [],
        FileNotFoundError,
        "no pictures",
    ),
    ("a.jpg", zipped, [], ValueError, "no zip, or is cut short or damaged"),
    ("a.jpg", lambda path: path.write_bytes(b""), [], ValueError, "(?s)1 of 3 files .* cannot be used.*a.jpg: empty"),
    ("a.jpg", lambda path: path.write_text("hello"), [], ValueError, "(?s)1 of 3 files.*a.jpg: not a picture"),
    ("a.jpg", half, [], ValueError, "(?s)delete or repair them, or .*--data.on_error skip.*a.jpg: damaged"),
    ("a.gif", animation, [], ValueError, "a.gif: 2 frames or pages, not one picture"),
    ("a.png", lambda path: Image.new("1", (10_000, 9_000)).save(path), [], ValueError, "10000 x 9000 pixels exceed"),
    ("a.png", lambda path: write_picture(path, (1500, 1)), [], ValueError, "1500 x 1 pixels, one side more than 1000"),
    ("a.heic", lambda path: path.write_bytes(b"0000ftypheic"), [], ValueError, "a.heic: HEIC, .* convert it to JPEG"),
    ("a.png", among_classes, [], ValueError, "in class folders.* and 3 outside.*--data.labels none"),
    ("a.png", write_picture, ["--data.labels=folders"], ValueError, "no class folders.*--data.labels none"),
    ("a.png", write_picture, ["--model.conditional=true"], ValueError, "num_classes must be .* folder for each class"),
    ("a.png", only_test_pictures, [], ValueError, "all pictures are test pictures, .* put those into train/"),
    ("a.png", table("name\n0.png"), [], ValueError, "metadata.csv.*file_name"),
    ("a.png", table("file_name\nb.png"), [], ValueError, "names 'b.png': there is no such picture"),
    ("a.png", lambda path: path.with_name("dataset.json").write_text("[]"), [], ValueError, "is not StyleGAN's"),
    ("a.png", write_picture, ["--data.image_size=0"], ValueError, "image_size must be a whole number from 1 to 4096"),
    ("a.png", write_picture, ["--data.channels=4"], ValueError, "channels must be 3 or 1, got 4"),
    ("a.png", write_picture, ["--data.background=300"], ValueError, "background must be .* got 300"),
    ("a.png", write_picture, ["--data.test_fraction=1"], ValueError, r"test_fraction must be in \[0, 1\), got 1"),
    ("a.png", write_picture, ["--data.workers=0"], ValueError, "workers must be at least 1, got 0"),
    (
        "a.png",
        write_picture,
        ["--data.augment=[{class_path: torchvision.transforms.v2.RandomCrop, init_args: {size: 2}}]"],
        ValueError,
        "augment must keep the batch's shape",
    ),
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "put", "words", "kind", "message"), PICTURES)
def test_bad_pictures(
    name: str,
    put: Callable[[Path], object],
    words: list[str],
    kind: type[Exception],
    message: str,
    tmp_path: Path,
) -> None:
    for number in range(2):
        write_picture(tmp_path / "pictures" / f"{number}.png")
    put(tmp_path / "pictures" / name)
    arguments = ["--model=LitVAE", "--data=ImageFolderDataModule", f"--data.data_dir={tmp_path}/pictures", *words]
    arguments += [f"--data.cache_dir={tmp_path}/cache", "--trainer.max_epochs=1", "--trainer.accelerator=cpu"]
    with pytest.raises(kind, match=message):
        train.main(["fit", *arguments, f"--trainer.default_root_dir={tmp_path}/runs"])
    assert not list(tmp_path.glob("runs/*/*/checkpoints"))


DIGITS = ["--data=DigitsDataModule", "--trainer.max_epochs=1"]
# words of the command line; kind of error; its words
OPTIONS: list[tuple[list[str], type[BaseException], str]] = [
    (["--model=LitVAE", *DIGITS, "--data.val_fraction=1.5"], ValueError, r"val_fraction must be in \[0, 1\), got 1.5"),
    (["--model=LitVAE", *DIGITS, "--data.val_fraction=.nan"], ValueError, r"val_fraction must be in \[0, 1\), got nan"),
    (["--model=LitVAE", *DIGITS, "--data.train_fraction=0"], ValueError, r"train_fraction must be in \(0, 1\], got 0"),
    (["--model=LitVAE", *DIGITS, "--data.batch_size=0"], ValueError, "batch_size must be at least 1, got 0"),
    (["--model=LitVAE", *DIGITS, "--data.split_seed=-1"], ValueError, "split_seed must be at least 0, got -1"),
    (
        ["--model=LitVAE", *DIGITS, "--model.latent_dim=0"],
        ValueError,
        "latent_dim must be a whole number, at least 1, got 0",
    ),
    (
        ["--model=LitVAE", *DIGITS, "--model.encoder.hidden_dims=[-4]"],
        ValueError,
        "hidden_dims must be a list of whole",
    ),
    (["--model=LitVAE", *DIGITS, "--model.beta=-1"], ValueError, "beta must be a finite number, at least 0, got -1"),
    (["--model=LitVAE", *DIGITS, "--model.beta=.nan"], ValueError, "beta must be a finite number, at least 0, got nan"),
    (
        ["--model=LitRBM", *DIGITS, "--model.cd_steps=0"],
        ValueError,
        "cd_steps must be a whole number, at least 1, got 0",
    ),
    (
        ["--model=LitRBM", *DIGITS, "--model.hidden_dim=0"],
        ValueError,
        "hidden_dim must be a whole number, at least 1, got 0",
    ),
    (["--model=LitRBM", *DIGITS, "--model.sigma_init=.nan"], ValueError, "sigma_init must be a finite number"),
    (["--model=LitGAN", *DIGITS, "--model.discriminator.dropout=1"], ValueError, r"dropout must be in \[0, 1\), got 1"),
    (["--model=LitGAN", *DIGITS, "--model.ema_decay=1"], ValueError, r"ema_decay must be in \(0, 1\)"),
    (["--model=LitPPCA", *DIGITS, "--model.latent_dim=784"], ValueError, "latent_dim must be below the 784 values of"),
    (["--model=LitPPCA", *DIGITS, "--model.latent_dim=0"], ValueError, "latent_dim must be a whole number, at least 1"),
    (["--model=LitPPCA", *DIGITS, "--model.em_steps=0"], ValueError, "em_steps must be a whole number, at least 1"),
    (
        ["--model=LitPPCA", *DIGITS, "--model.min_variance=0"],
        ValueError,
        "min_variance must be a finite number above 0",
    ),
    (["--model=LitPPCA", *DIGITS, "--model.min_variance=.nan"], ValueError, "min_variance must be .*, got nan: at 0 a"),
    (
        ["--model=LitPPCA", *DIGITS, "--model.noise=diagonal"],
        ValueError,
        r'noise="diagonal" \(factor analysis\) has no solution in closed form: use fit="em"',
    ),
    (
        ["--model=LitPPCA", *DIGITS, "--model.lr_scheduler=CosineAnnealingLR", "--model.lr_scheduler.T_max=3"],
        ValueError,
        'lr_scheduler has no effect with fit="closed_form": leave it out, or use fit="gradient"',
    ),
    # choices are checked by the parser, which lists them
    (["--model=LitPPCA", *DIGITS, "--model.fit=newton"], SystemExit, "closed_form.*em.*gradient"),
    (["--model=LitLinear", *DIGITS, "--model.l2=-1"], ValueError, "l2 must be a finite number, at least 0, got -1"),
    (["--model=LitLinear", *DIGITS, "--model.step_size=2"], ValueError, r"step_size must be in \(0, 1\], got 2"),
    (["--model=LitLinear", *DIGITS, "--model.solver=closed_form"], ValueError, "closed_form.* is for task=.regression"),
    (
        ["--model=LitLinear", "--data=DiabetesDataModule", "--trainer.max_epochs=1"],
        ValueError,
        "num_outputs must be the number of classes, at least 2, got 1: .* use task=.regression",
    ),
    (
        ["--model=LitVAE", "--data=BreastCancerDataModule", "--trainer.max_epochs=1"],
        ValueError,
        r"image_shape must be \(channels, height, width\), each at least 1, got \(30,\)",
    ),
    (
        ["--model=LitLinear", "--data=CSVDataModule", "--data.path=nowhere.csv", "--data.target=y"],
        FileNotFoundError,
        "there is no file nowhere.csv: pass the path of a CSV file",
    ),
    (
        ["--model=LitLinear", "--data=BreastCancerDataModule", "--data.test_fraction=1"],
        ValueError,
        r"test_fraction must be in \[0, 1\), got 1",
    ),
    # choices are checked by the parser, which lists them
    (["--model=LitLinear", *DIGITS, "--model.solver=lbfgs"], SystemExit, "gradient.*manual.*newton.*closed_form"),
    (["--model=LitGAN", *DIGITS, "--model.loss=wgan"], SystemExit, "minimax.*non_saturating.*hinge.*least_squares"),
    (["--model=LitVAE", *DIGITS, "--model.likelihood=poisson"], SystemExit, "bernoulli.*gaussian"),
    (["--model=LitRBM", *DIGITS, "--model.learning=pcd"], SystemExit, "cd.*exact"),
    # unknown names, and where the known ones are listed
    (
        ["--model=LitVAE", *DIGITS, "--model.latent_dims=2"],
        SystemExit,
        "latent_dims.*did you mean latent_dim[?].*--model.help NAME",
    ),
    (["--model=Nothing", *DIGITS], SystemExit, "--model: .*LitVAE.*Expected a dot import path string: Nothing"),
    (["--model=LitVEA", *DIGITS], SystemExit, "LitVEA.*did you mean LitVAE[?]"),
    (["--model=LitVAE", "--data=DigitDataModule"], SystemExit, "DigitDataModule.*did you mean DigitsDataModule"),
    (["--model=LitVAE", *DIGITS, "--trainer.callbacks+=SampelGrid"], SystemExit, "SampelGrid.*did you mean SampleGrid"),
    (["--model=LitVAE", *DIGITS, "--trainer.max_epoks=3"], SystemExit, "max_epoks.*did you mean trainer.max_epochs"),
    (["--model=LitVAE", *DIGITS, "--trainer.max_epoch=3"], SystemExit, "max_epoch.*did you mean trainer.max_epochs"),
    (["--config=box_faces"], SystemExit, "box_faces.*did you mean boxes_faces"),
    # flags that have no effect on a model that steps its optimizers itself
    (
        ["--model=LitGAN", *DIGITS, "--trainer.gradient_clip_val=0.5"],
        ValueError,
        "--trainer.gradient_clip_val 0.5 has no effect on LitGAN.* use the model's own option, --model.grad",
    ),
    (
        ["--model=LitGAN", *DIGITS, "--trainer.accumulate_grad_batches=2"],
        ValueError,
        "--trainer.accumulate_grad_batches 2 has no effect on LitGAN",
    ),
    # training that leaves the numbers
    (
        ["--model=LitVAE", *DIGITS, "--model.optimizer.lr=1e30"],
        FloatingPointError,
        r"train/(loss|\w+) is (nan|inf) at batch \d+: lower the learning rate",
    ),
]


@pytest.mark.slow
@pytest.mark.parametrize(("words", "kind", "message"), OPTIONS, ids=[" ".join(row[0][3:]) for row in OPTIONS])
def test_bad_options(
    words: list[str], kind: type[BaseException], message: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    with pytest.raises(kind) as caught:
        train.main(["fit", *words, f"--trainer.default_root_dir={tmp_path}", "--trainer.accelerator=cpu"])
    said = capsys.readouterr().err.replace("\n", " ") if kind is SystemExit else str(caught.value)
    assert re.search(message, said), said
    assert not list(tmp_path.glob("*/*/checkpoints/*"))
    if kind is not FloatingPointError:  # which a run finds out after it has begun
        assert not list(tmp_path.glob("*/*"))


def test_an_error_stands_on_one_screen(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        train.main(["fit", "--model=LitVEA", *DIGITS])
    said = capsys.readouterr().err.splitlines()
    assert said[0].startswith("usage: ")
    assert len(said) < 20


def test_classes_for_a_regression(tmp_path: Path) -> None:
    """The first batch shows it, when the run has its folder."""
    words = ["fit", "--model=LitLinear", *DIGITS, "--model.task=regression", "--trainer.accelerator=cpu"]
    message = (
        r"targets y must be numbers of shape \(128, 10\), got torch.int64 of shape \(128,\): .* task=.classification"
    )
    with pytest.raises(ValueError, match=message):
        train.main([*words, f"--trainer.default_root_dir={tmp_path}"])
    assert not list(tmp_path.glob("*/*/checkpoints/*"))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("trainer: {max_epoks: 1}", "trainer.max_epoks"),
        ("modle: {class_path: LitVAE}", "modle"),
        ("model: {class_path: LitVAE, init_args: {latentdim: 3}}", "latentdim"),
    ],
)
def test_an_unknown_key_in_a_config(
    line: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.yaml").write_text(f"data: {{class_path: DigitsDataModule}}\n{line}\n")
    with pytest.raises(SystemExit):
        train.main(["fit", f"--config={tmp_path}/bad.yaml"])
    assert re.search(message, capsys.readouterr().err.replace("\n", " "))


class NotNumbers(DigitsDataModule):
    """Digits of which one pixel is not a number."""

    def on_after_batch_transfer(self, batch: tuple[Tensor, Tensor], dataloader_idx: int) -> tuple[Tensor, Tensor]:
        """As usual, but for that pixel."""
        x, y = super().on_after_batch_transfer(batch, dataloader_idx)
        x[0, 0, 0, 0] = torch.nan
        return x, y


@pytest.mark.parametrize("model", ["LitVAE", "LitGAN", "LitRBM", "LitClassifier", "LitPPCA"])
def test_images_that_are_not_numbers(model: str, tmp_path: Path) -> None:
    words = [f"--model={model}", "--data=tests.test_bad_input.NotNumbers", "--data.batch_size=16"]
    words += ["--trainer.max_epochs=1", "--trainer.limit_train_batches=2", "--trainer.log_every_n_steps=1"]
    with pytest.raises(ValueError, match=r"pixels must be in \[0, 1\], got values from nan to nan"):
        train.main(["fit", *words, f"--trainer.default_root_dir={tmp_path}", "--trainer.accelerator=cpu"])
    assert not list(tmp_path.glob("*/*/checkpoints/*"))


def test_images_of_one_value(tmp_path: Path) -> None:
    for name in ("train", "t10k"):
        write_idx(tmp_path / "MNIST/raw" / f"{name}-images-idx3-ubyte", np.full((40, 28, 28), 9))
        write_idx(tmp_path / "MNIST/raw" / f"{name}-labels-idx1-ubyte", np.arange(40) % 10)
    words = [
        "--data=MNISTDataModule",
        f"--data.data_dir={tmp_path}",
        "--data.val_fraction=0.5",
        "--trainer.max_epochs=1",
    ]
    words += [
        "--trainer.accelerator=cpu",
        "--trainer.log_every_n_steps=1",
        f"--trainer.default_root_dir={tmp_path}/runs",
    ]
    with pytest.raises(ValueError, match=r"the training images have no contrast: mean 0\.03"):
        train.main(["fit", "--model=LitRBM", *words])
    train.main(["fit", "--model=LitVAE", *words])  # has no scale to take from them: it learns one grey


SMALL = ["--model=LitVAE", "--model.encoder.hidden_dims=[4]", "--model.decoder.hidden_dims=[4]"]


@pytest.fixture(scope="module")
def a_vae(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("vae")
    usual = [*DIGITS, f"--trainer.default_root_dir={root}", "--trainer.enable_progress_bar=false"]
    train.main(["fit", *SMALL, *usual])
    return root / "LitVAE/version_0/checkpoints/last.ckpt"


def truncated(good: Path, folder: Path) -> Path:
    path = folder / "half.ckpt"
    path.write_bytes(good.read_bytes()[:-500])
    return path


def harmful(good: Path, folder: Path) -> Path:
    torch.save({**torch.load(good, weights_only=True), "extra": Harmful()}, folder / "harm.ckpt")
    return folder / "harm.ckpt"


USUAL = ["--model=LitVAE", *DIGITS]
PROBE = ["--model=LitProbe", "--data=EncodedDataModule", "--data.data=DigitsDataModule"]
PROBE += ["--data.encoder=lit_models.load_model", "--trainer.max_epochs=1"]
# model and data; how the checkpoint is made from a good one of a VAE with hidden_dims [4]; the words
CHECKPOINTS: list[tuple[list[str], Callable[[Path, Path], Path], type[Exception], str]] = [
    (USUAL, lambda good, folder: folder / "no.ckpt", FileNotFoundError, "there is no checkpoint"),
    (USUAL, truncated, ValueError, "half.ckpt is truncated, or not a checkpoint"),
    (USUAL, harmful, ValueError, "harm.ckpt is truncated, or not a checkpoint of tensors"),
    (
        ["--model=LitRBM", *DIGITS],
        lambda good, folder: good,
        ValueError,
        "another architecture than this LitRBM: LitVAE with",
    ),
    (USUAL, lambda good, folder: good, ValueError, r"hidden_dims': \[4\].*\(here .*hidden_dims': \[400\]"),
    (PROBE, truncated, ValueError, "half.ckpt is truncated, or not a checkpoint"),
]


@pytest.mark.parametrize(("words", "make", "kind", "message"), CHECKPOINTS)
def test_bad_checkpoints(
    words: list[str],
    make: Callable[[Path, Path], Path],
    kind: type[Exception],
    message: str,
    a_vae: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    checkpoint = make(a_vae, tmp_path)
    option = "--data.encoder.checkpoint" if words == PROBE else "--ckpt_path"
    with pytest.raises(kind, match=message):
        train.main(["fit", *words, f"{option}={checkpoint}", f"--trainer.default_root_dir={tmp_path}/runs"])
    assert not (tmp_path / "harm").exists()
    assert not list(tmp_path.glob("runs/*/*"))


def test_a_checkpoint_of_images_of_another_shape(a_vae: Path, tmp_path: Path) -> None:
    content = torch.load(a_vae, weights_only=True)
    small = partial(MLPEncoder, hidden_dims=[4]), partial(MLPDecoder, hidden_dims=[4])
    content["state_dict"] = LitVAE((1, 8, 8), encoder=small[0], decoder=small[1]).state_dict()
    content["recipe"]["init_args"]["image_shape"] = [1, 8, 8]
    torch.save(content, tmp_path / "small.ckpt")
    words = [*SMALL, *DIGITS, f"--ckpt_path={tmp_path}/small.ckpt"]
    with pytest.raises(ValueError, match=r"image_shape=\[1, 8, 8\] \(here \[1, 28, 28\]\)"):
        train.main(["fit", *words, f"--trainer.default_root_dir={tmp_path}/runs"])


def unusable_roots(folder: Path) -> dict[str, str]:
    (folder / "file").write_text("")
    return {
        str(folder / "file"): "file is a file: pass another folder",
        str(folder / "file" / "runs"): "file is a file: pass another folder",
        "s3://bucket/runs": "an address: pass another folder",
    }


def test_a_root_folder_that_cannot_be_used(tmp_path: Path) -> None:
    for root, message in unusable_roots(tmp_path).items():
        with pytest.raises(ValueError, match=f"--trainer.default_root_dir must be a folder.*{root}.*{message}"):
            train.main(["fit", *USUAL, f"--trainer.default_root_dir={root}"])
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("name", ["../x", "a/../../x", "/tmp/x", "~/x", " ", ".", "long" * 75, "a/" + "long" * 75])
def test_an_experiment_that_is_no_folder_name(name: str) -> None:
    message = "have at most 255 bytes .* got 300" if "long" in name else f"name a folder inside .* got {name!r}: pass"
    with pytest.raises(ValueError, match=f"--experiment must {message}"):
        check_experiment(name)


def test_a_best_checkpoint_of_a_run_without_validation(tmp_path: Path) -> None:
    (tmp_path / "last.ckpt").touch()
    with pytest.raises(FileNotFoundError, match=r"without a validation split no epoch is the best; pass .*last\.ckpt"):
        load_model(tmp_path / "best.ckpt")


def test_an_experiment_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="--experiment must name a folder inside"):
        train.main(["fit", *USUAL, f"--trainer.default_root_dir={tmp_path}/runs", "--experiment=../x"])
    assert not list(tmp_path.iterdir())
