"""Softmax regression on a classifier's frozen features, by the gradient written by hand and by autograd's.

Both runs see the same batches in the same order. Prints loss and accuracy of both by epoch, how far their weights lie
apart at the end, and draws both into one picture. Nothing is chosen here; test figures are only reported.

Run: uv run python -m benchmarks.softmax_gradients --data_dir data --ckpt_path PATH
"""

import tempfile
from typing import Any

from matplotlib.figure import Figure

from benchmarks.epoch_figures import Figures, fit
from benchmarks.options import add_count, check_data, make_parser

CONFIG = "configs/softmax_features_mnist.yaml"
SOLVERS = {"manual": "by hand", "gradient": "autograd"}
Points = dict[str, list[Figures]]


def draw(runs: dict[str, Points]) -> Figure:
    """Loss and accuracy over epochs; the two gradients' lines lie over each other."""
    figure = Figure(figsize=(8, 3.4), layout="constrained")
    styles: dict[str, Any] = dict(
        zip(runs, ({"linewidth": 4, "alpha": 0.35}, {"linewidth": 1, "linestyle": "--"}), strict=True)
    )
    for axes, name in zip(figure.subplots(1, 2), Figures._fields, strict=True):
        for label, points in runs.items():
            for color, (split, figures) in zip(("C0", "C1"), points.items(), strict=True):
                values = [getattr(each, name) for each in figures[1:]]
                axes.plot(range(1, len(figures)), values, color=color, label=f"{split}, {label}", **styles[label])
        axes.set_xlabel("epochs")
        axes.set_title(name, fontsize=10)
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
        if name == "loss":
            axes.set_yscale("log")
            axes.set_ylabel("nats per image")
    return figure


def main() -> None:
    """Train both, print and draw."""
    parser = make_parser(__doc__)
    parser.add_argument("--ckpt_path", required=True, help="checkpoint of the classifier whose features are taken")
    add_count(parser, "--epochs", 50, 1, "epochs of each run")
    parser.add_argument("--figure", default="docs/images/softmax_gradients.png", help="where the picture goes")
    options = parser.parse_args()
    check_data(parser, options.data_dir, ["MNIST"])
    words = [f"--data.data.data_dir={options.data_dir}", f"--data.encoder.checkpoint={options.ckpt_path}"]
    words.append(f"--trainer.max_epochs={options.epochs}")
    runs: dict[str, Points] = {}
    weights = []
    print("| gradient | epoch | train loss | test loss | train accuracy | test accuracy |\n|---|---|---|---|---|---|")
    for solver, label in SOLVERS.items():
        with tempfile.TemporaryDirectory() as folder:
            runs[label], model = fit(CONFIG, folder, [*words, f"--model.solver={solver}"])
        weights.append(model.head.linear.weight.detach())
        for epoch in sorted({*range(1, options.epochs + 1, 5), options.epochs}):
            (loss, accuracy), (test_loss, test_accuracy) = (points[epoch] for points in runs[label].values())
            cells = f"{loss:.4f} | {test_loss:.4f} | {accuracy:.4f} | {test_accuracy:.4f}"
            print(f"| {label} | {epoch} | {cells} |", flush=True)
    apart = float((weights[0] - weights[1]).abs().max() / weights[0].abs().max())
    print(f"\nlargest difference of two weights, beside the largest weight: {apart:.1e}")
    draw(runs).savefig(options.figure, dpi=80)


if __name__ == "__main__":
    main()
