"""What all models share: batches of any form, one step for all stages, figures of whole epochs, noise that resumes."""

import inspect
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from math import isfinite
from typing import Any, Self

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from lightning.pytorch.utilities import rank_zero_info, rank_zero_warn
from lightning.pytorch.utilities.model_helpers import is_overridden
from torch import Tensor, nn
from torch.nn.functional import one_hot
from torch.optim import Optimizer
from torch.optim.lr_scheduler import CyclicLR, LRScheduler, OneCycleLR
from torchmetrics import Metric

from lit_models.batch import as_labels, split_batch
from lit_models.checks import check_images, check_label_range, check_unit_range
from lit_models.metrics import reset
from lit_models.recipe import build, describe, read_checkpoint, recipe_of
from lit_models.resuming import class_path, close_epoch, same_optimizers

STAGES = ("train", "val", "test")
_EVALUATION_SEED = 1
_STREAM = 1000  # batches
# Lightning's hooks between a loader and a step, in order, with what follows the batch
_TRANSFER: dict[str, Callable[[LightningModule], tuple[Any, ...]]] = {
    "on_before_batch_transfer": lambda module: (0,),
    "transfer_batch_to_device": lambda module: (module.device, 0),
    "on_after_batch_transfer": lambda module: (0,),
}
_REMEDY = (
    "lower the learning rate or clip the gradient (--trainer.gradient_clip_val; a GAN's --model.gradient_clip_val), "
    "see that the images are numbers, and go on from the last checkpoint, which is of an epoch before"
)


_HALF = "with weights of 16 bits Adam's eps of 1e-8 is 0: use --trainer.precision 16-mixed, or set eps to 1e-4; else "


