"""Loading models from checkpoints."""

import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule

from lit_models.base import BaseModule, without_unnamed
from lit_models.classifier import LitClassifier
from lit_models.exported import is_exported, read_exported
from lit_models.recipe import build, read_checkpoint, recipe_of


def load_model(checkpoint: str | Path, trained: bool = True, trusted: Sequence[str] = ()) -> LightningModule:
    """Load a model from its checkpoint or its exported folder, on the CPU, in eval mode, without gradients.

    Both say which class and which networks the model needs, see `lit_models.recipe`. Only classes of this project and
    of PyTorch are imported for it, and of modules that the caller names.

    Args:
        checkpoint: path of a checkpoint of a `BaseModule`, or of a folder that `export.py` wrote, or such a folder's
            address on the Hugging Face Hub, `hf://OWNER/NAME`.
        trained: with its weights; otherwise the same architecture with random ones, always the same, see
            `BaseModule.untrained`.
        trusted: modules of your own that the checkpoint may name, such as `["mine"]`.

    Raises:
        FileNotFoundError: there is no such file or repository.
        ValueError: it is truncated, says no recipe, names something that is not trusted or is no model, or has other
            weights than that model.
        RuntimeError: a package that exported folders need is not installed.
        TypeError: it names a network that is no network of the kind that the model takes.

    Example:
        >>> import tempfile
        >>> from lightning.pytorch import Trainer
        >>> from lit_models import LitVAE
        >>> path = Path(tempfile.mkdtemp(), "vae.ckpt")
        >>> trainer = Trainer(logger=False, accelerator="cpu", enable_checkpointing=False)
        >>> trainer.strategy.connect(LitVAE((1, 8, 8), latent_dim=2))
        >>> trainer.save_checkpoint(path)
        >>> load_model(path).latent_dim
        2
    """
    content = read_exported(checkpoint) if is_exported(checkpoint) else read_checkpoint(checkpoint)
    recipe = recipe_of(content, checkpoint)
    make = build({"class_path": recipe["class_path"], "init_args": without_unnamed(recipe["init_args"])}, trusted)
    if not (inspect.isclass(make.func) and issubclass(make.func, BaseModule)):
        raise ValueError(
            f"{checkpoint} names {recipe['class_path']} as its model, which is no lit_models.base.BaseModule"
        )
    try:
        model: BaseModule = make()
    except TypeError as error:
        if "argument" not in str(error):
            raise
        raise ValueError(f"{checkpoint} names arguments that do not fit {recipe['class_path']}: {error}") from error
    _load_weights(model, content["state_dict"], checkpoint)
    return model.eval().requires_grad_(False) if trained else model.untrained()


def _load_weights(model: BaseModule, weights: dict[str, Any], source: str | Path) -> None:
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:  # a weight that is missing, unknown, or of another shape
        reasons = "; ".join(line.strip().rstrip(". ") for line in str(error).splitlines()[1:])
        raise ValueError(f"{source} has other weights than its {type(model).__name__}: {reasons}") from error


def check_fits(checkpoint: str | Path, model: LightningModule) -> None:
    """Check that a checkpoint's weights fit a model; the error says which arguments differ.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not a checkpoint, or its weights are not those of this model's architecture.

    Example:
        >>> check_fits("runs/quickstart/version_0/checkpoints/best.ckpt", LitVAE((1, 28, 28)))  # doctest: +SKIP
    """
    content = read_checkpoint(checkpoint)
    theirs = {name: value.shape for name, value in content["state_dict"].items()}
    if theirs == {name: value.shape for name, value in model.state_dict().items()}:
        return
    saved = recipe_of(content, checkpoint)
    asked = model.recipe["init_args"] if isinstance(model, BaseModule) else {}
    differing = [
        f"{key}={value!r} (here {asked.get(key)!r})"
        for key, value in saved["init_args"].items()
        if value != asked.get(key) and not key.startswith(("optimizer", "lr_scheduler"))
    ]
    raise ValueError(
        f"{checkpoint} holds the weights of another architecture than this {type(model).__name__}: "
        f"{saved['class_path'].rpartition('.')[2]} with {', '.join(differing) or 'other layers'}. "
        "Use the config.yaml that lies beside its checkpoints folder"
    )


def load_classifier(checkpoint: str) -> LitClassifier:
    """Load a `LitClassifier` from its checkpoint, see `load_model`.

    Args:
        checkpoint: path of a checkpoint that `LitClassifier` wrote.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it holds another class.

    Example:
        >>> load_classifier("runs/classifier_mnist/version_0/checkpoints/last.ckpt")  # doctest: +SKIP
    """
    model = load_model(checkpoint)
    if not isinstance(model, LitClassifier):
        raise ValueError(
            f"{checkpoint} holds a {type(model).__name__}, which does not classify: pass a checkpoint of LitClassifier "
            "(configs/classifier_mnist.yaml makes one)"
        )
    return model
