"""What reports are made of, off the trodden path: few images, few classes, broken models, broken caches."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn

from callbacks.image_grid import image_grid
from datamodules import DigitsDataModule
from evaluation.of_models import measure_likelihood, measure_reconstructions
from evaluation.of_samples import draw_samples
from evaluation.reference import Reference
from lit_generative import judge
from lit_generative.measuring import Sizes, measure_beside
from lit_generative.report_page import _picture
from lit_generative.trained import TrainedRun, open_data
from lit_models.functional.likelihood import LikelihoodEstimate
from tests.datamodules.pictures import write_picture


class Broken(nn.Module):
    """Its third image is NaN, or above 1."""

    conditional = False

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value

    def reconstruct(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        made = torch.full_like(x, 0.5)
        made[2] = self.value
        return made

    def sample(self, n: int, y: Tensor | None = None) -> Tensor:
        return self.reconstruct(torch.zeros(n, 1, 2, 2))

    def estimate_likelihood(self, x: Tensor, y: Tensor | None = None, draws: int = 2) -> LikelihoodEstimate:
        return LikelihoodEstimate(torch.full((len(x),), self.value) / 0, "density", "exact")


class Judge:
    """Sees mean brightness alone."""

    def encode(self, x: Tensor) -> Tensor:
        return x.flatten(1)

    def classify(self, x: Tensor) -> Tensor:
        return x.flatten(1)[:, :2]


def some_data(n: int = 60, n_test: int = 20, classifier: object = None) -> Reference:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(n + n_test, 1, 2, 2, generator=generator)
    labels = torch.arange(n + n_test) % 2
    return Reference(images[:n], labels[:n], images[n:], labels[n:], ("a", "b"), classifier)


@pytest.mark.parametrize("value", [float("nan"), 1.5])
def test_a_broken_model_is_named(value: float) -> None:
    with pytest.raises(ValueError, match=r"samples must be in \[0, 1\], and 1 of 9 images are not"):
        draw_samples(Broken(value), 9)
    with pytest.raises(ValueError, match=r"reconstructions must be in \[0, 1\], and 1 of 20 images are not"):
        measure_reconstructions(Broken(value), some_data())
    with pytest.raises(ValueError, match="the log-likelihood of some image is not finite"):
        measure_likelihood(Broken(value), some_data(), 5)


def test_a_conditional_model_is_asked_for_the_shares_of_the_data() -> None:
    """Else one that is perfect would lie far from data with a rare class."""

    class Model:
        conditional, num_classes = True, 3

        def sample(self, n: int, y: Tensor) -> Tensor:
            return y.view(-1, 1, 1, 1) / 2

    labels = torch.tensor([2] * 5 + [0] * 90 + [1] * 5)
    images, asked = draw_samples(Model(), 40, train_labels=labels)
    assert asked is not None
    assert asked.bincount().tolist() == [36, 2, 2]
    assert torch.equal(images.flatten(), asked / 2)
    assert draw_samples(Model(), 9)[1].bincount().tolist() == [3, 3, 3]  # type: ignore[union-attr]


def test_few_test_images_leave_rows_out_and_end_nothing(tmp_path: Path) -> None:
    kept = tmp_path / "beside.json"
    (*_, (_, first)) = measure_beside(some_data(classifier=Judge()), [50], Sizes(), kept)
    assert "at least 40 examples" in first.left_out["real (50)"]
    assert first.pixels
    assert [beside for _, beside in measure_beside(some_data(), [50], Sizes(), kept)] == [first]


def test_a_run_of_a_part_of_the_data_is_measured_beside_all_of_it() -> None:
    """Whichever run comes first."""
    arguments = {"train_fraction": 0.1, "val_fraction": 0.5}
    config = {"data": {"class_path": "datamodules.DigitsDataModule", "init_args": arguments}}
    data = open_data(TrainedRun("a", Path("a.ckpt"), 1, config, LightningModule()))
    whole = DigitsDataModule(val_fraction=0)
    whole.setup()
    assert len(data.split("train")[0]) + len(data.split("val")[0]) == len(whole.split("train")[0])


@pytest.mark.parametrize("before", ["/home/somebody", "C:\\data", "."])
def test_a_table_and_its_pictures_lie_elsewhere_now(before: str, tmp_path: Path) -> None:
    """They keep their names: a run of another machine, and an exported one, whose config has names alone."""
    (tmp_path / "faces").mkdir()
    for number in range(4):
        write_picture(tmp_path / "faces" / f"{number}.png", size=(20, 30))
    rows = "".join(f"{number}.png,0,0,10,15\n" for number in range(4))
    (tmp_path / "boxes.csv").write_text(f"image_name,x0,y0,x1,y1\n{rows}")
    there: dict[str, Any] = {
        "path": f"{before}/boxes.csv",
        "images": f"{before}/faces",
        "cache_dir": str(tmp_path / "cache"),
    }
    there["augment"] = [{"class_path": "torchvision.transforms.v2.RandomHorizontalFlip"}]
    config = {"data": {"class_path": "datamodules.BoxDataModule", "init_args": {**there, "test_fraction": 0}}}
    run = TrainedRun("a", Path("a.ckpt"), 1, config, LightningModule(), trusted=())
    with pytest.raises(FileNotFoundError, match=r"^there is no file .*boxes\.csv: pass the path of a CSV file$"):
        open_data(run)
    assert open_data(run, str(tmp_path)).split("train")[1].unique(dim=0).tolist() == [[0.25, 0.25, 0.5, 0.5]]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"class_path": "datamodules.Nothing"}, "^the config of a names data that cannot be made: .*'Nothing"),
        ({"class_path": "datamodules.DigitsDataModule", "init_args": {"size": 1}}, "'size' is not accepted"),
        ({"class_path": "datamodules.DigitsDataModule", "init_args": {"batch_size": 0}}, "^batch_size must be at leas"),
    ],
)
def test_data_that_cannot_be_made(data: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        open_data(TrainedRun("a", Path("a.ckpt"), 1, {"data": data}, LightningModule()))


def test_one_class_needs_no_classifier(tmp_path: Path) -> None:
    assert judge.find_classifier(None, SimpleNamespace(num_classes=1), None, tmp_path) is None  # type: ignore[arg-type]


def test_a_classifier_deleted_in_part_is_trained_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def train(settings: object, folder: Path) -> None:
        (folder / judge._CHECKPOINT).parent.mkdir(parents=True)
        (folder / judge._CHECKPOINT).touch()

    monkeypatch.setattr(judge, "_train", train)
    data = DigitsDataModule()
    data.setup()
    config = {"data": {"class_path": "datamodules.DigitsDataModule"}}
    run = TrainedRun("a", Path("a.ckpt"), 1, config, LightningModule())
    found = judge.find_classifier(run, data, None, tmp_path)
    assert found is not None
    found.unlink()
    assert judge.find_classifier(run, data, None, tmp_path) == found
    assert found.is_file()


def test_dollars_in_a_name_are_dollars() -> None:
    assert _picture(image_grid([torch.rand(2, 1, 2, 2)], ["$\\nothing_^$"]), "").png


@pytest.mark.slow
def test_files_are_utf8_whatever_the_locale(tmp_path: Path) -> None:
    """As on Windows, where it may be another."""
    code = "import pathlib, sys; from lit_generative import measuring, report; measuring.beside_name('a')"
    code += "; report._write(pathlib.Path(sys.argv[1]), 'Fr\\u00e9chet \\u221e')"
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "a.html")], env=os.environ | ascii_only, check=True)
    assert (tmp_path / "a.html").read_text(encoding="utf-8") == "Fréchet ∞"


@pytest.mark.slow
def test_codes_of_a_collapsed_model_are_drawn() -> None:
    """In a process of its own, which ended with a segmentation fault."""
    code = "import torch; from callbacks.code_map import tsne_plane"
    code += "; assert all(tsne_plane(torch.rand(40, 2) * spread).shape == (40, 2) for spread in (0, 1e-30))"
    subprocess.run([sys.executable, "-c", code], check=True)
