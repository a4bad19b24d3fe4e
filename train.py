"""The command line: `train.py {fit,validate,test,predict} --config configs/<experiment>.yaml`."""

import gc

gc.disable()  # the imports make objects that stay: to look through them again and again is a tenth of the start

import inspect
import json
import os
import re
import warnings
from argparse import ArgumentParser
from collections.abc import Mapping
from contextlib import suppress
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback, ProgressBar
from lightning.pytorch.cli import ArgsType, LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger
from lightning.pytorch.plugins import CheckpointIO
from lightning.pytorch.utilities import rank_zero_only, rank_zero_warn
from torch.utils.tensorboard.summary import hparams

# Imported for their classes, which configs may then name without a module path.
import callbacks
import datamodules
import lit_models
from callbacks import LeanLoop, RunCheckpoint, SaveOnInterrupt, SteadyProgressBar, WholeFileCheckpointIO
from datamodules import ImageDataModule
from lit_models.loading import check_fits

gc.enable()

# https://github.com/Lightning-AI/pytorch-lightning/issues/21326
warnings.filterwarnings("ignore", ".*isinstance.treespec, LeafSpec.. is deprecated", FutureWarning)
# Two loggers share the run's folder on purpose: the file of neither is touched by the other.
warnings.filterwarnings("ignore", "Experiment logs directory .* exists and is not empty")
# With two optimizers Lightning would have the weights of before the step; those after it are what a run goes on from.
warnings.filterwarnings("ignore", "Using ModelCheckpoint with manual optimization and every_n_train_steps")
# The summary's size in MB counts the weights, which mixed precision keeps in 32 bits: what it then says is right.
warnings.filterwarnings("ignore", "Precision .*-mixed is not supported by the model summary")


_UNKNOWN = re.compile(
    r"(?:Option '|accept option '|[uU]nrecognized arguments: --|dot import path string: )(?P<word>[\w.]+)"
)
_SUGGESTION = "Did you mean"
_OWNER = re.compile(r"given class_path '([\w.]+)'")


class RunLogger(TensorBoardLogger):
    """Lightning's TensorBoardLogger, which takes its folder at once: of two runs started together, each has its own."""

    def _get_next_version(self) -> int:
        version = super()._get_next_version()
        while vars(rank_zero_only)["rank"] == 0:
            try:
                Path(self.root_dir, f"version_{version}").mkdir(parents=True)
                break
            except FileExistsError:
                version += 1
        return version


