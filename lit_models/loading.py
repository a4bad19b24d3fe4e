"""Any model of this project from its checkpoint, without knowing its class beforehand."""

import inspect
import pickle
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule

from lit_models.classifier import LitClassifier
from lit_models.gan import LitDCGAN
from lit_models.rbm import LitRBM
from lit_models.vae import LitVAE

# Only these are ever made: a checkpoint is data, and must not choose code to run.
CLASSES: dict[str, type[LightningModule]] = {cls.__name__: cls for cls in (LitClassifier, LitDCGAN, LitRBM, LitVAE)}


def load_model(checkpoint: str | Path, trained: bool = True) -> LightningModule:
    """The model of a checkpoint, ready to be looked at: on the CPU, in eval mode, without gradients.

    Args:
        checkpoint: path of a checkpoint written by one of `CLASSES`.
        trained: with its weights; otherwise the same architecture with random ones, the baseline for what training
            brought. They come from a seed of their own: the same ones each time.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not a checkpoint of this project.
    """
    content = _read(Path(checkpoint))
    name = content.get("model_class")
    if name not in CLASSES:
        raise ValueError(f"{checkpoint} holds no model of this project but {name!r}: expected one of {sorted(CLASSES)}")
    cls = CLASSES[name]
    known = inspect.signature(cls).parameters
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)  # the CPU's alone: a GPU's noise keeps the user's seed
        model = cls(**{key: value for key, value in content["hyper_parameters"].items() if key in known})
    if trained:
        model.load_state_dict(content["state_dict"])
    else:  # the scale of the data is nothing that was learned: both models see the same input
        scale = {name: value for name, value in content["state_dict"].items() if name.startswith("scale.")}
        model.load_state_dict(scale, strict=False)
    return model.eval().requires_grad_(False)


def check_fits(checkpoint: str | Path, model: LightningModule) -> None:
    """See that a checkpoint's weights fit a model, and say which arguments differ where they do not.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not a checkpoint, or its weights are not those of this model's architecture.
    """
    content = _read(Path(checkpoint))
    theirs = {name: value.shape for name, value in content.get("state_dict", {}).items()}
    if theirs == {name: value.shape for name, value in model.state_dict().items()}:
        return
    saved, asked = content.get("hyper_parameters", {}), model.hparams
    differing = [f"{key}={saved[key]!r} (here {asked.get(key)!r})" for key in saved if saved[key] != asked.get(key)]
    raise ValueError(
        f"{checkpoint} holds the weights of another architecture than this {type(model).__name__}: "
        f"{content.get('model_class')} with {', '.join(differing) or 'other layers'}. "
        "Use the config.yaml that lies beside its checkpoints folder"
    )


def load_classifier(checkpoint: str) -> LitClassifier:
    """A trained `LitClassifier` from its checkpoint, ready to judge images.

    Args:
        checkpoint: path of a checkpoint that `LitClassifier` wrote.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it holds another class.
    """
    model = load_model(checkpoint)
    if not isinstance(model, LitClassifier):
        raise ValueError(
            f"{checkpoint} holds a {type(model).__name__}, which does not classify: pass a checkpoint of LitClassifier "
            "(configs/classifier_mnist.yaml makes one)"
        )
    return model


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise FileNotFoundError(f"there is no checkpoint {path}: train.py fit writes them to runs/.../checkpoints/")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, EOFError, RuntimeError, ValueError) as error:
        raise ValueError(f"{path} is truncated, or not a checkpoint of tensors and plain values") from error
