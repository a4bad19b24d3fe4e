"""How near samples come to held-out images while a model trains, in the features of a classifier."""

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor, nn

from callbacks.batches import batches
from callbacks.evaluation_mode import evaluation_mode
from callbacks.verbs import Classifies, Encodes, Samples, is_conditional, require
from evaluation.distances import frechet_distance
from evaluation.estimate import random_rows
from evaluation.neighbours import neighbourhoods

_CHUNK = 250
_NEIGHBOURS = 5


class SampleQuality(Callback):
    """Logs the Frechet distance of samples from held-out images, and the images' coverage: `val/fd`, `val/coverage`.

    A checkpoint can be picked by them: `--checkpoint.monitor val/fd`, or `val/coverage` with `--checkpoint.mode max`.
    In test they are `test/fd` and `test/coverage`, of the test split. The distance is from all held-out images, the
    coverage of `n` of them. Samples come from the same noise each time, so that epochs can be compared; of a
    conditional model equally many of each class. Both figures depend on `n` and on the classifier: compare none of
    other settings.

    Args:
        classifier: has `encode(x)`, features (N, D), and `classify(x)`. In a config
            `class_path: lit_models.load_classifier` with `init_args: {checkpoint: PATH}`.
        n: samples, at least 50.
        every_n_epochs: measure after every n-th epoch, and after the first; in between the last values stand.
        seed: of the samples' noise.

    Raises:
        TypeError: `classifier` has no `classify` or no `encode`; the model has no `sample`.
        ValueError: `n` is below 50, or `every_n_epochs` below 1.

    Source: see `evaluation.distances.frechet_distance` and `evaluation.neighbours.neighbourhoods`.

    Example:
        >>> from lit_models import LitClassifier
        >>> trainer = Trainer(callbacks=[SampleQuality(LitClassifier((1, 28, 28)), n=500)], accelerator="cpu")
    """

    def __init__(self, classifier: nn.Module, n: int = 2000, every_n_epochs: int = 1, seed: int = 1) -> None:
        if not (isinstance(classifier, Classifies) and isinstance(classifier, Encodes)):
            raise TypeError(
                f"SampleQuality needs a classifier with classify(x) and encode(x), which {type(classifier).__name__} "
                "does not have: pass lit_models.load_classifier(checkpoint)"
            )
        if n < 10 * _NEIGHBOURS:
            raise ValueError(f"n must be at least {10 * _NEIGHBOURS}, got {n}")
        if every_n_epochs < 1:
            raise ValueError(f"every_n_epochs must be at least 1, got {every_n_epochs}")
        self.classifier = classifier
        self.n = n
        self.every_n_epochs = every_n_epochs
        self.seed = seed
        self._real: dict[str, Tensor] = {}  # features of held-out images, by split
        self._last: dict[str, float] = {}

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Refuse what cannot work, before anything is trained."""
        require(pl_module, Samples, self)
        self._real, self._last = {}, {}

    def state_dict(self) -> dict[str, float]:
        """The last figures, which stand in a resumed run until the next are due."""
        return dict(self._last)

    def load_state_dict(self, state_dict: dict[str, float]) -> None:
        """Take them over."""
        self._last = dict(state_dict)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Measure where the epoch is due, and log."""
        if trainer.sanity_checking or trainer.barebones:
            return
        due = trainer.state.fn == "validate" or (trainer.current_epoch + 1) % self.every_n_epochs == 0
        if due or not self._last:
            self._last = self._measure(trainer, pl_module, "val")
        # of all processes the same: each has the same weights and draws the same noise
        pl_module.log_dict({f"val/{name}": value for name, value in self._last.items()}, sync_dist=True)

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Measure and log."""
        found = self._measure(trainer, pl_module, "test")
        pl_module.log_dict({f"test/{name}": value for name, value in found.items()}, sync_dist=True)

    def _measure(self, trainer: Trainer, module: LightningModule, split: str) -> dict[str, float]:
        classifier = self.classifier.to(module.device).eval()
        if split not in self._real:
            parts = [_features(classifier, x) for x, _ in batches(trainer, module, split)]
            self._real[split] = torch.cat(parts) if parts else torch.zeros(0, 0)
            if 0 < len(self._real[split]) < self._real[split].shape[1]:
                rank_zero_warn(
                    f"SampleQuality compares {len(self._real[split])} {split} images by {self._real[split].shape[1]} "
                    "features: with fewer images than features a Frechet distance is mostly bias, and slow; use a "
                    "classifier with fewer features, as LitClassifier has by default"
                )
        real = self._real[split]
        if len(real) <= _NEIGHBOURS:
            return {}
        samples = _features(classifier, self._samples(module))
        some = min(len(samples), len(real))
        few = real[random_rows(len(real), some, seed=0)]  # files may be sorted
        covered = neighbourhoods(samples[random_rows(len(samples), some, seed=0)], few, _NEIGHBOURS).coverage
        return {"fd": frechet_distance(samples, real), "coverage": covered.value}

    def _samples(self, module: LightningModule) -> Tensor:
        asked = None
        if is_conditional(module):
            asked = torch.arange(self.n, device=module.device) % int(module.num_classes)  # type: ignore[arg-type]
        with evaluation_mode(module, self.seed):
            rows = torch.arange(self.n, device=module.device).split(_CHUNK)
            parts = [module.sample(len(part), None if asked is None else asked[part]) for part in rows]  # type: ignore[operator]
        return torch.cat(parts)


def _features(classifier: nn.Module, images: Tensor) -> Tensor:
    with torch.no_grad():
        return torch.cat([classifier.encode(part.float()) for part in images.split(_CHUNK)]).float().cpu()  # type: ignore[operator]
