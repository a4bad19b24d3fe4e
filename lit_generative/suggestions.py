"""An error in the words of a command, with the names that somebody may have meant."""

import inspect
import re
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path

from lightning.pytorch import LightningDataModule, LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

import callbacks
import datamodules
import lit_models
from lit_generative.configs import config_names
from lit_models import networks

_ROOMS = {
    "model": lit_models,
    "data": datamodules,
    "trainer.callbacks": callbacks,
    "model's networks, such as --model.encoder": networks,
}
_KINDS = LightningModule, LightningDataModule, Callback, networks.Encoder, networks.Decoder
# how jsonargparse and argparse say it
_UNKNOWN = re.compile(
    r"Option '([\w.]+)' is not accepted|unrecognized arguments: --([\w.]+)|Expected a dot import path string: (\w+)"
    r"|File does not exist: '([^']+)'|invalid choice: '?([\w.]+)"
)
_NEAR = 0.7  # share of letters in common


def with_names(error: str, options: Iterable[str]) -> str:
    """The parser's error, and after it the names near the unknown one; where none is near, all of them before it.

    Args:
        error: what the parser said.
        options: of the command, without dashes, but for the Trainer's.

    Example:
        >>> print(with_names("unrecognized arguments: --expriment a", ["experiment"]).rstrip())
        unrecognized arguments: --expriment a
        did you mean experiment? Options of a model or data: --model.help NAME, --data.help NAME
    """
    classes: dict[str, type] = {}
    lines = []
    for key, room in _ROOMS.items():
        found = {name: getattr(room, name) for name in room.__all__}
        ours = {name: one for name, one in found.items() if isinstance(one, type) and issubclass(one, _KINDS)}
        classes |= ours
        more = "" if room is networks else f". Options of one: --{key}.help NAME"
        lines.append(f"--{key}: {', '.join(ours)}{more}")
    lines.append(f"configs/: {', '.join(config_names())}")
    of_trainer = (f"trainer.{name}" for name in inspect.signature(Trainer).parameters)
    near = did_you_mean(error, [*options, *of_trainer, *config_names(), *classes], classes.values())
    if near:
        return f"{error.rstrip()}\n{near} Options of a model or data: --model.help NAME, --data.help NAME\n"
    return "\n".join([*lines, error.rstrip(), ""])


def did_you_mean(error: str, names: Iterable[str], classes: Iterable[type]) -> str:
    """A question, or nothing where no name is near.

    Args:
        error: what the parser said.
        names: of configs, classes and the command's own options, without dashes.
        classes: those that the error may be about; the options of those that it names count too.

    Example:
        >>> did_you_mean("File does not exist: '/a/quikstart.yaml'", ["quickstart", "vae_mnist"], [])
        'did you mean quickstart?'
        >>> did_you_mean("class_path 'lit_models.Model': Option 'lantent' is not accepted", [], [])
        ''
    """
    found = _UNKNOWN.search(error)
    if not found:
        return ""
    option, *others = found.groups()
    if option:
        named = [one for one in classes if re.search(rf"\b{one.__name__}\b", error)]
        pool = {name for one in named for name in inspect.signature(one).parameters}
    else:
        pool = set(names)
    unknown = Path(option or next(filter(None, others))).name.removesuffix(".yaml")
    near = get_close_matches(unknown, sorted(pool), 3, _NEAR)
    return f"did you mean {' or '.join(near)}?" if near else ""
