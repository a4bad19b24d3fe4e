"""The command line behind train.py: Lightning's, with linked shapes, run folders and checkpoints."""

import json
import sys
import warnings
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch import LightningDataModule, LightningModule, Trainer
from lightning.pytorch.callbacks import Callback, ProgressBar, TQDMProgressBar
from lightning.pytorch.cli import ArgsType, LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger
from lightning.pytorch.plugins import CheckpointIO
from lightning.pytorch.utilities import rank_zero_info, rank_zero_warn

# Imported for their classes, which configs may then name without a module path.
from callbacks import AtomicCheckpointIO, RunCheckpoint, SaveOnInterrupt, run_folder
from callbacks.hparams_page import HParamsPage, page_settings
from datamodules.loader import BatchLoader
from lit_generative import config_types  # noqa: F401  # read at import
from lit_generative.configs import config_names, with_paths
from lit_generative.help_text import shortened
from lit_generative.precision import preferred_precision
from lit_generative.runs import SaveConfig, check_experiment, find_checkpoint, root_folder, take_run_folder, version_of
from lit_generative.suggestions import with_names
from lit_models import __version__
from lit_models.loading import check_fits
from lit_models.recipe import read_checkpoint

# what names a model, or asks for something else than a run
_ENOUGH = ("-c", "--config", "--model", "--data", "--print_config", "-h", "--help")
# an error shows it first, so it does not list each of the options, which are in --help
_USAGE = "%(prog)s [--config CONFIG] [--model MODEL] [--data DATA] [any other option: see --help]"
_OPTIONS = ("config", "model", "data", "experiment", "prefer_bf16", "seed_everything", "ckpt_path", "print_config")
# what slows training down, given back to Lightning's own defaults
_BAREBONES = ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary", "log_every_n_steps")
# batches between two drawings of the progress bar, which cost as much as a small model's step
_REFRESH_RATE = 20