class BaseModule(LightningModule):
    """LightningModule whose train, val and test stages run the same `step` and log the same figures.

    A subclass sets `image_shape`, names its figures with `add_figures`, and writes `step(x, y, stage)`, which returns
    the loss and updates `self.figures(stage)`. Each figure is logged once an epoch, as `{stage}/{name}`, over all
    images and all processes.

    Batches are `(images, labels)`, `[images]`, `{"image": images, "label": labels}` or a tensor of images, floats of
    any precision in [0, 1], shape (N, C, H, W). Labels are whole numbers of any type, shape (N,), and are asked for
    only where `needs_labels`.

    A checkpoint carries the model's recipe, see `lit_models.recipe`: `load_model` makes the model again from it.

    The random numbers of a training batch depend on (seed, batch, process) alone, so that a resumed run repeats them.
    Those of an evaluation depend on (batch, process) alone, so that every epoch is judged on the same noise.

    Args:
        optimizer: makes an optimizer of the parameters.
        lr_scheduler: makes a scheduler of the optimizer, stepped each epoch, but OneCycleLR and CyclicLR each batch;
            None for none. ReduceLROnPlateau watches the figure named in its own `monitor`.

    Attributes:
        monitor: name of the figure that judges the best checkpoint where the user names none.
        needs_labels: whether batches must have labels.
        num_classes: number of classes that labels may name; 0 where labels are not used.
        predicts: what `train.py predict` writes.
        init_args: the arguments that the model was made with; `hparams` has them as plain data.

    Example:
        >>> class Mean(BaseModule):
        ...     def __init__(self, image_shape):
        ...         super().__init__()
        ...         self.image_shape = tuple(image_shape)
        ...         self.mean = torch.nn.Parameter(torch.zeros(self.image_shape))
        ...     def step(self, x, y, stage):
        ...         return (x - self.mean).square().mean()
        >>> Mean((1, 4, 4)).recipe["init_args"]
        {'image_shape': [1, 4, 4]}
    """

    monitor = "val/loss"
    needs_labels = False
    num_classes = 0
    predicts = "codes"
    image_shape: tuple[int, int, int]

    def __init__(
        self, optimizer: OptimizerCallable = torch.optim.Adam, lr_scheduler: LRSchedulerCallable | None = None
    ) -> None:
        super().__init__()
        self.save_hyperparameters(logger=False)
        parameters = inspect.signature(type(self)).parameters
        takes_any = any(parameter.kind == parameter.VAR_KEYWORD for parameter in parameters.values())
        self.init_args = {key: value for key, value in self.hparams.items() if takes_any or key in parameters}
        self.hparams.clear()
        self.hparams.update(describe(self.init_args))  # plain data, which any checkpoint can hold
        self.noise_seed = torch.initial_seed()
        self.make_optimizer = optimizer
        self.make_lr_scheduler = lr_scheduler
        # "train" itself would hide nn.Module.train
        self._figures = nn.ModuleDict({f"{stage}_figures": nn.ModuleDict() for stage in STAGES})
        self._optimizer_names: list[str] = []
        self._cut_after = 0  # batches of the epoch in which the run before was ended
        self._resumes = False

    # -- what a model is made of --------------------------------------------------------------------------------------

    @property
    def recipe(self) -> dict[str, Any]:
        """Class and arguments as plain data, see `lit_models.recipe`."""
        return {
            "class_path": f"{type(self).__module__}.{type(self).__qualname__}",
            "init_args": describe(self.init_args),
        }

    def untrained(self, seed: int = 0) -> Self:
        """The same architecture with fresh weights: the baseline for what training brought.

        It is in eval mode and has no gradients. What was measured of the data, as a scale, is kept.

        Args:
            seed: of the weights, which are the same for the same seed.
        """
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)  # the CPU's alone: a GPU's noise keeps the user's seed
            model = type(self)(**self.init_args)
        scale = {name: value for name, value in self.state_dict().items() if name.startswith("scale.")}
        model.load_state_dict(scale, strict=False)
        return model.eval().requires_grad_(False)

    @classmethod
    def load_from_checkpoint(  # type: ignore[override]
        cls, checkpoint_path: Any, map_location: Any = None, trusted: Sequence[str] = (), **kwargs: Any
    ) -> Self:
        """Lightning's, with the networks and optimizers that the checkpoint's recipe names.

        Args:
            checkpoint_path: a path.
            map_location: where tensors go, see `torch.load`.
            trusted: modules of your own that the checkpoint may name, beside this class's own.
            kwargs: arguments that take the place of the recipe's.
        """
        recipe = recipe_of(read_checkpoint(checkpoint_path), checkpoint_path)
        given = {key: value for key, value in recipe["init_args"].items() if key not in kwargs}
        arguments = build(without_unnamed(given), trusted=[cls.__module__, *trusted])
        return super().load_from_checkpoint(checkpoint_path, map_location, weights_only=True, **(arguments | kwargs))

    # -- batches ------------------------------------------------------------------------------------------------------

    def read_batch(self, batch: Any, needs_labels: bool | None = None) -> tuple[Tensor, Tensor | None]:
        """Images (N, C, H, W) in the model's precision, and labels (N,), int64; see `BaseModule` for what it takes.

        Args:
            batch: of any usual form.
            needs_labels: whether it must have labels; None where the model says.

        Raises:
            TypeError: the batch has another form.
            ValueError: images of another shape or type; no labels where the model needs them.
        """
        x, y = split_batch(batch)
        self.check_input(x)
        needs_labels = self.needs_labels if needs_labels is None else needs_labels
        if needs_labels or (isinstance(y, Tensor) and y.shape == (len(x),) and not y.is_floating_point()):
            return x.to(self.dtype), as_labels(y, len(x))
        return x.to(self.dtype), None

    def check_input(self, x: Tensor) -> None:
        """Raise a ValueError where `x` is not a batch of floating-point images of `image_shape`."""
        check_images(x, self.image_shape)

    def check_values(self, x: Tensor, y: Tensor | None) -> None:
        """Raise a ValueError where pixels leave [0, 1] or labels name no class; asked of an epoch's first batch."""
        check_unit_range(x)
        if self.needs_labels and y is not None:
            check_label_range(y, self.num_classes)

    def training_batches(self) -> Iterator[Tensor]:
        """All inputs of the train split, on the model's device: what a model measures before it is trained.

        Of a stream, whose length nobody knows, the batches of one epoch, or the first 1,000. The global random state
        stays as it was. With several processes each may see its share alone.
        """
        return (x for x, _ in self.training_pairs())

    def training_pairs(self) -> Iterator[tuple[Tensor, Tensor | None]]:
        """`training_batches` with their labels."""
        datamodule = getattr(self.trainer, "datamodule", None)
        # our data modules can give all of it to every process, in a fixed order
        whole = getattr(datamodule, "loader", None) if hasattr(datamodule, "has_split") else None
        with torch.random.fork_rng(devices=[]):
            loader: Any = self.trainer.train_dataloader if whole is None else whole("train", sharded=False)
            for batch in loader if has_length(loader) else islice(loader, self._batches_of_a_stream()):
                for hook, arguments in _TRANSFER.items():
                    # as Lightning has it: the data module's hook where it wrote one, else the model's
                    owner = datamodule if is_overridden(hook, datamodule) else self
                    batch = getattr(owner, hook)(batch, *arguments(self))
                yield self.read_batch(batch)

    def _batches_of_a_stream(self) -> int:
        batches = min(self.trainer.num_training_batches, _STREAM)
        rank_zero_info(f"{type(self).__name__} measures the first {batches:.0f} batches of a stream")
        return int(batches)

    def condition(self, y: Tensor | None) -> Tensor | None:
        """Labels (N,) as one-hot vectors (N, num_classes), where the model needs labels; else None."""
        if not self.needs_labels or y is None:
            return None
        return one_hot(y.to(self.device, torch.int64), self.num_classes).to(self.dtype)  # (N,) -> (N, num_classes)

    def settle(self) -> None:
        """Finish what verbs would do at their first call, so that `sample_from` and the other verbs are pure functions.

        The exporter calls it. A model that has nothing to finish has nothing to write here.
        """

    def check_labels(self, y: Any, n: int | None = None) -> None:
        """Raise a ValueError where this model needs labels and `y` are not n (None for any number) of its classes."""
        if self.needs_labels and not torch.compiler.is_exporting():  # a graph cannot ask what its labels are
            if y is None:
                shape = f"({'N' if n is None else n},)"
                raise ValueError(
                    f"this model is conditional: pass labels y, shape {shape}, in 0..{self.num_classes - 1}"
                )
            check_label_range(as_labels(y, len(y) if n is None else n), self.num_classes)

    # -- steps --------------------------------------------------------------------------------------------------------

    def step(self, x: Tensor, y: Tensor | None, stage: str) -> Tensor | None:
        """Mean loss of a batch; also updates the figures of `stage`, one of "train", "val" and "test"."""
        raise NotImplementedError

    def training_step(self, batch: Any, batch_idx: int) -> Tensor | None:
        """The step on a training batch; stops where its loss is not a finite number."""
        x, y = self.read_step(batch, batch_idx)
        try:
            loss = self.step(x, y, "train")
        except ValueError as error:
            if "more than 1 value per channel" not in str(error):
                raise
            raise ValueError(
                f"batch norm cannot be trained on this batch of {len(x)}, of which it sees one value per channel: "
                "leave out a last batch that is small (--data.drop_last true), or use a larger --data.batch_size or "
                "larger images"
            ) from error
        if loss is not None:
            self.stop_unless_finite({"train/loss": loss})
        return loss

    def validation_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        """The step on a validation batch; several loaders are one split."""
        self.step(*self.read_step(batch, batch_idx), "val")

    def test_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        """The step on a test batch; several loaders are one split."""
        self.step(*self.read_step(batch, batch_idx), "test")

    def predict_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> tuple[Tensor, Tensor | None]:
        """Codes (N, D) and labels (N,) of a batch.

        Raises:
            TypeError: the model has no `encode`.
        """
        if not hasattr(self, "encode"):
            raise TypeError(
                f"predict writes codes, and {type(self).__name__} has none: predict with the model it looks at"
            )
        # of a model that learned from labels only a conditional one needs them for its codes
        x, y = self.read_batch(batch, needs_labels=bool(getattr(self, "conditional", False)))
        if batch_idx == 0:
            check_unit_range(x)
        return self.encode(x, y), y  # type: ignore[operator]

    def stop_unless_finite(self, values: Mapping[str, Tensor]) -> None:
        """Stop where a value of this training batch is not a finite number.

        To read a value waits for its device, and for other processes: then only batches whose figures are logged are
        looked at.

        Raises:
            FloatingPointError: names the value, the batch and the remedy.
        """
        if not (self._reads_freely or self._logs_this_step()):
            return
        for name, value in values.items():
            value = value.detach()
            number = float(value if self._reads_freely else self.trainer.strategy.reduce(value))
            if not isfinite(number):
                half = _HALF if self.dtype == torch.float16 else ""
                raise FloatingPointError(f"{name} is {number} at batch {self.global_step}: {half}{_REMEDY}")

    def read_step(self, batch: Any, batch_idx: int) -> tuple[Tensor, Tensor | None]:
        """`read_batch`, and `check_values` of an epoch's first batch: how every step begins."""
        x, y = self.read_batch(batch)
        if batch_idx == 0:
            self.check_values(x, y)
        return x, y

    def _logs_this_step(self) -> bool:
        """Whether figures of this batch are logged: the moment to read values that a device must be waited for."""
        every = max(1, self.trainer.log_every_n_steps)  # type: ignore[attr-defined]
        return self.trainer.is_last_batch or (self.global_step + 1) % every == 0

    # -- figures ------------------------------------------------------------------------------------------------------

    def add_figures(self, *stages: str, **metrics: Metric) -> None:
        """Have metrics kept for these stages, or for all three; one that computes a dict is logged under its names."""
        for stage in stages or STAGES:
            self.figures(stage).update({name: metric.clone() for name, metric in metrics.items()})

    def figures(self, stage: str) -> Any:
        """The metrics of a stage, by name."""
        return self._figures[f"{stage}_figures"]

    def on_train_epoch_end(self) -> None:
        """Log the train figures; stop where one is not a number, before a checkpoint of such weights is written.

        Raises:
            FloatingPointError: names the figure.
        """
        self.log_figures("train")

    def on_validation_epoch_end(self) -> None:
        """Log the validation figures."""
        self.log_figures("val")

    def on_test_epoch_end(self) -> None:
        """Log the test figures."""
        self.log_figures("test")

    def log_figures(self, stage: str) -> dict[str, Tensor]:
        """Log the figures of a stage over the epoch, and begin anew; what was logged, by name."""
        logged: dict[str, Tensor] = {}
        for name, metric in self.figures(stage).items():
            if not metric.update_called:  # as where a run was resumed at the very end of an epoch
                continue
            value = metric.compute()
            logged |= value if isinstance(value, dict) else {name: value}
            reset(metric)
        for name, figure in logged.items():
            if stage == "train" and not figure.isfinite().all():
                raise FloatingPointError(f"train/{name} is {figure.item()} in epoch {self.current_epoch}: {_REMEDY}")
            # compute() has summed over the processes already; the mean over them leaves it as it is
            self.log(f"{stage}/{name}", figure, prog_bar=name.endswith("loss"), sync_dist=True)
        return logged

    # -- optimizers ---------------------------------------------------------------------------------------------------

    def configure_optimizers(self) -> Any:
        """What Lightning asks for: the optimizer, and the scheduler where there is one."""
        optimizer = self.build_optimizer()
        if self.make_lr_scheduler is None:
            return optimizer
        scheduler = self.make_lr_scheduler(optimizer)
        monitor = getattr(scheduler, "monitor", self.monitor)
        interval = "step" if steps_each_batch(scheduler) else "epoch"
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "monitor": monitor, "interval": interval},
        }

    def build_optimizer(self) -> Optimizer:
        """The optimizer of all parameters; a subclass may give groups of them learning rates of their own."""
        return self.make_optimizer(self.parameters())

    def on_fit_start(self) -> None:
        """See that there is something to train, and that a resumed run has the optimizers of the run before.

        Raises:
            ValueError: the model is frozen; the optimizers are others, whose state the checkpoint does not hold.
        """
        if not any(parameter.requires_grad for parameter in self.parameters()):
            raise ValueError(
                "this model is frozen, as load_model gives it: call model.requires_grad_(True) to train it"
            )
        saved = self._optimizer_names
        self._optimizer_names = [class_path(optimizer) for optimizer in self.trainer.optimizers]
        resumes = self._resumes and bool(getattr(self.trainer, "ckpt_path", None))
        if resumes and self._cut_after:
            rank_zero_warn(
                f"the run before ended in an epoch, after {self._cut_after} batches of it (max_steps or max_time): "
                "this run begins with the next epoch, and the others are left out"
            )
        if resumes and not same_optimizers(saved, self._optimizer_names):
            raise ValueError(
                f"the checkpoint is of a run with {saved}, this run has {self._optimizer_names}: resume with the same "
                "optimizer, or start a new run from the checkpoint's weights (load_model)"
            )

    # -- checkpoints and noise ----------------------------------------------------------------------------------------

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the recipe, the seed of the run's noise and the kinds of the optimizers."""
        checkpoint["recipe"] = self.recipe
        checkpoint["noise_seed"] = self.noise_seed
        checkpoint["optimizer_names"] = self._optimizer_names

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on with the noise of the run that wrote it, and after the epoch that it may have ended."""
        self._cut_after = close_epoch(checkpoint)
        self.noise_seed = checkpoint.get("noise_seed", self.noise_seed)
        self._resumes = bool(checkpoint.get("optimizer_states"))
        self._optimizer_names = checkpoint.get("optimizer_names", [])

    def setup(self, stage: str) -> None:
        """Take the seed that the run was started with; a resumed run then reads it from its checkpoint."""
        # where looking at a value costs nothing
        self._reads_freely = self.trainer.strategy.root_device.type == "cpu" and self.trainer.world_size == 1
        if stage == "fit" and "PL_GLOBAL_SEED" in os.environ:  # set by seed_everything
            self.noise_seed = int(os.environ["PL_GLOBAL_SEED"])

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Seed the noise of this batch; processes differ, or all would draw the same noise for other images."""
        self._seed_noise(self.noise_seed, self.trainer.fit_loop.epoch_loop.total_batch_idx)

    def on_validation_batch_start(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Seed the noise of this batch, the same in every epoch."""
        self._seed_noise(_EVALUATION_SEED, batch_idx)

    def on_test_batch_start(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Seed the noise of this batch."""
        self._seed_noise(_EVALUATION_SEED, batch_idx)

    def _seed_noise(self, seed: int, batch: int) -> None:
        # the CPU's generator reads 32 bits: runs start far apart, batches and processes count up from there
        value = (seed * 2654435761 + batch * self.trainer.world_size + self.global_rank) % 2**32
        # torch.manual_seed would do all of this, but for every kind of device that there could be, at a millisecond a
        # step; and where a device has not been used, it keeps each seed, with a stack trace, until it is
        torch.default_generator.manual_seed(value)
        if self.device.type in ("cuda", "mps", "xpu"):
            getattr(torch, self.device.type).manual_seed(value)


def has_length(loader: Any) -> bool:
    """Whether a loader knows how many batches it has.

    Example:
        >>> has_length([1, 2]), has_length(iter([1, 2]))
        (True, False)
    """
    try:
        return len(loader) >= 0
    except (TypeError, NotImplementedError):
        return False


def steps_each_batch(scheduler: LRScheduler) -> bool:
    """Whether a scheduler counts batches, as OneCycleLR does, and not epochs.

    Example:
        >>> optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.1)
        >>> steps_each_batch(OneCycleLR(optimizer, max_lr=1.0, total_steps=10))
        True
    """
    return isinstance(scheduler, OneCycleLR | CyclicLR)


def without_unnamed(init_args: Mapping[str, Any]) -> dict[str, Any]:
    """A recipe's arguments without optimizers and schedulers that have no import path: defaults take their place.

    Example:
        >>> without_unnamed({"beta": 1.0, "optimizer": {"class_path": "<lambda>", "init_args": {}}})
        {'beta': 1.0}
    """
    return {
        key: value
        for key, value in init_args.items()
        if not (
            key.startswith(("optimizer", "lr_scheduler"))
            and isinstance(value, Mapping)
            and "<" in str(value.get("class_path"))
        )
    }
