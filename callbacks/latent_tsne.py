"""Codes in the plane, by t-SNE."""

import inspect

import numpy as np
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor

from callbacks.batches import batches, class_names, has_split, join
from callbacks.code_map import code_map, tsne_plane
from callbacks.evaluation_mode import evaluation_mode
from callbacks.picture import PictureCallback
from callbacks.verbs import Encodes
from evaluation.knn_accuracy import knn_accuracy

_CODES = ("mean", "log_variance")
_MANY = 3000
_FEWEST = 3
_NEIGHBOURS = 10


class LatentTSNE(PictureCallback):
    """Codes of the test split, brought to the plane by t-SNE and coloured by class; also in TensorBoard's projector.

    Where there is no test split they are of validation, or else of the train split. Nothing is drawn of fewer than 3
    points, or of codes that are all the same or not finite.

    How far the classes lie apart is a number too, where there are labels: the share of points whose class most of their
    10 nearest neighbours have (see `knn_accuracy`; of 10 points or fewer all others are neighbours). It stands above
    the picture, and is logged as `tsne_mean/knn_accuracy_codes` for the codes and `tsne_mean/knn_accuracy_plane` for
    the plane (`tsne_log_variance/...` for log-variances). t-SNE draws neighbours together, so that the plane's may be
    the higher one; models are compared by that of the codes.

    Args:
        max_points: use the first so many images of the split, at least 3; None for all of it.
        code: "mean" takes what `encode(x, y)` returns; "log_variance" what `encode(x, y, log_variance=True)` does, for
            a model that has it.
        every_n_epochs: see `PictureCallback`; 10,000 points take half a minute.
        seed: t-SNE's random state, at least 0.

    Raises:
        TypeError: the model has no `encode`, or none with log-variances where they were asked for.
        ValueError: an unknown `code`; `max_points` too small for a picture; a negative seed.

    Source: L. van der Maaten, G. Hinton, JMLR 9, 2008, as scikit-learn's `TSNE` with its defaults (perplexity 30).

    Example:
        >>> trainer = Trainer(callbacks=[LatentTSNE(max_points=2000, every_n_epochs=10)], accelerator="cpu")
    """

    verb = Encodes

    def __init__(
        self, max_points: int | None = None, code: str = "mean", every_n_epochs: int = 0, seed: int = 0
    ) -> None:
        super().__init__(every_n_epochs)
        if code not in _CODES:
            raise ValueError(f"code must be one of {list(_CODES)}, got {code!r}")
        if max_points is not None and max_points < _FEWEST:
            raise ValueError(f"max_points must be at least {_FEWEST}, or None for the whole split, got {max_points}")
        if seed < 0:
            raise ValueError(f"seed must be at least 0, got {seed}")
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
        split = next((split for split in ("test", "val") if has_split(trainer, split)), "train")
        codes, images, labels = self._codes(trainer, module, split)
        if codes is None or len(codes) < _FEWEST or not codes.isfinite().all() or codes.eq(codes[0]).all():
            reason = "they are fewer than 3, all the same or not finite"
            rank_zero_info(f"LatentTSNE draws no picture of {when}, of the codes of the {split} split: {reason}")
            return
        kinds = torch.zeros(len(codes), dtype=torch.int64) if labels is None else labels
        names = [""] if labels is None else class_names(trainer, int(kinds.max()) + 1)
        name = f"tsne_{self.code}"
        title = f"t-SNE of codes ({self.code.replace('_', ' ')}), {split} split, {len(codes):,} points"
        if len(codes) >= _MANY:
            rank_zero_info(f"\nLatentTSNE draws {name} of {len(codes):,} codes, which takes half a minute or more")
        plane = tsne_plane(codes, self.seed)
        if labels is not None:
            title += self._log_accuracy(trainer, codes, plane, kinds)
        self.save(trainer, code_map([plane], kinds.numpy(), names, [title]), name, when)
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                metadata = None if labels is None else [names[label] for label in labels]
                logger.experiment.add_embedding(codes, metadata, images, trainer.global_step, name)

    def _log_accuracy(self, trainer: Trainer, codes: Tensor, plane: np.ndarray, labels: Tensor) -> str:
        """Log how well neighbours tell the class, in code space and in the plane; the same in words."""
        in_codes, in_plane = (knn_accuracy(points, labels.numpy(), _NEIGHBOURS) for points in (codes.numpy(), plane))
        prefix = f"tsne_{self.code}/knn_accuracy"
        for logger in trainer.loggers:
            logger.log_metrics({f"{prefix}_codes": in_codes, f"{prefix}_plane": in_plane}, trainer.global_step)
        neighbours = min(_NEIGHBOURS, len(codes) - 1)
        words = f"{neighbours}-nearest-neighbour accuracy {in_codes:.3f} of the codes, {in_plane:.3f} in the plane"
        rank_zero_info(f"LatentTSNE, {self.code}: {words}")
        return f"\n{words}"

    def _codes(
        self, trainer: Trainer, module: LightningModule, split: str
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        """Codes (N, D), images (N, C, H, W) and labels (N,) of a split, on the CPU; None for what is not there."""
        options = {"log_variance": True} if self.code == "log_variance" else {}
        codes, images, labels = [], [], []
        with evaluation_mode(module):
            for x, y in batches(trainer, module, split):
                codes.append(module.encode(x, y, **options).float().cpu())  # type: ignore[operator]
                images.append(x.float().cpu())
                labels.append(None if y is None else y.cpu())
                if self.max_points and sum(map(len, codes)) >= self.max_points:
                    break
        return join(codes, self.max_points), join(images, self.max_points), join(labels, self.max_points)
