"""Linear models: softmax, logistic and linear regression, by gradients, by Newton's method or in closed form."""

import math
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import torch
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from lightning.pytorch.utilities import rank_zero_info, rank_zero_warn
from torch import Tensor, nn
from torch.optim import Optimizer
from torchmetrics.classification import MulticlassAccuracy

from lit_models.batch import as_targets, split_batch
from lit_models.checks import (
    check_choice,
    check_count,
    check_label_range,
    check_unit_range,
    check_weight,
)
from lit_models.confusion import ConfusionModule
from lit_models.full_batch import FullBatch
from lit_models.functional.linear_models import LOG_LOSS, SQUARED_ERROR, class_logits, loss_by_hand, with_ones
from lit_models.functional.precision import wide
from lit_models.held import Held
from lit_models.metrics import EpochMeans, RSquared
from lit_models.moments import moments
from lit_models.networks.head import StandardizedLinear
from lit_models.processes import from_first_process

TASKS = ("classification", "regression")
SOLVERS = ("gradient", "manual", "newton", "newton_diagonal", "closed_form")
_FULL_BATCH = ("newton", "newton_diagonal", "closed_form")


class LitLinear(ConfusionModule):
    """One linear layer: softmax regression, logistic regression for two classes, linear regression for numbers.

    Inputs are images in [0, 1], which are flattened, or codes or the columns of a table, (N, D). Parameters start at 0.

    The loss of a classification is the mean cross-entropy in nats. Two classes share one output, the log-odds of the
    second. The loss of a regression is half the squared error, summed over targets, a mean over examples. Both are
    convex. `l2` adds so much of |W|^2 / 2 to what is minimized; the bias is free of it.

    How it is minimized is `solver`'s to say:

    - "gradient": `optimizer`, with autograd's gradient;
    - "manual": `optimizer`, with the gradient written by hand, R' X / N for residuals R = p - y;
    - "newton", "newton_diagonal": one Newton step an epoch over the whole train split, by the exact Hessian or its
      diagonal, in float64; shortened until the loss falls, so that it cannot diverge where classes are separable. The
      exact Hessian has as many rows as there are parameters, which must fit in memory;
    - "closed_form", for regression: least squares over the whole train split before the first epoch, in float64.

    The last three use neither `optimizer` nor `limit_train_batches`; an epoch then only measures the new parameters.

    Logged for each of train, val and test: `loss`, without the penalty; `accuracy`, or for a regression `mse`, the mean
    over examples and targets in the targets' units, and `r2`, the share of the targets' variance that is explained.
    With "gradient" and "manual" train figures are of the parameters before each step. Newton's methods log
    `train/step_size`, 0 where no step lowers the loss. `confusion` is as in `ConfusionModule`.

    `train.py predict` writes class probabilities or predicted numbers.

    Args:
        input_shape: (C, H, W) of images, or (D,).
        num_outputs: K classes, at least 2, or the number of targets.
        task: "classification", with labels (N,), or "regression", with numbers (N,) or (N, num_outputs).
        solver: see above.
        l2: at least 0.
        step_size: share of a Newton step that is tried first, in (0, 1].
        standardize: give each input the mean 0 and the deviation 1 over the train split; both are in the checkpoint,
            and `l2` is about the weights of standardized inputs.
        optimizer: see `BaseModule`; Adam with learning rate 1e-3 by default.
        lr_scheduler: see `BaseModule`.

    Raises:
        ValueError: an argument out of its range, or one that the solver has no use for; inputs or targets of another
            shape.

    Source: C. M. Bishop, "Pattern Recognition and Machine Learning", 2006, sections 3.1, 4.3.3 and 4.3.4; the
    derivations are in docs/linear.md.

    Example:
        >>> LitLinear((1, 28, 28), 10).classify(torch.rand(5, 1, 28, 28)).shape
        torch.Size([5, 10])
    """

    needs_labels = True
    target_mean: Tensor

    def __init__(
        self,
        input_shape: Sequence[int],
        num_outputs: int = 10,
        task: Literal["classification", "regression"] = "classification",
        solver: Literal["gradient", "manual", "newton", "newton_diagonal", "closed_form"] = "gradient",
        l2: float = 0.0,
        step_size: float = 1.0,
        standardize: bool = False,
        optimizer: OptimizerCallable = torch.optim.Adam,
        lr_scheduler: LRSchedulerCallable | None = None,
    ) -> None:
        super().__init__(optimizer, lr_scheduler)
        check_choice("task", task, TASKS)
        check_choice("solver", solver, SOLVERS)
        check_weight("l2", l2, "it adds l2 |W|^2 / 2 to the loss, and 0 adds nothing")
        if not 0 < step_size <= 1:
            raise ValueError(f"step_size must be in (0, 1], got {step_size}: 1 tries a whole Newton step first")
        self.input_shape = _check_shape(input_shape)
        self.classifies = task == "classification"
        _check_outputs(num_outputs, self.classifies)
        _check_solver(solver, self.classifies, lr_scheduler)
        if len(self.input_shape) == 3:
            self.image_shape = self.input_shape
        self.num_classes = num_outputs if self.classifies else 0
        self.num_outputs = num_outputs
        self.solver = solver
        self._solved = False  # nothing is left to do for the solver
        self.l2 = l2
        self.step_size = step_size
        self.standardize = standardize
        self.loss = LOG_LOSS if self.classifies else SQUARED_ERROR
        self.predicts = "probabilities" if self.classifies else "predictions"
        outputs = 1 if self.num_classes == 2 else num_outputs
        self.head = StandardizedLinear(math.prod(self.input_shape), outputs)
        nn.init.zeros_(self.head.linear.weight)
        nn.init.zeros_(self.head.linear.bias)
        self.register_buffer("target_mean", torch.zeros(0 if self.classifies else num_outputs))
        self._add_figures()

    def _add_figures(self) -> None:
        self.count_classes(self.num_classes)
        if self.classifies:
            accuracy = MulticlassAccuracy(self.num_classes, average="micro")
            self.add_figures(means=EpochMeans(["loss"]), accuracy=accuracy)
        else:
            self.add_figures(means=EpochMeans(["loss", "mse"]), r2=RSquared(self.num_outputs))

    # -- verbs --------------------------------------------------------------------------------------------------------

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, K), or predicted numbers (N, M), of inputs (N, *input_shape)."""
        outputs = self._outputs(x)
        return class_logits(outputs) if self.classifies else outputs

    def classify(self, x: Tensor) -> Tensor:
        """Probability of each class, (N, K).

        Raises:
            TypeError: the task is regression.
        """
        if not self.classifies:
            raise TypeError('a LitLinear with task="regression" has no classes: use predict(x)')
        return wide(self(x)).softmax(1)

    def predict(self, x: Tensor) -> Tensor:
        """Class indices (N,), or numbers (N, M) in the targets' units."""
        return self(x).argmax(1) if self.classifies else wide(self(x))

    # -- batches ------------------------------------------------------------------------------------------------------

    def read_batch(self, batch: Any, needs_labels: bool | None = None) -> tuple[Tensor, Tensor | None]:
        """See `BaseModule.read_batch`; the targets of a regression are (N, M), in 32 bits or more."""
        if self.classifies:
            return super().read_batch(batch, needs_labels)
        x, y = split_batch(batch)
        self.check_input(x)
        if needs_labels is False and not isinstance(y, Tensor):
            return x.to(self.dtype), None
        return x.to(self.dtype), as_targets(y, len(x), self.num_outputs)

    def check_input(self, x: Tensor) -> None:
        """Raise a ValueError where `x` is not a batch of floats of `input_shape`."""
        if len(self.input_shape) == 3:
            super().check_input(x)
        elif not x.is_floating_point() or tuple(x.shape[1:]) != self.input_shape:
            raise ValueError(
                f"inputs of shape {tuple(x.shape)} and {x.dtype} do not fit a linear model of floats of "
                f"(N, {self.input_shape[0]}): bring them to that shape, or build the model with their input_shape"
            )

    def check_values(self, x: Tensor, y: Tensor | None) -> None:
        """Raise a ValueError where pixels leave [0, 1], a number is not finite, or a label names no class."""
        if len(self.input_shape) == 3:
            check_unit_range(x)
        elif not x.isfinite().all():
            raise ValueError("inputs must be finite numbers, got nan or inf: fill missing values, or leave them out")
        if self.classifies and y is not None:
            check_label_range(y, self.num_classes)
        elif y is not None and not y.isfinite().all():
            raise ValueError("targets y must be finite numbers, got nan or inf: leave such examples out")

    def predict_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> tuple[Tensor, Tensor | None]:
        """Probabilities (N, K) or predicted numbers (N, M), and labels or targets of a batch."""
        x, y = self.read_batch(batch, needs_labels=False)
        if batch_idx == 0:
            self.check_values(x, None)
        return self.classify(x) if self.classifies else self.predict(x), y

    # -- steps --------------------------------------------------------------------------------------------------------

    def step(self, x: Tensor, y: Tensor | None, stage: str) -> Tensor:
        """Mean loss of a batch; while training, with the penalty added."""
        assert y is not None
        linear = self.head.linear
        if self.solver == "manual" and stage == "train":
            with self._in_full():
                loss, outputs = loss_by_hand(self._rows(x), linear.weight, linear.bias, y, self.loss)
        else:
            outputs = wide(self._outputs(x))
            loss = self.loss.loss(outputs, y)
        self._measure(outputs.detach(), y, loss.detach(), stage)
        return loss + self.l2 / 2 * wide(linear.weight).square().sum() if stage == "train" and self.l2 else loss

    def _measure(self, outputs: Tensor, y: Tensor, loss: Tensor, stage: str) -> None:
        figures = self.figures(stage)
        if not self.classifies:
            figures["means"].update([loss, (outputs - y).square().mean()], len(y))
            figures["r2"].update(outputs - y, y - self.target_mean)
            return
        logits = class_logits(outputs)
        figures["means"].update([loss], len(y))
        figures["accuracy"].update(logits, y)
        self.count(logits, y, stage)

    def _rows(self, x: Tensor) -> Tensor:
        """Inputs as the layer sees them, (N, D)."""
        return self.head.standardize(x.flatten(1))

    def _outputs(self, x: Tensor) -> Tensor:
        self.check_input(x)
        with self._in_full():
            return self.head(x.flatten(1).to(self.head.linear.weight.dtype))

    def _in_full(self) -> torch.autocast:
        """Without autocast: of 100 in bfloat16 half is lost, and what a solver found in float64 is to be measured."""
        return torch.autocast(self.device.type, enabled=False)

    # -- solvers ------------------------------------------------------------------------------------------------------

    def build_optimizer(self) -> Optimizer:
        """The optimizer; one that moves nothing where a solver does."""
        return Held(self.parameters()) if self.solver in _FULL_BATCH else super().build_optimizer()

    def on_train_start(self) -> None:
        """Before a first fit take the scales of the train split; solve what has a solution in closed form."""
        if not self.head.fitted:
            self._fit_scales()
        self._solved = self.solver == "closed_form"
        if self._solved:
            self._set(self._full_batch().solve())

    def on_train_epoch_start(self) -> None:
        """With Newton's method, make a step over the whole train split; the epoch then measures where it led."""
        if self.solver in ("newton", "newton_diagonal"):
            diagonal, dtype = self.solver == "newton_diagonal", self.head.linear.weight.dtype
            theta, taken = self._full_batch().newton_step(self._theta(), self.step_size, diagonal, dtype)
            self._set(theta)
            self._solved = taken == 0
            self.log("train/step_size", taken, sync_dist=True)  # the same on all processes

    def on_train_epoch_end(self) -> None:
        """Log the train figures; stop where the solver is done, since more epochs would change nothing."""
        super().on_train_epoch_end()
        if self._solved and not self.trainer.should_stop:
            rank_zero_info(f"{type(self).__name__}: {self.solver} is done after {self.current_epoch + 1} epochs")
            self.trainer.should_stop = True

    def on_train_end(self) -> None:
        """Say it where a regression is worse than the targets' mean on its own train split."""
        super().on_train_end()
        r2 = self.trainer.callback_metrics.get("train/r2")
        if r2 is not None and r2 < 0:
            rank_zero_warn(
                f"train/r2 is {float(r2):.2f}, below 0: predictions are worse than the mean of the targets. Steps "
                "are too small, too few or too large: raise or lower --model.optimizer.lr, train for more epochs, or "
                "use --model.solver closed_form"
            )

    @torch.no_grad()
    def _fit_scales(self) -> None:
        """Mean and deviation of the inputs where they are asked for, and the targets' mean, which R^2 is about."""
        if self.standardize:
            known = moments(self.training_batches())
            self.head.set_scale(known.mean, known.variance.sqrt())
        self.head.fitted.fill_(True)
        if not self.classifies:
            self.target_mean.copy_(moments(y for _, y in self.training_pairs() if y is not None).mean)

    def _full_batch(self) -> FullBatch:
        return FullBatch(self._training_rows, self.loss, self.l2)

    @torch.no_grad()
    def _training_rows(self) -> Iterator[tuple[Tensor, Tensor]]:
        for x, y in self.training_pairs():
            assert y is not None
            self.check_values(x, y)
            h = with_ones(self._rows(x).to(self._precision))
            yield h, y if self.classifies else y.to(h.dtype)

    @property
    def _precision(self) -> torch.dtype:
        return torch.float32 if self.device.type == "mps" else torch.float64  # which MPS does not have

    @torch.no_grad()
    def _theta(self) -> Tensor:
        linear = self.head.linear
        return torch.cat([linear.weight, linear.bias.unsqueeze(1)], 1).to(self._precision)  # (M, D + 1)

    @torch.no_grad()
    def _set(self, theta: Tensor) -> None:
        theta = from_first_process(theta.to(self.device))
        self.head.linear.weight.copy_(theta[:, :-1])
        self.head.linear.bias.copy_(theta[:, -1])


def _check_shape(input_shape: Sequence[int]) -> tuple[int, ...]:
    shape = tuple(int(size) for size in input_shape) if isinstance(input_shape, Sequence) else (input_shape,)
    if len(shape) not in (1, 3) or min(shape) < 1:
        hint = ": use --data.baseline false for codes without a baseline's beside them" if len(shape) == 2 else ""
        raise ValueError(
            f"input_shape must be (channels, height, width) or (columns,), each at least 1, got {shape}{hint}"
        )
    return shape


def _check_outputs(num_outputs: Any, classifies: bool) -> None:
    if classifies and num_outputs == 1:
        raise ValueError(
            'num_outputs must be the number of classes, at least 2, got 1: for numbers as targets use task="regression"'
        )
    check_count("num_outputs", num_outputs, 2 if classifies else 1)


def _check_solver(solver: str, classifies: bool, lr_scheduler: Any) -> None:
    if solver == "closed_form" and classifies:
        raise ValueError(
            'solver="closed_form" is for task="regression": a cross-entropy has no minimum in closed form, use "newton"'
        )
    if solver in _FULL_BATCH and lr_scheduler is not None:
        raise ValueError(f'lr_scheduler has no effect with solver="{solver}": leave it out, or use "gradient"')
