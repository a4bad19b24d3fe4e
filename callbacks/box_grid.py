"""Grid of images with their true and predicted boxes."""

from collections.abc import Sequence

from lightning.pytorch import LightningModule, Trainer
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from callbacks.evaluation_mode import evaluation_mode
from callbacks.picture import new_figure
from callbacks.split_grid import SplitGrid
from callbacks.verbs import Locates
from evaluation.of_places import overlap

_TRUE = {"edgecolor": "lime", "linewidth": 1.6}
_PREDICTED = {"edgecolor": "red", "linewidth": 1.6, "linestyle": "--"}


class BoxGrid(SplitGrid):
    """Images with the true box in green and the predicted one in dashed red, and their overlap (IoU) above.

    One picture of the train split, one of a split not trained on: validation, or test where there is no validation
    split and in `test` itself. A split that is not there has no picture; images without boxes show the predicted one.

    Args:
        columns: images a row, at least 1.
        rows: rows, at least 1.
        every_n_epochs: see `PictureCallback`.

    Raises:
        ValueError: a count is below 1.

    Example:
        >>> trainer = Trainer(callbacks=[BoxGrid(columns=4, rows=2)], accelerator="cpu")
    """

    verb = Locates
    name = "boxes"

    def show(self, trainer: Trainer, module: LightningModule, split: str, x: Tensor, y: Tensor | None) -> Figure:
        """See `SplitGrid.show`."""
        with evaluation_mode(module):
            predicted = module.locate(x)  # type: ignore[operator]
        return box_grid(x, y, predicted, self.columns, f"{split} split")


def box_grid(x: Tensor, true: Tensor | None, predicted: Tensor, columns: int, title: str = "") -> Figure:
    """A figure of images with their boxes.

    Args:
        x: images, (N, C, H, W) in [0, 1].
        true: boxes (cx, cy, w, h) as fractions, (N, 4); None where they are not known.
        predicted: the same.
        columns: images a row.
        title: text above.

    Example:
        >>> boxes = torch.tensor([[0.5, 0.5, 0.5, 0.5]] * 3)
        >>> figure = box_grid(torch.rand(3, 3, 8, 8), boxes, boxes, columns=2)
        >>> figure.axes[0].get_title()
        'IoU 1.00'
    """
    images, predicted = x.detach().float().cpu(), predicted.detach().float().cpu()
    truth = None if true is None else true.detach().float().cpu()
    rows = -(-len(images) // columns)
    figure = new_figure(1.25 * columns, 1.45 * rows + 0.5)
    for number, (image, box) in enumerate(zip(images, predicted, strict=True)):
        axes = figure.add_subplot(rows, columns, number + 1)
        axes.imshow(image.permute(1, 2, 0).squeeze(2).numpy(), cmap="gray", vmin=0, vmax=1)
        axes.set_axis_off()
        if truth is not None:
            _add_box(axes, truth[number], image.shape[1:], "true", _TRUE)
            axes.set_title(f"IoU {float(overlap(box[None], truth[number][None])):.2f}", fontsize=8, pad=2)
        _add_box(axes, box, image.shape[1:], "predicted", _PREDICTED)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2, fontsize=8, frameon=False)
    figure.suptitle(title, fontsize=9)
    return figure


def _add_box(axes: Axes, box: Tensor, size: Sequence[int], label: str, style: dict[str, object]) -> None:
    height, width = size
    cx, cy, w, h = box.tolist()
    # the image's first pixel is drawn from -0.5 to 0.5
    corner = ((cx - w / 2) * width - 0.5, (cy - h / 2) * height - 0.5)
    axes.add_patch(Rectangle(corner, w * width, h * height, fill=False, label=label, **style))  # type: ignore[arg-type]
