"""How much of an image the model keeps, as one number."""

from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor
from torchmetrics import MeanSquaredError

from callbacks.looking import batches, data_of, quiet
from callbacks.picture import check_every_n_epochs
from callbacks.verbs import Reconstructs, require


class ReconstructionMSE(Callback):
    """Mean squared error of `reconstruct` per pixel, in [0, 1] units, over the whole split and all processes.

    Logged as `train/reconstruction_mse` and `val/reconstruction_mse` every n epochs and at the last one, and as
    `test/reconstruction_mse` in `test`. Each process sees its share; torchmetrics adds them up.

    Args:
        every_n_epochs: epochs between passes; 0 for the last epoch only.

    Raises:
        TypeError: before training starts, where the model has no `reconstruct` or the data module no splits.
        ValueError: `every_n_epochs` is negative.
    """

    def __init__(self, every_n_epochs: int = 1) -> None:
        self.every_n_epochs = check_every_n_epochs(every_n_epochs)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Refuse what cannot work, before anything is trained."""
        require(pl_module, Reconstructs, self)
        data_of(trainer, self)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the figure of the validation split, before checkpoints look at what was logged."""
        if not trainer.sanity_checking and (trainer.state.fn == "validate" or self._is_due(trainer)):
            self._log(trainer, pl_module, "val")

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the figure of the train split."""
        if self._is_due(trainer):
            self._log(trainer, pl_module, "train")

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the figure of the test split."""
        self._log(trainer, pl_module, "test")

    def _is_due(self, trainer: Trainer) -> bool:
        epoch = trainer.current_epoch + 1
        return epoch == trainer.max_epochs or bool(self.every_n_epochs and epoch % self.every_n_epochs == 0)

    def _log(self, trainer: Trainer, module: LightningModule, split: str) -> None:
        # the mean over processes of what is equal on all of them already
        module.log(f"{split}/reconstruction_mse", self._measure(trainer, module, split), sync_dist=True)

    def _measure(self, trainer: Trainer, module: LightningModule, split: str) -> Tensor:
        metric = MeanSquaredError().to(module.device)
        with quiet(module):
            for x, y in batches(trainer, module, split, sharded=True):
                metric.update(module.reconstruct(x, y), x)  # type: ignore[operator]
        return metric.compute()
