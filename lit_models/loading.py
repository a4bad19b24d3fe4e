"""Any model from its checkpoint, without knowing its class beforehand."""

import inspect
from collections.abc import Sequence
from pathlib import Path

from lightning.pytorch import LightningModule

from lit_models.base import BaseModule, without_unnamed
from lit_models.classifier import LitClassifier
from lit_models.recipe import build, read_checkpoint, recipe_of


def load_model(checkpoint: str | Path, trained: bool = True, trusted: Sequence[str] = ()) -> LightningModule:
    """The model of a checkpoint, ready to be looked at: on the CPU, in eval mode, without gradients.

    A checkpoint says which class and which networks it needs, see `lit_models.recipe`. Only classes of this project and
    of PyTorch are imported for it, and of modules that the caller names.

    Args:
        checkpoint: path of a checkpoint of a `BaseModule`.
        trained: with its weights; otherwise the same architecture with random ones, always the same, see
            `BaseModule.untrained`.
        trusted: modules of your own that the checkpoint may name, such as `["mine"]`.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is truncated, says no recipe, or names something that is not trusted or is no model.
        TypeError: it names a network that is no network of the kind that the model takes.
    """
    content = read_checkpoint(checkpoint)
    recipe = recipe_of(content, checkpoint)
    make = build({"class_path": recipe["class_path"], "init_args": without_unnamed(recipe["init_args"])}, trusted)
    if not (inspect.isclass(make.func) and issubclass(make.func, BaseModule)):
        raise ValueError(
            f"{checkpoint} names {recipe['class_path']} as its model, which is no lit_models.base.BaseModule"
        )
    model: BaseModule = make()
    model.load_state_dict(content["state_dict"])
    return model.eval().requires_grad_(False) if trained else model.untrained()


def check_fits(checkpoint: str | Path, model: LightningModule) -> None:
    """See that a checkpoint's weights fit a model, and say which arguments differ where they do not.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not a checkpoint, or its weights are not those of this model's architecture.
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
        if value != asked.get(key)
    ]
    raise ValueError(
        f"{checkpoint} holds the weights of another architecture than this {type(model).__name__}: "
        f"{saved['class_path'].rpartition('.')[2]} with {', '.join(differing) or 'other layers'}. "
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
