"""Newton's method with the exact Hessian against its diagonal: logistic regression of breast tumours.

Prints train loss, train accuracy, test loss and test accuracy by iteration, and draws them; then the same with the
penalty that keeps weights finite on separable classes. The split is the coursework's, which has no validation part:
nothing is chosen here.

Run: uv run python -m benchmarks.newton
"""

import argparse
import tempfile

import torch
from matplotlib.figure import Figure

from benchmarks.epoch_figures import Figures, fit
from benchmarks.options import add_count

CONFIG = "configs/newton_breast_cancer.yaml"
# label: words of the command line
RUNS: dict[str, tuple[str, ...]] = {
    "exact Hessian": ("--model.solver=newton",),
    "diagonal Hessian": ("--model.solver=newton_diagonal",),
}
REMEDY = "exact, whole steps, l2 0.01"
_SHOWN = (0, 1, 2, 5, 8, 10, 20, 30, 49)
_COLORS = {"train": "C0", "test": "C1"}
Points = dict[str, list[Figures]]


def draw(runs: dict[str, Points]) -> Figure:
    """A row a run: loss and accuracy, train and test."""
    figure = Figure(figsize=(8, 2.8 * len(runs)), layout="constrained")
    grid = figure.subplots(len(runs), 2, squeeze=False, sharex="col")
    for (label, points), row in zip(runs.items(), grid, strict=True):
        for axes, name in zip(row, Figures._fields, strict=True):
            for split, figures in points.items():
                axes.plot([getattr(each, name) for each in figures], label=split, color=_COLORS[split])
            axes.set_title(f"{label}: {name}", fontsize=10)
            axes.grid(alpha=0.3)
        row[0].set_ylabel("nats per example")
        row[0].set_ylim(0, 0.75)
        row[1].set_ylim(0.9, 1.002)
        row[0].legend(fontsize=8)
    for axes in grid[-1]:
        axes.set_xlabel("Newton steps")
    return figure


def print_rows(label: str, points: Points) -> None:
    """A row an iteration."""
    for step in _SHOWN:
        if step < len(points["train"]):
            train, test = points["train"][step], points["test"][step]
            cells = " | ".join(f"{value:.4f}" for value in (*train, *test))
            print(f"| {label} | {step} | {cells} |", flush=True)


def main() -> None:
    """Train, print and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_count(parser, "--steps", 49, 1, "Newton steps of each run")
    parser.add_argument("--figure", default="docs/images/newton.png", help="where the picture goes")
    options = parser.parse_args()
    runs: dict[str, Points] = {}
    print("| | iteration | train loss | train accuracy | test loss | test accuracy |\n|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        steps = f"--trainer.max_epochs={options.steps}"
        for label, words in RUNS.items():
            runs[label], model = fit(CONFIG, folder, [steps, *words])
            print_rows(label, runs[label])
            norm = float(torch.linalg.vector_norm(model.head.linear.weight.detach()))
            print(f"| {label} | | norm of the weights {norm:.1f} | | | |")
        words = ("--model.l2=0.01", "--model.step_size=1", "--trainer.max_epochs=10")
        print_rows(REMEDY, fit(CONFIG, folder, words)[0])
    draw(runs).savefig(options.figure, dpi=80)


if __name__ == "__main__":
    main()
