"""Mean squared error of reconstructions over whole splits."""

from lightning.pytorch import Callback, LightningModule, Trainer
from torchmetrics import MeanSquaredError

from callbacks.batches import batches
from callbacks.evaluation_mode import evaluation_mode
from callbacks.picture import check_every_n_epochs
from callbacks.verbs import Reconstructs, require


class ReconstructionMSE(Callback):
    """Mean squared error of `reconstruct` per pixel, in [0, 1] units, over the whole split and all processes.

    Logged as `train/reconstruction_mse` and `val/reconstruction_mse` every n epochs and at the last one, and as
    `test/reconstruction_mse` in `test`. Each process sees its share; torchmetrics adds them up, in float32 whatever the
    precision of the model. Nothing is logged for a split that is not there.

    Args:
        every_n_epochs: epochs between passes; 0 for the last epoch only.

    Raises:
        TypeError: before training starts, where the model has no `reconstruct`.
        ValueError: `every_n_epochs` is negative.

    Example:
        >>> trainer = Trainer(callbacks=[ReconstructionMSE(every_n_epochs=5)], accelerator="cpu")
    """

    def __init__(self, every_n_epochs: int = 1) -> None:
        self.every_n_epochs = check_every_n_epochs(every_n_epochs)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Refuse what cannot work, before anything is trained."""
        require(pl_module, Reconstructs, self)

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
        if trainer.barebones:  # where nothing can be logged
            return
        metric = MeanSquaredError().to(module.device)
        with evaluation_mode(module):
            for x, y in batches(trainer, module, split, sharded=True):
                metric.update(module.reconstruct(x, y).float(), x.float())  # type: ignore[operator]
        if metric.update_called:
            # the mean over processes of what is equal on all of them already
            module.log(f"{split}/reconstruction_mse", metric.compute(), sync_dist=True)