class GenerativeCLI(LightningCLI):
    """Lightning's command line with what an experiment adds: linked shapes, run folders, checkpoints, HParams.

    Example:
        >>> from lightning.pytorch.cli import LightningArgumentParser
        >>> GenerativeCLI.subcommands().keys()
        dict_keys(['fit', 'validate', 'test', 'predict'])
    """

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Link what the data know to the model, and add `--experiment`, `--prefer_bf16` and `--checkpoint`."""
        links = {"image_shape": "input_shape"}
        links |= {name: name for name in ("input_shape", "num_classes", "num_outputs")}
        for target, source in links.items():
            parser.link_arguments(f"data.{source}", f"model.init_args.{target}", apply_on="instantiate")
        parser.add_argument(
            "--experiment",
            type=str | None,
            help="Folder of the run under trainer.default_root_dir; by default the config's file name.",
        )
        parser.add_argument(
            "--prefer_bf16",
            type=bool,
            default=False,
            help="Where trainer.precision is null: bf16-mixed on a device that computes in bfloat16, else 32-true.",
        )
        parser.add_class_arguments(RunCheckpoint, "checkpoint", instantiate=False)
        parser.set_defaults(
            {"checkpoint.save_on_train_epoch_end": True, "checkpoint.enable_version_counter": False},
        )

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        """Parse the words, and keep `--ckpt_path` back.

        With a path Lightning would go on to mix the checkpoint's hyperparameters into the config, over the user's
        (https://github.com/Lightning-AI/pytorch-lightning/issues/20801). Here the config alone says what is built.
        """
        words = sys.argv[1:] if args is None else args
        if isinstance(words, list):  # without Lightning's warning where `args` and `sys.argv` are both there
            if set(words[:1]) <= set(self.subcommands()) and not any(
                word.startswith(_ENOUGH) or ".help" in word for word in words
            ):
                parser.error(_shortest_way())
            self.config = _parse(parser, words)
        else:
            super().parse_arguments(parser, args)
        config = self.config[self.config.subcommand]
        self._ckpt_path, config.ckpt_path = config.ckpt_path, None

    def before_instantiate_classes(self) -> None:
        """Settle the experiment's name, the root folder and the checkpoint, before anything is written."""
        config = self.config[self.subcommand]
        if config.experiment is None:
            files = config.get("config") or []
            config.experiment = Path(files[0].relative).stem if files else config.model.class_path.rsplit(".")[-1]
        check_experiment(config.experiment)
        self.root = root_folder(config.trainer.default_root_dir)
        if self._ckpt_path is not None:
            config.ckpt_path = str(find_checkpoint(self._ckpt_path, self.root, config.experiment))
            arguments = config.model.get("init_args")
            if arguments is not None and arguments.get("weights") is not None:
                arguments.weights = None  # those that it was started from: the checkpoint's take their place

    def instantiate_classes(self) -> None:
        """Make data, model and Trainer; what their own checks raise comes out as they raise it.

        jsonargparse takes an error in a class's `__init__` for one of types, and wraps it in pages of all arguments.
        """
        try:
            super().instantiate_classes()
        except ValueError as error:
            reason: BaseException = error
            while str(reason).startswith("Does not validate") and reason.__cause__ is not None:
                reason = reason.__cause__
            if reason is error:
                raise
            raise reason from None

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Check what can be checked, take a run folder, and add what the config leaves to us."""
        self._check()
        trainer = self.config_init[self.subcommand].trainer
        if self._without_validation():
            kwargs["limit_val_batches"] = 0
        if trainer.precision is None and self._options.prefer_bf16:
            kwargs["precision"], reason = preferred_precision(trainer.accelerator)
            rank_zero_info(f"precision {kwargs['precision']}: {reason} (--trainer.precision chooses another)")
        if trainer.barebones:  # https://lightning.ai/docs/pytorch/stable/common/trainer.html#barebones
            self.save_config_callback = None
            return super().instantiate_trainer(**kwargs, **dict.fromkeys(_BAREBONES), callbacks=[])
        if not trainer.fast_dev_run:
            folder = take_run_folder(self.root, self._options.experiment)
            kwargs["default_root_dir"] = str(folder)
            if trainer.logger is None or trainer.logger is True:
                kwargs["logger"] = _loggers(folder)
        plugins = _as_list(trainer.plugins)
        if not any(isinstance(plugin, CheckpointIO) for plugin in plugins):
            kwargs["plugins"] = [*plugins, AtomicCheckpointIO()]
        return super().instantiate_trainer(callbacks=self._callbacks(trainer), **kwargs)

    def after_fit(self) -> None:
        """Say where everything is."""
        folder = run_folder(self.trainer)  # a collective: every process asks, one speaks
        if not self.trainer.is_global_zero or not self._writes():
            return
        for checkpoint in self.trainer.checkpoint_callbacks:
            if isinstance(checkpoint, RunCheckpoint) and checkpoint.filename in ("best", "last"):
                written = folder / "checkpoints" / f"{checkpoint.filename}.ckpt"
                path = written if written.is_file() else checkpoint.best_model_path or "none"
                print(f"{checkpoint.filename} checkpoint: {path}")
        self._say_where(folder)

    def after_test(self) -> None:
        """Say where everything is."""
        folder = run_folder(self.trainer)
        if self.trainer.is_global_zero and self._writes():
            self._say_where(folder)

    def predict(self, **kwargs: Any) -> None:
        """Write codes (N, D), and labels (N,) where there are any, to `<run folder>/codes.npz`, one file a process.

        A model that gives something else says its name, which is the file's and the array's, as `predicts`.
        Probabilities, (N, K), have the names of their columns beside them, masks, (N, H, W), those of their classes, as
        `class_names`. Of pictures in files there are `names`, and of boxes `corners`, (x0, y0, x1, y1) in their pixels,
        where one process predicts.

        Raises:
            ValueError: the Trainer gave no predictions back.
        """
        predictions = self.trainer.predict(**kwargs) or []
        if not predictions:
            raise ValueError(
                "predict has no codes to write: there are no batches, or --return_predictions is false, or "
                "--trainer.strategy is one that spawns processes, which give none back (ddp does)"
            )
        codes, labels = zip(*_flat(predictions), strict=True)
        name = getattr(self.model, "predicts", "codes")
        values = torch.cat(codes).cpu()
        arrays: dict[str, Any] = {name: (values.float() if values.is_floating_point() else values).numpy()}
        given = [label for label in labels if label is not None]
        # data without classes have zeros in their place, or targets, which are floats
        meant = getattr(self.datamodule, "num_classes", None) != 0 or any(label.is_floating_point() for label in given)
        if meant and len(given) == len(labels):
            arrays["labels"] = torch.cat(labels).cpu().numpy()
        names = getattr(self.datamodule, "class_names", ())
        of_columns = name == "probabilities" and len(names) == arrays[name].shape[1]
        if names and (of_columns or name == "masks"):
            arrays["class_names"] = np.array(names)
        arrays |= self._of_pictures(name, values)
        rank = f"_rank{self.trainer.global_rank}" if self.trainer.world_size > 1 else ""
        path = run_folder(self.trainer) / f"{name}{rank}.npz"
        if self._writes():
            path.parent.mkdir(parents=True, exist_ok=True)
            np.savez(path, **arrays)
            print(f"{name}: {path}")

    def _of_pictures(self, name: str, values: torch.Tensor) -> dict[str, np.ndarray]:
        """What data of pictures in files know of what was predicted: names, and corners of boxes in pixels."""
        loader: Any = self.trainer.predict_dataloaders
        if (
            not isinstance(loader, BatchLoader)
            or self.trainer.world_size > 1
            or not hasattr(self.datamodule, "names_of")
        ):
            return {}
        index = loader.index[: len(values)]
        found = {"names": np.array(self.datamodule.names_of(index))}
        if name == "boxes" and hasattr(self.datamodule, "corners_of"):
            found["corners"] = self.datamodule.corners_of(values, index)
        return found

    @property
    def _options(self) -> Any:
        return self.config[self.subcommand]

    def _writes(self) -> bool:
        trainer = self._options.trainer
        return not (trainer.barebones or trainer.fast_dev_run)

    def _without_validation(self) -> bool:
        return getattr(self.datamodule, "val_fraction", None) == 0  # of our data; others may have no such attribute

    def _check(self) -> None:
        """See that model, flags, checkpoint and splits go together."""
        options, model = self._options, type(self.model).__name__
        if not self.model.automatic_optimization:
            for flag, default in (("gradient_clip_val", None), ("accumulate_grad_batches", 1)):
                value = options.trainer[flag]
                if value not in (default, 0):
                    raise ValueError(
                        f"--trainer.{flag} {value} has no effect on {model}, which steps its optimizers itself: "
                        f"expected it not to be set; use the model's own option, --model.{flag} {value}"
                    )
        if options.ckpt_path is not None:
            check_fits(options.ckpt_path, self.model)
            if self.subcommand == "fit" and options.trainer.max_epochs is not None:
                _check_epochs(options.ckpt_path, options.trainer.max_epochs)
        elif self.subcommand != "fit":
            rank_zero_warn(f"{self.subcommand} without --ckpt_path: the model's weights are random")
        if self.subcommand == "validate" and self._without_validation():
            raise ValueError("there is no validation split to validate on: val_fraction is 0, pass --data.val_fraction")

    def _callbacks(self, trainer: Any) -> list[Callback]:
        """Those of the config, and those that every run has."""
        given = _as_list(trainer.callbacks)
        saves = trainer.enable_checkpointing is not False and not trainer.fast_dev_run
        # first, since an interrupted run should not wait for pictures
        added: list[Callback] = [SaveOnInterrupt()] if saves else []
        if self.subcommand == "fit" and not trainer.fast_dev_run:
            monitor = self._monitor()
            judged = monitor.replace("val/", "train/") if self._without_validation() else monitor
            given.append(HParamsPage(page_settings(self._plain_config()), judged))
        if trainer.enable_progress_bar is not False and not any(isinstance(c, ProgressBar) for c in given):
            given.append(TQDMProgressBar(refresh_rate=_REFRESH_RATE))
        return [*added, *given, *(self._checkpoints() if saves else [])]

    def _monitor(self) -> str:
        """Name of the figure that judges checkpoints: the user's, else the model's."""
        return self._options.checkpoint.monitor or getattr(self.model, "monitor", "val/loss")

    def _checkpoints(self) -> list[Callback]:
        """best.ckpt and, where more are asked for, the k best; and last.ckpt.

        ModelCheckpoint's own `save_last` only writes when a best one is written, so the last has its own.
        """
        last = RunCheckpoint(filename="last", save_on_train_epoch_end=True, enable_version_counter=False)
        options = self._options.checkpoint.as_dict()
        monitor = self._monitor()
        k, filename = options["save_top_k"], options["filename"]
        if k == 0 or (self._without_validation() and monitor.startswith("val/")):
            return [last]
        found: list[Callback] = [RunCheckpoint(**options | {"monitor": monitor, "filename": "best", "save_top_k": 1})]
        if filename is not None or k != 1:  # by default named as Lightning does, epoch=4-step=1875.ckpt
            found.append(RunCheckpoint(**options | {"monitor": monitor}))
        return [*found, last]

    def _plain_config(self) -> dict[str, Any]:
        """The config as nested plain values."""
        # parsing has validated it
        return json.loads(self.parser.dump(self.config, format="json", skip_validation=True))[self.subcommand]

    def _say_where(self, folder: Path) -> None:
        if (folder / "pictures").is_dir():
            print(f"pictures:        {folder / 'pictures'}")
        if any(isinstance(logger, TensorBoardLogger) for logger in self.trainer.loggers):
            print(f"dashboard:       uv run tensorboard --logdir {self.root}")


def run(args: ArgsType = None) -> GenerativeCLI:
    """Run one command; see `train.main`.

    Example:
        >>> cli = run(["fit", "--config=configs/quickstart.yaml"])  # doctest: +SKIP
    """
    with warnings.catch_warnings():
        # https://github.com/Lightning-AI/pytorch-lightning/issues/21326
        warnings.filterwarnings("ignore", ".*isinstance.treespec, LeafSpec.. is deprecated", FutureWarning)
        # Two loggers share the run's folder on purpose: neither touches the other's files.
        warnings.filterwarnings("ignore", "Experiment logs directory .* exists and is not empty")
        # With two optimizers Lightning advises to save the weights of before the step; those after it are wanted here.
        warnings.filterwarnings("ignore", "Using ModelCheckpoint with manual optimization and every_n_train_steps")
        # Who asks for barebones knows it; https://lightning.ai/docs/pytorch/stable/common/trainer.html#barebones
        warnings.filterwarnings("ignore", "You are trying to `self.log..` but `Trainer.barebones=True.` is configured")
        # A frozen backbone stays in eval mode; nothing else of ours begins a fit so.
        warnings.filterwarnings("ignore", "Found .* module.s. in eval mode at the start of training")
        # Mixed precision keeps the weights in 32 bits, so the size that the model summary then states is right.
        warnings.filterwarnings("ignore", "Precision .*-mixed is not supported by the model summary")
        words = sys.argv[1:] if args is None else args
        words = with_paths(words) if isinstance(words, list) else words
        command_line = _command_line(words)
        cli = command_line(
            LightningModule,
            LightningDataModule,
            SaveConfig,
            {"save_to_log_dir": False},
            subclass_mode_model=True,
            subclass_mode_data=True,
            auto_configure_optimizers=False,
            # Checkpoints hold the model's own plain arguments, so that they load without the command line.
            load_from_checkpoint_support=False,
            seed_everything_default=0,
            trainer_defaults={"default_root_dir": "runs", "num_sanity_val_steps": 0},
            parser_kwargs={"version": __version__, "allow_abbrev": False}
            | {key: {"usage": _USAGE} for key in command_line.subcommands()},
            args=words,
        )
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        # together and here: at interpreter exit, a process that outlives the other's connection may crash
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()
    return cli


def _command_line(words: ArgsType) -> type[GenerativeCLI]:
    """The command line, with the parser of the command asked for alone: all four take a tenth of a second."""
    every = GenerativeCLI.subcommands()
    name = words[0] if isinstance(words, list) and words else ""
    if name not in every:
        return GenerativeCLI

    class OneCommand(GenerativeCLI):
        @staticmethod
        def subcommands() -> dict[str, set[str]]:
            return {name: every[name]}

    return OneCommand


def _shortest_way() -> str:
    return (
        "a command and a config are needed. The shortest way: train.py fit --config configs/quickstart.yaml. "
        f"Commands: fit, validate, test, predict. Configs in configs/: {', '.join(config_names())}. "
        "Without a config, name model and data: train.py fit --model LitVAE --data DigitsDataModule"
    )


def _check_epochs(checkpoint: str, max_epochs: int) -> None:
    done = int(read_checkpoint(checkpoint).get("epoch", 0)) + 1
    if 0 <= max_epochs < done:
        raise ValueError(
            f"{checkpoint} is of epoch {done}, and --trainer.max_epochs is {max_epochs}: nothing is left to train; "
            f"pass more than {done} to go on"
        )


def _parse(parser: LightningArgumentParser, words: list[str]) -> Any:
    """What the words say; help is printed without long lists, an error with the names that there are."""
    shown, said = StringIO(), StringIO()
    failed = False
    try:
        with redirect_stdout(shown), redirect_stderr(said):
            return parser.parse_args(words)
    except SystemExit as end:
        failed = bool(end.code)
        raise
    finally:
        print(shortened(shown.getvalue()), end="")
        options = [*_OPTIONS, *GenerativeCLI.subcommands()]
        print(with_names(said.getvalue(), options) if failed else said.getvalue(), end="", file=sys.stderr)


def _loggers(folder: Path) -> list[Logger]:
    """TensorBoard and CSV, both in the run's folder."""
    root, version = str(folder.parent), version_of(folder) or 0  # of other ranks' loggers nothing is written
    tensorboard = TensorBoardLogger(root, name="", version=version, default_hp_metric=False)
    return [tensorboard, CSVLogger(root, name="", version=version)]


def _as_list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list) else [] if value is None else [value]


def _flat(predictions: list[Any]) -> list[Any]:
    """Predictions by batch; those of several dataloaders one after the other."""
    if isinstance(predictions[0], list):
        return [batch for batches in predictions for batch in batches]
    return predictions
