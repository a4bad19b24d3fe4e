"""The classifier in whose features samples are compared: one that is given, or one trained once for the data."""

import hashlib
import shutil
import tempfile
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]
from lightning.pytorch.utilities import rank_zero_info

from lit_generative.configs import CONFIGS
from lit_generative.trained import TrainedRun, data_hash, image_classes
from lit_models import load_classifier

_EXPECTED = 0.98  # test accuracy on images like MNIST's
_GREY, _COLOUR = "classifier_mnist.yaml", "classifier_cifar10.yaml"
_AS_THEY_ARE = ("binarize", "augment", "train_fraction")  # what a run does to its images, a judge does not
_CHECKPOINT = Path("classifier", "version_0", "checkpoints", "last.ckpt")


def find_classifier(run: TrainedRun, data: Any, given: str | Path | None, cache_dir: Path) -> Path | None:
    """Path of a classifier's checkpoint for the data of a run; None where the data have fewer than two classes.

    Where none is given, it is trained by `configs/classifier_mnist.yaml` (of colour images `classifier_cifar10.yaml`)
    on the run's data, once, and kept by a hash of the data and of that config.

    Args:
        run: whose config names the data.
        data: the data module, set up.
        given: checkpoint of a `LitClassifier`.
        cache_dir: where trained ones are kept.

    Raises:
        ValueError: the one given has other classes or another image shape than the data.

    Example:
        >>> class Unlabelled:
        ...     num_classes = 0
        >>> find_classifier(None, Unlabelled(), None, Path("nowhere")) is None
        True
    """
    if image_classes(data) < 2:
        return None
    if given is None:
        return _trained_once(run, data, cache_dir / "classifiers")
    model = load_classifier(str(given))
    if (model.num_classes, tuple(model.image_shape)) != (data.num_classes, tuple(data.image_shape)):
        raise ValueError(
            f"--classifier {given} tells {model.num_classes} classes of images {tuple(model.image_shape)} apart, and "
            f"the data have {data.num_classes} classes of images {tuple(data.image_shape)}: pass one that was trained "
            "on these data, or leave it out"
        )
    return Path(given)


def doubt(accuracy: float, image_shape: tuple[int, ...]) -> str | None:
    """In words that the classifier is too weak to judge images like MNIST's; None where it is not, or they are others.

    Example:
        >>> doubt(0.9, (1, 28, 28))
        "the classifier's test accuracy is 90.0%, below 98%: read figures of samples with care, or give a better one"
    """
    if tuple(image_shape) != (1, 28, 28) or accuracy >= _EXPECTED:
        return None
    return (
        f"the classifier's test accuracy is {accuracy:.1%}, below {_EXPECTED:.0%}: read figures of samples "
        "with care, or give a better one"
    )


def _trained_once(run: TrainedRun, data: Any, folder: Path) -> Path:
    config = CONFIGS / (_GREY if data.image_shape[0] == 1 else _COLOUR)
    name = hashlib.sha256((data_hash(data) + config.read_text()).encode()).hexdigest()[:16]
    kept = folder / name
    if not (kept / _CHECKPOINT).is_file():
        rank_zero_info(
            f"Training a classifier of these data, once, by configs/{config.name}, in some minutes: it is kept "
            f"in {kept}. --classifier CHECKPOINT names one that is there already"
        )
        folder.mkdir(parents=True, exist_ok=True)
        # elsewhere first: a run that is killed leaves nothing that looks finished, and of two that race one stays
        made = Path(tempfile.mkdtemp(dir=folder, prefix=".training-"))
        try:
            _train(_settings(config, run, data), made)
            if not (kept / _CHECKPOINT).is_file():
                shutil.rmtree(kept, ignore_errors=True)  # what is left of one that was deleted in part
                made.rename(kept)
        except (KeyboardInterrupt, SystemExit):
            rank_zero_info(
                "the classifier's training was interrupted and is thrown away: the next report begins it anew"
            )
            raise
        finally:
            shutil.rmtree(made, ignore_errors=True)
    return kept / _CHECKPOINT


def _settings(config: Path, run: TrainedRun, data: Any) -> dict[str, Any]:
    """The classifier's config with the run's data in place of its own."""
    settings = yaml.safe_load(config.read_text())
    arguments = dict(run.config["data"].get("init_args") or {})
    arguments |= {"batch_size": settings["data"]["init_args"]["batch_size"]}
    if "data_dir" in arguments:
        arguments["data_dir"] = data.data_dir
    kept = {key: value for key, value in arguments.items() if key not in _AS_THEY_ARE}
    settings["data"] = {"class_path": run.config["data"]["class_path"], "init_args": kept}
    settings["trainer"] |= {"callbacks": []}
    return settings


def _train(settings: dict[str, Any], folder: Path) -> None:
    from lit_generative.train import main  # here: a report with a classifier at hand does not need the command line

    config = folder / "classifier.yaml"
    config.write_text(yaml.safe_dump(settings))
    words = [f"--config={config}", f"--trainer.default_root_dir={folder}", "--trainer.enable_model_summary=false"]
    main(["fit", *words])
