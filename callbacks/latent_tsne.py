"""How the codes lie to one another."""

import inspect

import numpy as np
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from matplotlib.figure import Figure
from torch import Tensor

from callbacks.looking import batches, data_of, quiet
from callbacks.picture import PictureCallback, new_figure
from callbacks.verbs import Encodes

_CODES = ("mean", "log_variance")


class LatentTSNE(PictureCallback):
    """Codes of the test split, brought to the plane by t-SNE and coloured by class; also in TensorBoard's projector.

    Args:
        max_points: use the first so many images of the split; None for all of it.
        code: "mean" takes what `encode(x, y)` returns; "log_variance" what `encode(x, y, log_variance=True)` does, for
            a model that has it.
        every_n_epochs: see `PictureCallback`; 10,000 points take half a minute.
        seed: t-SNE's random state.

    Raises:
        TypeError: the model has no `encode`, or none with log-variances where they were asked for.
        ValueError: an unknown `code`; `max_points` too small for a picture.

    Source: L. van der Maaten, G. Hinton, JMLR 9, 2008, as scikit-learn's `TSNE` with its defaults (perplexity 30).
    """

    verb = Encodes

    def __init__(
        self, max_points: int | None = None, code: str = "mean", every_n_epochs: int = 0, seed: int = 0
    ) -> None:
        super().__init__(every_n_epochs)
        if code not in _CODES:
            raise ValueError(f"code must be one of {list(_CODES)}, got {code!r}")
        if max_points is not None and max_points < 2:
            raise ValueError(f"max_points must be at least 2, or None for the whole split, got {max_points}")
        self.max_points = max_points
        self.code = code
        self.seed = seed

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """See `PictureCallback.setup`."""
        super().setup(trainer, pl_module, stage)
        parameters = inspect.signature(pl_module.encode).parameters  # type: ignore[arg-type]
        if self.code == "log_variance" and "log_variance" not in parameters:
            raise TypeError(
                f"LatentTSNE(code='log_variance') needs encode(x, y, log_variance), which {type(pl_module).__name__} "
                "does not have: use code='mean'"
            )

    def draw(self, trainer: Trainer, module: LightningModule, when: str) -> None:
        """See `PictureCallback.draw`."""
        codes, images, labels = self._codes(trainer, module)
        # t-SNE needs a perplexity below the number of points
        perplexity = min(30.0, (len(codes) - 1) / 3)
        # here, since every start of every command would wait for it
        from sklearn.manifold import TSNE

        plane = TSNE(init="pca", perplexity=perplexity, random_state=self.seed).fit_transform(codes.numpy())
        names = data_of(trainer, self).class_names
        name = f"tsne_{self.code}"
        self.save(trainer, _scatter(plane, labels.numpy(), names, f"test split, {len(codes):,} points"), name, when)
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                metadata = [names[label] for label in labels]
                logger.experiment.add_embedding(codes, metadata, images, trainer.global_step, name)

    def _codes(self, trainer: Trainer, module: LightningModule) -> tuple[Tensor, Tensor, Tensor]:
        """Codes (N, D), images (N, C, H, W) and labels (N,) of the test split, on the CPU."""
        options = {"log_variance": True} if self.code == "log_variance" else {}
        parts, count = [], 0
        with quiet(module):
            for x, y in batches(trainer, module, "test", sharded=False):
                parts.append((module.encode(x, y, **options).float().cpu(), x.float().cpu(), y.cpu()))  # type: ignore[operator]
                count += len(x)
                if self.max_points and count >= self.max_points:
                    break
        codes, images, labels = (torch.cat(tensors)[: self.max_points] for tensors in zip(*parts, strict=True))
        return codes, images, labels


def _scatter(plane: np.ndarray, labels: np.ndarray, names: tuple[str, ...], title: str) -> Figure:
    figure = new_figure(7.2, 5.6)
    size = min(20.0, max(3.0, 8_000 / len(plane)))  # few points would be lost as dots, many would hide each other
    axes = figure.add_subplot()
    for label, name in enumerate(names):
        points = plane[labels == label]
        axes.scatter(points[:, 0], points[:, 1], s=size, linewidths=0, color=f"C{label % 10}", label=name)
    axes.set_title(title, fontsize=9)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), markerscale=(50 / size) ** 0.5, fontsize=8, frameon=False)
    return figure
