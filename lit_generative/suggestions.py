"""What somebody may have meant by a name that an error calls unknown."""

import inspect
import re
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path

# how jsonargparse and argparse say it
_UNKNOWN = re.compile(
    r"Option '([\w.]+)' is not accepted|unrecognized arguments: --([\w.]+)|Expected a dot import path string: (\w+)"
    r"|File does not exist: '([^']+)'|invalid choice: '?([\w.]+)"
)
_NEAR = 0.7  # share of letters in common


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
