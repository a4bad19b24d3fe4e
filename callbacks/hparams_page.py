"""Settings and best figure of a run on TensorBoard's HParams page."""

from collections.abc import Mapping
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger

Settings = dict[str, str | int | float]

# The page shows the first five settings in the order of their names, hence the numbers. It takes its columns from one
# of the runs, so all runs have these.
_MODEL, _CODE, _LOSS, _RATE, _SEED = "1 model", "2 code", "3 loss", "4 learning rate", "5 seed"
_SOURCES = {_CODE: ("latent_dim", "hidden_dim", "num_features"), _LOSS: ("likelihood", "loss", "learning")}
# what does not tell runs apart
_LEFT_OUT = ("download", "drop_last")
_PATHS = ("_dir", "_path", "ckpt", "checkpoint")


class HParamsPage(Callback):
    """Writes settings and best figure of a run to TensorBoard's HParams page when a fit ends, also when it fails.

    Args:
        settings: name and value of each column, see `page_settings`; the page sorts them by name. The learning rate
            is added, as the last optimizer (a GAN's generator's) began with it.
        monitor: name of the figure that judges the run, logged by the model. Its best value is the column `best`.

    Example:
        >>> callback = HParamsPage({"1 model": "LitVAE", "5 seed": "0"}, monitor="val/loss")
    """

    def __init__(self, settings: Settings, monitor: str) -> None:
        self.settings = settings
        self.monitor = monitor

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Give the settings to loggers that have no such page."""
        for logger in trainer.loggers:
            if not isinstance(logger, TensorBoardLogger):
                logger.log_hyperparams(dict(self.settings))

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write them."""
        self._write(trainer)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Write them, for an interrupted run as well."""
        self._write(trainer)

    def _write(self, trainer: Trainer) -> None:
        loggers = [logger for logger in trainer.loggers if isinstance(logger, TensorBoardLogger)]
        best = self._best(trainer)
        if trainer.state.fn != "fit" or best is None or not loggers:
            return
        group = trainer.optimizers[-1].param_groups[0]
        rate = float(group.get("initial_lr", group["lr"]))  # schedulers note what they began with
        settings = {**self.settings, _RATE: rate, "judged by": self.monitor}
        for logger in loggers:
            # a tag of its own: under the figure's own name its curve would get a point
            logger.log_hyperparams(settings, {"best": best}, trainer.global_step)

    def _best(self, trainer: Trainer) -> float | None:
        for callback in trainer.checkpoint_callbacks:
            if isinstance(callback, ModelCheckpoint) and callback.monitor == self.monitor:
                score = callback.best_model_score
                return None if score is None else float(score)
        last = trainer.callback_metrics.get(self.monitor)
        return None if last is None else float(last)


def page_settings(config: Mapping[str, Any]) -> Settings:
    """Settings of a run for the HParams page: first what tells runs apart, then the others; no paths.

    Args:
        config: a run's config as nested dicts, with `model`, `data` and `seed_everything`.

    Returns:
        Model, width of the code, loss and seed, numbered, and every other setting of model and data. Booleans and the
        seed are words: the page would show them as 1.0000.

    Example:
        >>> model = {"class_path": "lit_models.LitVAE", "init_args": {"latent_dim": 2, "likelihood": "bernoulli"}}
        >>> page_settings({"model": model, "seed_everything": 0})
        {'1 model': 'LitVAE', '2 code': 2, '3 loss': 'bernoulli', '5 seed': '0', 'data': ''}
    """
    flat = _flatten(config["model"])
    del flat[""]  # the class itself
    sources = {column: [name for name in names if name in flat][:1] for column, names in _SOURCES.items()}
    first = {column: flat.pop(names[0]) if names else "" for column, names in sources.items()}
    others = {f"model.{name}": value for name, value in flat.items()}
    others |= {f"data.{name}": value for name, value in _flatten(config.get("data") or {}).items() if name}
    kept = {name: value for name, value in others.items() if not name.endswith((*_LEFT_OUT, *_PATHS))}
    data = _class_name(config.get("data") or {})
    return {_MODEL: _class_name(config["model"]), **first, _SEED: str(config["seed_everything"]), "data": data, **kept}


def _class_name(config: Mapping[str, Any]) -> str:
    return str(config.get("class_path", "")).rpartition(".")[2]


def _flatten(tree: Mapping[str, Any], prefix: str = "") -> Settings:
    """Nested settings as `optimizer.lr: 0.001`, `encoder: ConvEncoder`; lists become text."""
    flat: Settings = {}
    for key, value in tree.items():
        name = prefix if key in ("init_args", "class_path") else f"{prefix}.{key}".lstrip(".")
        if isinstance(value, Mapping):
            flat |= _flatten(value, name)
        elif isinstance(value, bool):
            flat[name] = str(value).lower()
        elif value is not None:
            flat[name] = value if isinstance(value, int | float) else str(value)
    return flat
