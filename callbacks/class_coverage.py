"""Which classes a classifier sees among generated samples."""

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_info
from matplotlib.figure import Figure
from torch import Tensor, nn

from callbacks.batches import class_names
from callbacks.evaluation_mode import evaluation_mode
from callbacks.picture import PictureCallback, new_figure
from callbacks.verbs import Classifies, Samples, is_conditional

_CONFIDENT = 0.9
_CHUNK = 250


class ClassCoverage(PictureCallback):
    """Counts the classes among samples, as a trained classifier sees them: a generator that forgot a class shows here.

    Draws a bar picture and logs `samples/count_<class>`, `samples/missing_classes`, `samples/entropy` (nats of the
    class distribution; ln K if all K come equally often) and `samples/confident` (share of samples whose most probable
    class has more than 0.9). A conditional model is asked for equally many of each class, and
    `samples/class_agreement` is the share of samples that the classifier takes for the class asked.

    Args:
        classifier: a model with `classify(x)`: probabilities (N, K) for images (N, C, H, W) in [0, 1]. In a config
            `class_path: lit_models.load_classifier` with `init_args: {checkpoint: PATH}`.
        n: number of samples, at least 1.
        every_n_epochs: see `PictureCallback`.
        seed: of the samples' noise.

    Raises:
        TypeError: `classifier` has no `classify`.
        ValueError: `n` is below 1.

    Example:
        >>> class Coin(nn.Module):
        ...     def classify(self, x):
        ...         return torch.full((len(x), 2), 0.5)
        >>> trainer = Trainer(callbacks=[ClassCoverage(Coin(), n=100)], accelerator="cpu")
    """

    verb = Samples

    def __init__(self, classifier: nn.Module, n: int = 1000, every_n_epochs: int = 0, seed: int = 1) -> None:
        super().__init__(every_n_epochs)
        if not isinstance(classifier, Classifies):
            raise TypeError(
                f"ClassCoverage needs a classifier with classify(x), which {type(classifier).__name__} does not have: "
                "pass lit_models.load_classifier(checkpoint)"
            )
        if n < 1:
            raise ValueError(f"n must be at least 1, got {n}")
        self.classifier = classifier
        self.n = n
        self.seed = seed

    def draw(self, trainer: Trainer, module: LightningModule, when: str) -> None:
        """See `PictureCallback.draw`."""
        asked = None
        if is_conditional(module):
            asked = torch.arange(self.n, device=module.device) % int(module.num_classes)  # type: ignore[arg-type]
        probabilities = self._classify(module, asked)
        confidence, label = probabilities.max(1)
        names = class_names(trainer, probabilities.shape[1])
        counts = label.bincount(minlength=len(names))
        shares = counts / counts.sum()
        figures = {f"samples/count_{name.replace('/', '-')}": float(c) for name, c in zip(names, counts, strict=True)}
        figures["samples/missing_classes"] = float((counts == 0).sum())
        figures["samples/entropy"] = abs(float(torch.special.xlogy(shares, shares).sum()))
        figures["samples/confident"] = float((confidence > _CONFIDENT).float().mean())
        if asked is not None:
            figures["samples/class_agreement"] = float((label == asked.cpu()).float().mean())
        for logger in trainer.loggers:
            logger.log_metrics(figures, trainer.global_step)
        rank_zero_info(f"{self.n} samples: {_words(figures)}")
        self.save(trainer, _bars(counts, names, figures), "class_coverage", when)

    def _classify(self, module: LightningModule, asked: Tensor | None) -> Tensor:
        """Probabilities, (n, K), of samples drawn in chunks."""
        classifier = self.classifier.to(module.device).eval()
        probabilities = []
        with evaluation_mode(module, self.seed):
            for part in torch.arange(self.n).split(_CHUNK):
                y = None if asked is None else asked[part]
                x = module.sample(len(part), y)  # type: ignore[operator]
                probabilities.append(classifier.classify(x.float()).float().cpu())
        return torch.cat(probabilities)


def _bars(counts: Tensor, names: list[str], figures: dict[str, float]) -> Figure:
    figure = new_figure(6, 3.2)
    axes = figure.add_subplot()
    bars = axes.bar(range(len(names)), counts.tolist(), color="C0")
    axes.bar_label(bars, fontsize=8)
    axes.axhline(float(counts.sum()) / len(names), color="0.6", linewidth=1, linestyle="--")
    axes.set_xticks(range(len(names)), names, rotation=0 if max(map(len, names)) < 3 else 45, fontsize=8)
    axes.set_ylabel("samples")
    axes.set_title(_words(figures), fontsize=9)
    axes.margins(y=0.12)
    return figure


def _words(figures: dict[str, float]) -> str:
    words = f"entropy {figures['samples/entropy']:.3f} nats, {figures['samples/confident']:.1%} confident"
    if "samples/class_agreement" in figures:
        words += f", {figures['samples/class_agreement']:.1%} of the class asked"
    return words