class SuggestingParser(LightningArgumentParser):
    """Lightning's parser, which also says what an unknown option or class may have been meant to be."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """End the program with the message, and the nearest known name."""
        super().error(message + self._suggestion(message), ex)

    def _suggestion(self, message: str) -> str:
        unknown = _UNKNOWN.search(message)
        if unknown is None or _SUGGESTION in message:
            return ""
        owners = _OWNER.findall(message[: unknown.start()])
        if owners and "Option" in unknown[0]:
            module, name = owners[-1].rsplit(".", 1)
            known = list(inspect.signature(getattr(import_module(module), name)).parameters)
        else:
            known = [name for package in (lit_models, datamodules, callbacks) for name in package.__all__]
            known += _options(self)
        word = unknown["word"]
        near = get_close_matches(word, known, 1) or get_close_matches(word.split(".")[0], known, 1)
        return f"\n{_SUGGESTION} {near[0]!r}?" if near else ""


def _options(parser: ArgumentParser) -> list[str]:
    """The options of a parser and its subcommands, and the groups they are in."""
    names = []
    for action in parser._actions:
        names += [action.dest, action.dest.split(".")[0]]
        if isinstance(action.choices, dict):
            names += [name for subcommand in action.choices.values() for name in _options(subcommand)]
    return names


class GenerativeCLI(LightningCLI):
    """Lightning's command line, and what an experiment here adds: linked shapes, run folders, checkpoints, HParams."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Link what the data knows to the model, and add `--experiment` and `--checkpoint`."""
        for name in ("image_shape", "num_classes"):
            parser.link_arguments(f"data.{name}", f"model.init_args.{name}", apply_on="instantiate")
        parser.add_argument(
            "--experiment", type=str | None, help="Folder of the run under runs/; by default the config's file name."
        )
        parser.add_class_arguments(RunCheckpoint, "checkpoint")
        parser.set_defaults(
            {
                "checkpoint.monitor": "val/loss",
                "checkpoint.filename": "best",
                "checkpoint.save_on_train_epoch_end": True,
                "checkpoint.enable_version_counter": False,
            }
        )

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        """As Lightning's, without its warning that `args` and `sys.argv` are both there: in tests they always are."""
        if args is None or isinstance(args, list):
            self.config = parser.parse_args(args)
        else:
            super().parse_arguments(parser, args)

    def _parse_ckpt_path(self) -> None:
        # Lightning would mix the checkpoint's hyperparameters into the config, where they meet the links above. The
        # config alone says what is built; weights that do not fit it are an error, see check_fits.
        pass

    def before_instantiate_classes(self) -> None:
        """Settle the name of the experiment, so that the config that is saved has it too."""
        config = self.config[self.subcommand]
        files = config.get("config") or []
        if config.experiment is None:
            config.experiment = Path(files[0].relative).stem if files else config.model.class_path.rsplit(".")[-1]

    def after_instantiate_classes(self) -> None:
        """Look at checkpoint and splits before anything starts."""
        try:
            self._check()
        except Exception:
            self._drop_empty_folder()
            raise

    def _check(self) -> None:
        checkpoint = self.config[self.subcommand].ckpt_path
        if checkpoint is not None:
            check_fits(checkpoint, self.model)
        elif self.subcommand != "fit":
            rank_zero_warn(f"{self.subcommand} without --ckpt_path: the model's weights are random")
        if self.subcommand == "validate" and self.datamodule.val_fraction == 0:
            raise ValueError("there is no validation split to validate on: val_fraction is 0, pass --data.val_fraction")

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Add loggers, checkpoints and progress bar where the config leaves them to us."""
        config = self._get(self.config_init, "trainer")
        added: list[Callback] = [LeanLoop()]
        if config.enable_checkpointing is not False and not config.fast_dev_run:
            added += [*self._checkpoints(), SaveOnInterrupt()]
            plugins = _as_list(config.plugins)
            if not any(isinstance(plugin, CheckpointIO) for plugin in plugins):
                kwargs["plugins"] = [*plugins, WholeFileCheckpointIO()]
        given = _as_list(config.callbacks)
        if config.enable_progress_bar is not False and not any(isinstance(c, ProgressBar) for c in given):
            added.append(SteadyProgressBar())
        if (config.logger is None or config.logger is True) and not config.fast_dev_run:
            kwargs["logger"] = self._loggers(Path(config.default_root_dir))
        if self.datamodule.val_fraction == 0:
            kwargs["limit_val_batches"] = 0
        return super().instantiate_trainer(callbacks=[*given, *added], **kwargs)

    def before_fit(self) -> None:
        """Tell TensorBoard's HParams page the settings of the run, and which figure judges it."""
        monitor = self._get(self.config_init, "checkpoint").monitor or "train/loss"
        if self.datamodule.val_fraction == 0:
            monitor = monitor.replace("val/", "train/")
        for logger in self.trainer.loggers:
            if isinstance(logger, TensorBoardLogger) and self.trainer.is_global_zero:
                # Only the names of metrics count here: the page reads their values from the logged scalars.
                for summary in hparams(self._settings(), {monitor: 0}):
                    logger.experiment.file_writer.add_summary(summary)

    def after_fit(self) -> None:
        """Say where everything is."""
        if self.trainer.is_global_zero:
            for checkpoint in self.trainer.checkpoint_callbacks:
                if isinstance(checkpoint, RunCheckpoint):
                    print(f"{checkpoint.filename} checkpoint: {checkpoint.best_model_path or 'none'}")
        self._say_where()

    def after_test(self) -> None:
        """Say where everything is."""
        self._say_where()

    def predict(self, **kwargs: Any) -> None:
        """Write codes (N, D) and labels (N,) of the test split to `<run folder>/codes.npz`, one file a process."""
        predictions = self.trainer.predict(**kwargs) or []
        codes, labels = (torch.cat(parts).cpu() for parts in zip(*predictions, strict=True))
        rank = f"_rank{self.trainer.global_rank}" if self.trainer.world_size > 1 else ""
        path = Path(self.trainer.log_dir or self.trainer.default_root_dir) / f"codes{rank}.npz"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, codes=codes.float().numpy(), labels=labels.numpy())
        print(f"codes: {path}")

    def _run_subcommand(self, subcommand: str) -> None:
        try:
            super()._run_subcommand(subcommand)
        finally:
            self._drop_empty_folder()

    def _drop_empty_folder(self) -> None:
        """A run that failed before it wrote anything leaves no folder behind."""
        for logger in self.trainer.loggers:
            if isinstance(logger, RunLogger) and self.trainer.is_global_zero:
                with suppress(OSError):
                    Path(logger.log_dir).rmdir()

    def _say_where(self) -> None:
        pictures = Path(self.trainer.log_dir or ".") / "pictures"  # a collective: every process asks, one speaks
        if self.trainer.is_global_zero and not self._get(self.config_init, "trainer").fast_dev_run:
            if pictures.is_dir():
                print(f"pictures:        {pictures}")
            print(f"dashboard:       uv run tensorboard --logdir {self.trainer.default_root_dir}")

    def _checkpoints(self) -> list[Callback]:
        """The best by the monitored figure, where there is one to monitor, and always the last.

        They are two callbacks, since ModelCheckpoint's own `save_last` only writes when a best one is written.
        """
        best = self._get(self.config_init, "checkpoint")
        if best.monitor == "val/loss":  # the default: then the model says what judges it
            best.monitor = getattr(self.model, "monitor", best.monitor)
        last = RunCheckpoint(filename="last", save_on_train_epoch_end=True, enable_version_counter=False)
        unmonitored = self.datamodule.val_fraction == 0 and (best.monitor or "").startswith("val/")
        return [last] if unmonitored or best.monitor is None else [best, last]

    def _loggers(self, root: Path) -> list[Logger]:
        """TensorBoard and CSV in one folder, `<root>/<experiment>/version_N`."""
        name = self._get(self.config, "experiment")
        tensorboard = RunLogger(root, name=name, default_hp_metric=False)
        return [tensorboard, CSVLogger(root, name=name, version=tensorboard.version)]

    def _settings(self) -> dict[str, str | int | float | bool]:
        """Model, data and seed as the flat dict of plain values that HParams takes."""
        config = json.loads(self.parser.dump(self.config, format="json"))[self.subcommand]
        return {"seed": config["seed_everything"], **_flatten({key: config[key] for key in ("model", "data")})}


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, str | int | float | bool]:
    """Nested settings as `model.optimizer.lr: 0.001`; lists become text."""
    flat: dict[str, str | int | float | bool] = {}
    for key, value in tree.items():
        name = prefix if key == "init_args" else f"{prefix}.{key}".lstrip(".")
        if isinstance(value, Mapping):
            flat |= _flatten(value, name)
        elif value is not None:
            flat[name.removesuffix(".class_path")] = value if isinstance(value, bool | int | float) else str(value)
    return flat


def main(args: ArgsType = None) -> GenerativeCLI:
    """Run one command.

    Args:
        args: words of the command line, as a list; None takes them from `sys.argv`.

    Returns:
        The command line object, with its `trainer`, `model` and `datamodule`.
    """
    if torch.cuda.device_count() == 0:
        # or fused optimizers look for a driver at every step, a fifth of a millisecond each time
        os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
    cli = GenerativeCLI(
        LightningModule,
        ImageDataModule,
        parser_class=SuggestingParser,
        subclass_mode_model=True,
        subclass_mode_data=True,
        auto_configure_optimizers=False,
        # Checkpoints hold the model's own plain arguments, so that they load without the command line.
        load_from_checkpoint_support=False,
        seed_everything_default=0,
        trainer_defaults={"default_root_dir": "runs", "num_sanity_val_steps": 0},
        # Where no logger gives a run its own folder, the config of the run before may be replaced.
        save_config_kwargs={"overwrite": True},
        args=args,
    )
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        # together and here: at interpreter exit, a process that outlives the other's connection may crash
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()
    return cli


if __name__ == "__main__":
    main()
