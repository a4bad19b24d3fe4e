"""Linear regression in closed form against gradient descent, on raw and on standardized features.

Gradient descent starts at 0 and takes steps of 1 / L, L being the largest eigenvalue of the Hessian X'X / N: twice as
long ones diverge. An error along an eigenvector of eigenvalue l shrinks by 1 - l / L a step, so the condition number,
L over the least l, is about how many steps the slowest one takes. Ten folds say what that means for new rows: mean and
standard error of the mean squared error, each fold standardized by its own training rows.

Run: uv run python -m benchmarks.linear_regression                                  # scikit-learn's diabetes table
     uv run python -m benchmarks.linear_regression --path concrete.csv --target csMPa
"""

import argparse
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from matplotlib.figure import Figure
from torch import Tensor

from benchmarks.options import add_count
from datamodules import CSVDataModule, DiabetesDataModule, TableDataModule
from lit_models.functional.least_squares import least_squares
from lit_models.functional.linear_models import with_ones

FOLDS = 10
Scale = Callable[[Tensor], tuple[Tensor, Tensor]]


def raw(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean 0 and deviation 1, whatever they are."""
    return torch.zeros(x.shape[1]).to(x), torch.ones(x.shape[1]).to(x)


def standardized(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation of the columns of x (N, D), (D,) each; 1 for a column that never changes."""
    return x.mean(0), x.std(0, correction=0).masked_fill(x.amin(0) == x.amax(0), 1)


SCALES: dict[str, Scale] = {"raw": raw, "standardized": standardized}


class Descent(NamedTuple):
    """Gradient descent: the Hessian's condition number, and parameters (S, P) after each of S numbers of steps."""

    condition: float
    thetas: Tensor


def descend(h: Tensor, y: Tensor, steps: Sequence[int]) -> Descent:
    """Gradient descent on half the mean squared error of rows h (N, P) and targets y (N,), by steps of 1 / L.

    With the Hessian's eigenvectors it need not be walked: along one of eigenvalue l, t steps leave (1 - l / L)^t of the
    distance. It is what t steps give, to rounding.

    Example:
        >>> h, y = torch.tensor([[1.0], [2.0]]).double(), torch.tensor([1.0, 2.0]).double()
        >>> descend(h, y, [0, 1]).thetas.flatten().round(decimals=6).tolist()
        [0.0, 1.0]
    """
    values, vectors = torch.linalg.eigh(h.T @ h / len(h))
    values, rounding = values.clamp(min=0), torch.finfo(h.dtype).eps
    gradient = vectors.T @ (h.T @ y / len(h))  # at 0, along each eigenvector, sign turned
    ends = torch.where(values > len(values) * rounding * values[-1], gradient / values, 0)  # (P,)
    left = torch.log1p(-(values / values[-1]).clamp(max=1 - rounding))  # of the distance, after a step
    gone = -torch.expm1(torch.tensor(steps, dtype=h.dtype).unsqueeze(1) * left)  # (S, P)
    return Descent(float(values[-1] / values[0]), (gone * ends) @ vectors.T)


def rows(x: Tensor, scale: tuple[Tensor, Tensor]) -> Tensor:
    """Scaled rows with a 1 behind each, (N, D + 1)."""
    return with_ones((x - scale[0]) / scale[1])


def mse(h: Tensor, y: Tensor, thetas: Tensor) -> Tensor:
    """Mean squared error of each of S parameters (S, P), (S,)."""
    return (h @ thetas.T - y.unsqueeze(1)).square().mean(0)


def in_folds(x: Tensor, y: Tensor, steps: Sequence[int], scale: Scale, seed: int) -> tuple[Tensor, Tensor]:
    """Held-out errors of each fold: of the closed form (F,), and of gradient descent (F, S)."""
    closed, descents = [], []
    for held in torch.randperm(len(x), generator=torch.Generator().manual_seed(seed)).tensor_split(FOLDS):
        kept = torch.ones(len(x), dtype=torch.bool).index_fill_(0, held, False)
        fitted = scale(x[kept])
        train, test = rows(x[kept], fitted), rows(x[held], fitted)
        closed.append(mse(test, y[held], least_squares(train, y[kept].unsqueeze(1))))
        descents.append(mse(test, y[held], descend(train, y[kept], steps).thetas))
    return torch.cat(closed), torch.stack(descents)


def spread(errors: Tensor) -> tuple[Tensor, Tensor]:
    """Mean over folds and its standard error."""
    return errors.mean(0), errors.std(0) / len(errors) ** 0.5


def draw(steps: Sequence[int], excess: dict[str, Tensor], folds: dict[str, Tensor], closed: Tensor) -> Figure:
    """On all rows, by how much each descent's error is above the closed form's; held-out errors in folds."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    for label, above in excess.items():
        left.plot(steps, above.clamp(min=1e-6), label=label)
    left.set(xscale="log", yscale="log", xlabel="steps", title="MSE above the closed form's (cut at 1e-6), all rows")
    for label, errors in folds.items():
        mean, error = spread(errors)
        right.plot(steps, mean, label=f"gradient descent, {label}")
        right.fill_between(steps, mean - error, mean + error, alpha=0.2)
    level, error = spread(closed)
    right.axhline(float(level), color="black", linestyle="--", linewidth=1, label="closed form")
    right.axhspan(float(level - error), float(level + error), color="black", alpha=0.08)
    right.set(
        xscale="log", yscale="log", xlabel="steps", title=f"MSE on held-out rows, {FOLDS} folds (band: std. error)"
    )
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    return figure


def read(options: argparse.Namespace) -> TableDataModule:
    """The table that was asked for, whole and raw."""
    whole = {"val_fraction": 0.0, "test_fraction": 0.0, "standardize": False}
    if options.path is None:
        return DiabetesDataModule(**whole)  # type: ignore[arg-type]
    target = int(options.target) if options.target.lstrip("-").isdecimal() else options.target
    return CSVDataModule(options.path, target, targets="numbers", **whole)  # type: ignore[arg-type]


def main() -> None:
    """Print the tables and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--path", help="a CSV file; by default scikit-learn's diabetes table")
    parser.add_argument("--target", default="-1", help="name or position of the column to be predicted")
    add_count(parser, "--steps", 100_000, 1, "of gradient descent")
    parser.add_argument("--seed", type=int, default=0, help="of the folds")
    parser.add_argument("--figure", default="docs/images/linear_regression.png", help="where the picture goes")
    options = parser.parse_args()
    data = read(options)
    data.setup()
    x, y = data.split("train")
    steps = sorted({int(step) for step in torch.logspace(0, 5, 61).tolist() if step < options.steps} | {options.steps})
    shown = [place for place, step in enumerate(steps) if step == options.steps or step in (1, 10, 100, 1000, 10_000)]
    print("| features | condition number | steps | MSE, all rows | MSE, 10 folds |\n|---|---|---|---|---|")
    excess, folds, closed = {}, {}, torch.empty(0)
    for label, scale in SCALES.items():
        h = rows(x, scale(x))
        best = mse(h, y, least_squares(h, y.unsqueeze(1)))
        descent = descend(h, y, steps)
        errors = mse(h, y, descent.thetas)
        excess[label] = errors - best
        closed, folds[label] = in_folds(x, y, steps, scale, options.seed)
        mean, error = spread(folds[label])
        for place in shown:
            cells = f"{errors[place]:.2f} | {mean[place]:.1f} +- {error[place]:.1f}"
            print(f"| {label} | {descent.condition:.3g} | {steps[place]:,} | {cells} |")
        mean, error = spread(closed)
        print(f"| {label} | {descent.condition:.3g} | closed form | {float(best):.2f} | {mean:.1f} +- {error:.1f} |")
    draw(steps, excess, folds, closed).savefig(options.figure, dpi=80)


if __name__ == "__main__":
    main()
