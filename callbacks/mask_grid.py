"""Grid of images, their true masks and the predicted ones."""

from collections.abc import Sequence

import torch
from lightning.pytorch import LightningModule, Trainer
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from torch import Tensor

from callbacks.batches import class_names
from callbacks.evaluation_mode import evaluation_mode
from callbacks.image_grid import image_grid, in_groups
from callbacks.split_grid import SplitGrid
from callbacks.verbs import Segments

_IGNORED = (0.5, 0.5, 0.5)
_SHOWN = 20  # classes named in the legend


class MaskGrid(SplitGrid):
    """Images, below them their true masks, and below those the predicted ones, a colour for each class.

    One picture of the train split, one of a split not trained on: validation, or test where there is no validation
    split and in `test` itself. A split that is not there has no picture. Classes have the colours of the data's
    `class_colors`, else class 0 is black; pixels of no class are grey.

    Args:
        columns: images a row, at least 1.
        rows: groups of three rows, at least 1.
        every_n_epochs: see `PictureCallback`.

    Raises:
        ValueError: a count is below 1.

    Example:
        >>> trainer = Trainer(callbacks=[MaskGrid(columns=4)], accelerator="cpu")
    """

    verb = Segments
    name = "masks"

    def __init__(self, columns: int = 8, rows: int = 1, every_n_epochs: int = 1) -> None:
        super().__init__(columns, rows, every_n_epochs)

    def show(self, trainer: Trainer, module: LightningModule, split: str, x: Tensor, y: Tensor | None) -> Figure:
        """See `SplitGrid.show`."""
        with evaluation_mode(module):
            probabilities = module.segment(x)  # type: ignore[operator]
        names = class_names(trainer, probabilities.shape[1])
        colors = getattr(getattr(trainer, "datamodule", None), "class_colors", ())
        colors = colors if len(colors) == len(names) else ()
        return mask_grid(x, y, probabilities.argmax(1), names, self.columns, f"{split} split", colors)


def mask_grid(
    x: Tensor,
    true: Tensor | None,
    predicted: Tensor,
    names: list[str],
    columns: int,
    title: str = "",
    colors: Sequence[Sequence[int]] = (),
) -> Figure:
    """A figure of images and their masks.

    Args:
        x: images, (N, C, H, W) in [0, 1].
        true: class indices, (N, H, W); None where they are not known.
        predicted: the same.
        names: of the classes.
        columns: images a row.
        title: text above.
        colors: (R, G, B), 0 .. 255, of each class; black and colours that are told apart by default.

    Example:
        >>> masks = torch.zeros(2, 8, 8, dtype=torch.int64)
        >>> figure = mask_grid(torch.rand(2, 3, 8, 8), masks, masks, ["sky", "road"], columns=2)
        >>> [label.get_text() for label in figure.axes[0].get_yticklabels()]
        ['image', 'true', 'predicted']
    """
    table = torch.tensor(colors) / 255 if colors else _colors(len(names))
    shown = {"image": x.float().cpu().expand(-1, 3, -1, -1)}
    if true is not None:
        shown["true"] = colored(true, table)
    shown["predicted"] = colored(predicted, table)
    figure = image_grid(*in_groups(shown, columns), title, inches=1.1)
    named = list(zip(table.tolist(), names, strict=True))[:_SHOWN]
    handles = [Patch(facecolor=color, edgecolor="gray", label=name) for color, name in named]
    figure.legend(handles=handles, loc="outside lower center", ncols=min(6, len(handles)), fontsize=7, frameon=False)
    return figure


def colored(masks: Tensor, table: Tensor) -> Tensor:
    """Masks of class indices, (N, H, W), as images (N, 3, H, W) in [0, 1]; what is no class is grey.

    Args:
        masks: class indices.
        table: (R, G, B) in [0, 1] of each class, (K, 3).

    Example:
        >>> colored(torch.tensor([[[0, 255]]]), torch.zeros(2, 3))[0, :, 0].T
        tensor([[0.0000, 0.0000, 0.0000],
                [0.5000, 0.5000, 0.5000]])
    """
    index = masks.cpu().long()
    index = torch.where((index >= 0) & (index < len(table)), index, len(table))
    return torch.cat([table, torch.tensor([_IGNORED])])[index].permute(0, 3, 1, 2)  # (N, H, W, 3) -> (N, 3, H, W)


def _colors(num_classes: int) -> Tensor:
    """(K, 3): black, and colours that are told apart, again from the first where there are more classes."""
    found = [colormaps["tab20"](number % 20)[:3] for number in range(num_classes - 1)]
    return torch.tensor([(0.0, 0.0, 0.0), *(tuple(map(float, color)) for color in found)], dtype=torch.float32)
