"""Quality of samples while a model trains: figures that a checkpoint can be picked by."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from callbacks import SampleQuality
from datamodules import DigitsDataModule
from evaluation.distances import frechet_distance
from lit_generative import train
from lit_models import LitVAE, load_classifier


class Pixels(nn.Module):
    """A classifier whose features are eight rows of pixels."""

    def encode(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return x[:, 0, 10:18].mean(2)

    def classify(self, x: Tensor) -> Tensor:
        return torch.full((len(x), 10), 0.1)


WORDS = ["--model=LitVAE", "--model.encoder.hidden_dims=[32]", "--model.decoder.hidden_dims=[32]"]
WORDS += ["--data=DigitsDataModule", "--trainer.enable_progress_bar=false", "--trainer.accelerator=cpu"]
QUALITY = ["--trainer.callbacks+=SampleQuality", "--trainer.callbacks.n=200"]
CLASSIFIER = "--trainer.callbacks.classifier=tests.callbacks.test_sample_quality.Pixels"


def logged(run: Path) -> list[float]:
    rows = (run / "metrics.csv").read_text().splitlines()
    place = rows[0].split(",").index("val/fd")
    return [float(row.split(",")[place]) for row in rows[1:] if row.split(",")[place]]


def test_the_best_checkpoint_is_that_of_the_smallest_distance(tmp_path: Path) -> None:
    words = [*WORDS, *QUALITY, CLASSIFIER, "--trainer.callbacks.every_n_epochs=2", "--checkpoint.monitor=val/fd"]
    cli = train.main(["fit", *words, f"--trainer.default_root_dir={tmp_path}", "--trainer.max_epochs=5"])
    seen = logged(tmp_path / "LitVAE/version_0")
    assert len(seen) == 5
    assert seen[1] == seen[2] != seen[0]  # measured after the first epoch, and every second
    assert seen[3] == seen[4] != seen[2]
    assert cli.trainer.checkpoint_callback.best_model_score.item() == pytest.approx(min(seen), rel=1e-6)
    assert 0 <= cli.trainer.callback_metrics["val/coverage"] <= 1


@pytest.mark.slow
def test_a_resumed_run_has_the_figures_of_the_uninterrupted_one(tmp_path: Path) -> None:
    words = ["fit", *WORDS, *QUALITY, CLASSIFIER, "--trainer.callbacks.every_n_epochs=2"]
    train.main([*words, f"--trainer.default_root_dir={tmp_path / 'whole'}", "--trainer.max_epochs=4"])
    parts = [*words, f"--trainer.default_root_dir={tmp_path / 'parts'}"]
    train.main([*parts, "--trainer.max_epochs=2"])
    train.main([*parts, "--trainer.max_epochs=4", "--ckpt_path=last"])
    first, second = (logged(tmp_path / f"parts/LitVAE/version_{number}") for number in (0, 1))
    assert first + second == logged(tmp_path / "whole/LitVAE/version_0")


def test_in_test_the_figure_is_of_the_test_split(tmp_path: Path) -> None:
    words = [*WORDS, f"--trainer.default_root_dir={tmp_path}"]
    train.main(["fit", *words, "--trainer.max_epochs=1"])
    cli = train.main(["test", *words, *QUALITY, CLASSIFIER, "--ckpt_path=last"])
    assert isinstance(cli.model, LitVAE)
    (callback,) = (one for one in cli.trainer.callbacks if isinstance(one, SampleQuality))
    data = DigitsDataModule()
    data.setup()
    real = Pixels().encode(data.split("test")[0] / 255)
    samples = Pixels().encode(callback._samples(cli.model))
    assert cli.trainer.callback_metrics["test/fd"].item() == pytest.approx(frechet_distance(samples, real), rel=1e-4)


@pytest.mark.slow
def test_a_trained_classifier_from_a_config(tmp_path: Path) -> None:
    digits = ["--data=DigitsDataModule", f"--trainer.default_root_dir={tmp_path}", "--trainer.accelerator=cpu"]
    digits += ["--trainer.enable_progress_bar=false", "--trainer.max_epochs=1"]
    train.main(["fit", "--model=LitClassifier", *digits, "--trainer.limit_train_batches=2"])
    checkpoint = tmp_path / "LitClassifier/version_0/checkpoints/last.ckpt"
    judge = ["--trainer.callbacks.classifier=lit_models.load_classifier"]
    judge += [f"--trainer.callbacks.classifier.checkpoint={checkpoint}"]
    cli = train.main(["fit", *WORDS[:3], *digits, *QUALITY, *judge])
    assert cli.trainer.callback_metrics["val/fd"] > 0
    assert not any(name.startswith("classifier") for name, _ in cli.model.named_parameters())
    assert load_classifier(str(checkpoint)).num_classes == 10


def test_what_is_refused() -> None:
    with pytest.raises(
        TypeError, match=r"needs a classifier with classify\(x\) and encode\(x\), which Linear does not"
    ):
        SampleQuality(nn.Linear(2, 2))
    with pytest.raises(ValueError, match="n must be at least 50, got 49"):
        SampleQuality(Pixels(), n=49)
    with pytest.raises(ValueError, match="every_n_epochs must be at least 1, got 0"):
        SampleQuality(Pixels(), every_n_epochs=0)
