"""Images on the way from one held-out image to another."""

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor

from callbacks.batches import batches, class_names, held_out_split, join
from callbacks.evaluation_mode import evaluation_mode
from callbacks.image_pairs import image_pairs
from callbacks.interpolation_strips import interpolation_strips
from callbacks.picture import PictureCallback
from callbacks.verbs import Decodes, Encodes, is_conditional, require

_IMAGES_A_ROW = 32  # so many are read for each pair that is chosen


class Interpolation(PictureCallback):
    """Rows of images decoded on the straight line between the codes of two held-out images, originals at both ends.

    A row is `original | steps decoded images | original`. The codes are those of `encode`, which draws nothing: a VAE's
    posterior means. The first and the last decoded image are the reconstructions of the originals.

    The images are of validation, or of test where there is no validation split and in `test` itself; without either
    there is no picture. The pairs are the same each time. Where there are labels, the two images of a pair are of
    different classes, as long as there are any. For a conditional model they are of one class, and that label is given
    all along the way: a label is a condition, not a part of the code, and there is none halfway between two classes.

    Args:
        rows: pairs, at least 1; fewer where the images run out.
        steps: decoded images a row, at least 2: both ends are among them.
        every_n_epochs: see `PictureCallback`.
        seed: decides which pairs, at least 0.

    Raises:
        TypeError: before training starts, where the model has no `decode` or no `encode`.
        ValueError: an argument is out of its range.

    Example:
        >>> trainer = Trainer(callbacks=[Interpolation(rows=4, steps=7)], accelerator="cpu")
    """

    verb = Decodes

    def __init__(self, rows: int = 8, steps: int = 11, every_n_epochs: int = 0, seed: int = 0) -> None:
        super().__init__(every_n_epochs)
        if rows < 1:
            raise ValueError(f"rows must be at least 1, got {rows}")
        if steps < 2:
            raise ValueError(f"steps must be at least 2, since both ends are among them, got {steps}")
        if seed < 0:
            raise ValueError(f"seed must be at least 0, got {seed}")
        self.rows = rows
        self.steps = steps
        self.seed = seed

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """See `PictureCallback.setup`."""
        super().setup(trainer, pl_module, stage)
        require(pl_module, Encodes, self)

    def draw(self, trainer: Trainer, module: LightningModule, when: str) -> None:
        """See `PictureCallback.draw`."""
        split = held_out_split(trainer, when)
        x, y = (None, None) if split is None else self._images(trainer, module, split)
        if x is None:
            return
        labels = torch.arange(len(x)) if y is None else y.cpu()  # without labels, each image is a class of its own
        pairs = image_pairs(labels, self.rows, is_conditional(module), self.seed)
        if len(pairs) == 0:
            found = "two images of one class" if is_conditional(module) else "two images"
            rank_zero_info(f"Interpolation draws no picture of {when}: the {split} split has no {found}")
            return
        start, end = pairs.to(x.device).unbind(1)  # (R,) each
        with evaluation_mode(module):
            walk = interpolate(module, x[start], x[end], self.steps, None if y is None else y[start])
        names = [] if y is None else _names(labels[pairs], class_names(trainer, int(labels.max()) + 1))
        figure = interpolation_strips(x[start], [walk], x[end], names, [f"{split} split"])
        self.save(trainer, figure, "interpolations", when)

    def _images(self, trainer: Trainer, module: LightningModule, split: str) -> tuple[Tensor | None, Tensor | None]:
        """Enough images to choose pairs from; where a split is sorted by class, up to the second class."""
        xs: list[Tensor] = []
        ys: list[Tensor | None] = []
        classes: set[int] = set()
        for x, y in batches(trainer, module, split):
            xs.append(x)
            ys.append(y)
            classes.update([] if y is None else y.tolist())
            enough = sum(map(len, xs)) >= self.rows * _IMAGES_A_ROW
            if enough and (len(classes) != 1 or is_conditional(module)):
                break
        return join(xs, None), join(ys, None)


def interpolate(model: LightningModule, starts: Tensor, ends: Tensor, steps: int, y: Tensor | None = None) -> Tensor:
    """Images decoded at evenly spaced points on the line between two images' codes, (R, steps, C, H, W) in [0, 1].

    Args:
        model: answers `encode(x, y)` and `decode(z, y)`.
        starts: (R, C, H, W) in [0, 1]; their reconstructions are the first of the images.
        ends: (R, C, H, W) in [0, 1]; their reconstructions are the last.
        steps: images a pair, at least 2.
        y: (R,) labels, one for each pair; a conditional model needs them.

    Example:
        >>> class Identity(LightningModule):
        ...     def encode(self, x, y=None):
        ...         return x.flatten(1)
        ...
        ...     def decode(self, z, y=None):
        ...         return z.unflatten(1, (1, 1, 2))
        >>> interpolate(Identity(), torch.zeros(1, 1, 1, 2), torch.ones(1, 1, 1, 2), steps=3)[0, :, 0, 0]
        tensor([[0.0000, 0.0000],
                [0.5000, 0.5000],
                [1.0000, 1.0000]])
    """
    first, last = model.encode(starts, y), model.encode(ends, y)  # type: ignore[operator]
    share = torch.linspace(0, 1, steps, dtype=first.dtype, device=first.device).view(1, steps, 1)
    codes = torch.lerp(first.unsqueeze(1), last.unsqueeze(1), share)  # (R, steps, D)
    labels = None if y is None else y.repeat_interleave(steps)
    return model.decode(codes.flatten(0, 1), labels).unflatten(0, (-1, steps))  # type: ignore[operator]


def _names(pairs: Tensor, names: list[str]) -> list[str]:
    """Of the classes at both ends, (R, 2), or of the one that they share."""
    return [names[one] if one == other else f"{names[one]}\nto {names[other]}" for one, other in pairs.tolist()]
