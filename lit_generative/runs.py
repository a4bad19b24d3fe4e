"""Run folders, `<root>/<experiment>/version_N`: taking the next one, finding checkpoints of earlier ones."""

import os
import re
from pathlib import Path, PurePath

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.cli import SaveConfigCallback
from lightning.pytorch.plugins.environments import LightningEnvironment
from lightning.pytorch.utilities import rank_zero_only

from callbacks.run_folder import run_folder

# bytes in one part of a path, on the file systems of Linux, macOS and Windows
_LONGEST = 255
# Lightning's keywords for --ckpt_path, and the files that they stand for in a run folder
_KEYWORDS = {"last": "checkpoints/last.ckpt", "best": "checkpoints/best.ckpt", "hpc": "hpc_ckpt_*.ckpt"}


def check_experiment(name: str) -> str:
    """The name of an experiment, when it is a folder name or a relative path such as `vae/wide`.

    Raises:
        ValueError: it is empty, absolute, leaves the root, or is too long for a file system.

    Example:
        >>> check_experiment("vae/wide")
        'vae/wide'
    """
    parts = PurePath(name).parts
    if not name.strip() or not parts or PurePath(name).is_absolute() or ".." in parts or name.startswith("~"):
        raise ValueError(
            f"--experiment must name a folder inside --trainer.default_root_dir, got {name!r}: pass a name such as "
            "vae or vae/wide, and another root as --trainer.default_root_dir"
        )
    longest = max(parts, key=lambda part: len(os.fsencode(part)))
    if len(os.fsencode(longest)) > _LONGEST:
        raise ValueError(
            f"--experiment must have at most {_LONGEST} bytes in each folder name, got {len(os.fsencode(longest))} in "
            f"{longest[:40]!r}...: pass a shorter name"
        )
    return name


def root_folder(given: str | Path | None) -> Path:
    """The folder of all runs, with `~` and environment variables replaced; nothing is written.

    Args:
        given: `trainer.default_root_dir`; None is the working directory.

    Raises:
        ValueError: it is an address, or its nearest existing parent is a file or may not be written to.

    Example:
        >>> root_folder(None)
        PosixPath('.')
    """
    root = Path(os.path.expandvars(given or ".")).expanduser()
    expected = f"--trainer.default_root_dir must be a folder that can be written to, got {str(given)!r}"
    remedy = "pass another folder"
    if re.match(r"\w+://", str(given)):
        raise ValueError(f"{expected}, an address: {remedy} of this machine")
    nearest = next(path for path in (root, *root.absolute().parents) if path.exists())
    if not nearest.is_dir():
        raise ValueError(f"{expected}, and {nearest} is a file: {remedy}")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise ValueError(f"{expected}, and {nearest} may not be written to: {remedy}")
    return root


def take_run_folder(root: Path, experiment: str) -> Path:
    """Make the next `<root>/<experiment>/version_N`.

    Runs that start together get a folder each. Only global rank 0 takes one: other processes get
    `<root>/<experiment>`, and learn the run's folder from `callbacks.run_folder`.

    Raises:
        ValueError: the folder cannot be made.

    Example:
        >>> import tempfile
        >>> root = Path(tempfile.mkdtemp())
        >>> take_run_folder(root, "vae").name, take_run_folder(root, "vae").name
        ('version_0', 'version_1')
    """
    folder = root / experiment
    # The rank is Lightning's own reading of the environment; of several nodes started by hand it does not know.
    first_node = LightningEnvironment().node_rank() == 0
    return (_take_next(folder) if first_node else None) or folder


@rank_zero_only
def _take_next(folder: Path) -> Path:
    number = max(_runs(folder), default=-1) + 1
    while True:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            taken = folder / f"version_{number}"
            taken.mkdir()
            return taken
        except FileExistsError as error:
            if folder.exists() and not folder.is_dir():
                raise _unusable(folder, error) from error
            number += 1
        except OSError as error:
            raise _unusable(folder, error) from error


def _unusable(folder: Path, error: OSError) -> ValueError:
    return ValueError(
        f"the run folder {folder}/version_N cannot be made ({error.strerror}): pass another folder as "
        "--trainer.default_root_dir, or another name as --experiment"
    )


def version_of(folder: Path) -> int | None:
    """N of a folder called `version_N`; None of another.

    Example:
        >>> version_of(Path("runs/vae/version_3"))
        3
    """
    number = folder.name.removeprefix("version_")
    return int(number) if number.isdecimal() and number != folder.name else None


def _runs(folder: Path) -> dict[int, Path]:
    """The run folders of an experiment by their number."""
    numbered = {version_of(path): path for path in folder.glob("version_*")}
    return {number: path for number, path in numbered.items() if number is not None}


def find_checkpoint(given: str, root: Path, experiment: str) -> Path:
    """The file that `--ckpt_path` stands for.

    Args:
        given: a path, or one of Lightning's keywords: "last" and "best" are `last.ckpt` and `best.ckpt`, "hpc" is what
            Lightning writes before SLURM queues a job again; each of the newest run of the experiment that has one.
        root: folder of all runs.
        experiment: name of the experiment.

    Raises:
        FileNotFoundError: a keyword was given, and no run of the experiment has such a checkpoint.

    Example:
        >>> find_checkpoint("mine.ckpt", Path("runs"), "vae").name
        'mine.ckpt'
    """
    if given not in _KEYWORDS:
        return Path(given)
    for _, folder in sorted(_runs(root / experiment).items(), reverse=True):
        found = list(folder.glob(_KEYWORDS[given]))
        if found:
            return max(found, key=lambda path: path.stat().st_mtime_ns)
    raise FileNotFoundError(
        f"--ckpt_path {given} is the {_KEYWORDS[given]} of the newest run of an experiment, and no run in "
        f"{root / experiment} has one: pass the path of a checkpoint, or the experiment as --experiment"
    )


class SaveConfig(SaveConfigCallback):
    """Writes the config of a run to `<run folder>/config.yaml`, whatever the loggers.

    Example:
        >>> from lightning.pytorch.cli import LightningArgumentParser, Namespace
        >>> callback = SaveConfig(LightningArgumentParser(), Namespace(), save_to_log_dir=False)
    """

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Settle the folder, with several processes a collective; then Lightning calls `save_config` once."""
        self.folder = run_folder(trainer)
        super().setup(trainer, pl_module, stage)

    def save_config(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Write the file."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.parser.save(
            self.config, self.folder / self.config_filename, skip_none=False, skip_validation=True, overwrite=True
        )
