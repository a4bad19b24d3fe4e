"""What single units of a code do to an image."""

from collections.abc import Sequence

import torch
from lightning.pytorch import LightningModule, Trainer
from matplotlib.figure import Figure
from torch import Tensor

from callbacks.batches import class_names, first_images, held_out_split
from callbacks.evaluation_mode import evaluation_mode
from callbacks.image_strips import image_strips
from callbacks.picture import PictureCallback
from callbacks.verbs import Traverses, is_conditional

_EXTENT = 3.0  # standard deviations of the prior
_CHUNK = 250


class LatentTraversal(PictureCallback):
    """One image, decoded with one unit of its code after the other moved across the prior; a row a unit.

    The units with the largest KL come first: it is the mean over held-out images of the KL of the unit's posterior from
    its prior, in nats, and near 0 for a unit that the model does not use. Number and KL stand at the left of a row.

    A row starts from the image's code (a VAE's posterior mean) and sets its unit to mean + t standard deviations of the
    unit under the prior, t from -3 to 3: units are comparable whatever the prior. t stands above the columns. The
    image and its reconstruction stand at the right of the first row. For a conditional model all of this is with the
    image's own label.

    The images are of validation, or of test where there is no validation split and in `test` itself; without either
    there is no picture.

    Args:
        units: rows, at least 1; fewer where the code has fewer units.
        columns: values of t, evenly spaced, at least 2; an odd number has 0 among them.
        image: which held-out image, counted from 0; the last where there are fewer.
        kl_images: the first so many images over which the KL is averaged, at least 1; the title says how many they are.
        every_n_epochs: see `PictureCallback`.

    Raises:
        TypeError: before training starts, where the model lacks one of `encode`, `decode`, `unit_kl`, `prior_moments`.
        ValueError: an argument is out of its range.

    Source: I. Higgins et al., "beta-VAE", ICLR 2017: one unit moves, the others stay as they were inferred.

    Example:
        >>> trainer = Trainer(callbacks=[LatentTraversal(units=5, columns=13)], accelerator="cpu")
    """

    verb = Traverses

    def __init__(
        self, units: int = 10, columns: int = 7, image: int = 0, kl_images: int = 1000, every_n_epochs: int = 0
    ) -> None:
        super().__init__(every_n_epochs)
        if units < 1 or kl_images < 1:
            raise ValueError(f"units and kl_images must be at least 1, got {units} and {kl_images}")
        if columns < 2:
            raise ValueError(f"columns must be at least 2, for -3 and 3, got {columns}")
        if image < 0:
            raise ValueError(f"image must be at least 0, the first held-out image, got {image}")
        self.units = units
        self.columns = columns
        self.image = image
        self.kl_images = kl_images

    def draw(self, trainer: Trainer, module: LightningModule, when: str) -> None:
        """See `PictureCallback.draw`."""
        split = held_out_split(trainer, when)
        x, y = first_images(trainer, module, split, self._wanted)
        if x is None:
            return
        chosen = min(self.image, len(x) - 1)
        image, label = x[chosen, None], None if y is None else y[chosen, None]
        with evaluation_mode(module):
            kl = mean_unit_kl(module, x[: self.kl_images], None if y is None else y[: self.kl_images])
            units = kl.argsort(descending=True, stable=True)[: self.units].tolist()
            decoded = module.decode(module.encode(image, label), label)  # type: ignore[operator]
            rows = traverse(module, image, units, self._values, label)
        name = "" if label is None else f" ({class_names(trainer, int(label) + 1)[int(label)]})"
        count = min(len(x), self.kl_images)
        title = f"{split} split, image {chosen}{name}; KL: mean over {count:,} image{'s' * (count > 1)}\n"
        title += "above the columns: standard deviations from the unit's mean under the prior"
        labels = [f"unit {unit}: {kl[unit]:.2f} nats" for unit in units]
        self.save(trainer, self._figure(image, decoded, rows, labels, title), "traversals", when)

    @property
    def _wanted(self) -> int:
        return max(self.kl_images, self.image + 1)

    @property
    def _values(self) -> list[float]:
        return torch.linspace(-_EXTENT, _EXTENT, self.columns).tolist()

    def _figure(self, image: Tensor, decoded: Tensor, rows: Tensor, labels: list[str], title: str) -> Figure:
        """The image and its reconstruction at the right of the first row, white below them."""
        beside = torch.ones_like(rows[:, :2])
        beside[0] = torch.cat([image, decoded])
        headings = [*(f"{value:.2g}" for value in self._values), "image", "decoded"]
        return image_strips([(rows, beside)], labels, headings, [title])


def mean_unit_kl(model: LightningModule, x: Tensor, y: Tensor | None = None) -> Tensor:
    """Mean over images of each unit's KL of posterior from prior, (D,) nats, on the CPU.

    Args:
        model: answers `unit_kl(x, y)`.
        x: (N, C, H, W) in [0, 1].
        y: (N,) labels; a conditional model needs them.

    Example:
        >>> class Model(LightningModule):
        ...     def unit_kl(self, x, y=None):
        ...         return x.flatten(1)
        >>> mean_unit_kl(Model(), torch.tensor([[[[0.0, 1.0]]], [[[0.5, 1.0]]]]))
        tensor([0.2500, 1.0000])
    """
    labels = [None] * len(x.split(_CHUNK)) if y is None else y.split(_CHUNK)
    kls = [model.unit_kl(*part).float().cpu() for part in zip(x.split(_CHUNK), labels, strict=True)]  # type: ignore[operator]
    return torch.cat(kls).mean(0)  # (N, D) -> (D,)


def traverse(
    model: LightningModule, x: Tensor, units: Sequence[int], values: Sequence[float], y: Tensor | None = None
) -> Tensor:
    """An image decoded with one unit of its code moved across the prior, (U, T, C, H, W) in [0, 1].

    Args:
        model: answers `encode(x, y)`, `decode(z, y)` and `prior_moments(y)`.
        x: the image, (1, C, H, W) in [0, 1].
        units: U numbers of units, one a row.
        values: T values of the unit, in standard deviations from its mean under the prior.
        y: (1,) the image's label; a conditional model needs it.

    Example:
        >>> class Identity(LightningModule):
        ...     def encode(self, x, y=None):
        ...         return x.flatten(1)
        ...
        ...     def decode(self, z, y=None):
        ...         return z.unflatten(1, (1, 1, 2))
        ...
        ...     def prior_moments(self, y=None):
        ...         return torch.tensor([0.5, 0.5]), torch.tensor([0.1, 0.2])
        >>> traverse(Identity(), torch.ones(1, 1, 1, 2), units=[1], values=[-1, 0, 1])[0, :, 0, 0]
        tensor([[1.0000, 0.3000],
                [1.0000, 0.5000],
                [1.0000, 0.7000]])
    """
    # a conditional model has moments for each label, (1, D)
    mean, std = model.prior_moments(y if is_conditional(model) else None)  # type: ignore[operator]
    code = model.encode(x, y)  # type: ignore[operator]
    t = torch.tensor(values, dtype=code.dtype, device=code.device)
    codes = code.repeat(len(units), len(values), 1)  # (U, T, D)
    for row, unit in enumerate(units):
        codes[row, :, unit] = mean.flatten()[unit] + t * std.flatten()[unit]
    labels = None if y is None else y.expand(len(units) * len(values))
    return model.decode(codes.flatten(0, 1), labels).unflatten(0, (len(units), -1))  # type: ignore[operator]
