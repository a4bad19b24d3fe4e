"""The configs that come with the project: where they lie, what each is."""

from collections.abc import Sequence
from pathlib import Path

_HERE = Path(__file__).parent
# inside an installed package; beside it in a checkout
CONFIGS = _HERE / "configs" if (_HERE / "configs").is_dir() else _HERE.parent / "configs"
_OPTIONS = ("-c", "--config")


def config_names() -> list[str]:
    """Names of all configs.

    Example:
        >>> "quickstart" in config_names()
        True
    """
    return [path.stem for path in sorted(CONFIGS.glob("*.yaml"))]


def summary(name: str) -> str:
    """First sentence of the comment that a config begins with.

    Example:
        >>> summary("classifier_mnist")
        "A small convolutional network: it counts the classes among a generator's samples."
    """
    comment: list[str] = []
    for line in (CONFIGS / f"{name}.yaml").read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        comment.append(line.lstrip("# "))
    text = " ".join(comment)
    return text.split(". ")[0].rstrip(".") + "."


def with_paths(words: Sequence[str]) -> list[str]:
    """A command line in which `--config NAME` of a config that comes with the project is its path.

    A file of that name goes first.

    Example:
        >>> with_paths(["fit", "--config", "quickstart"])[2].endswith("configs/quickstart.yaml")
        True
    """
    found: list[str] = []
    for word in words:
        option, equals, value = word.partition("=")
        if equals and option in _OPTIONS:
            found.append(f"{option}={_path(value)}")
        else:
            found.append(_path(word) if found and found[-1] in _OPTIONS else word)
    return found


def _path(value: str) -> str:
    own = CONFIGS / f"{value}.yaml"
    return str(own) if "/" not in value and own.is_file() and not Path(value).is_file() else value
