"""Pictures in the dashboards of loggers."""

from pathlib import Path
from typing import Any

import numpy as np
from lightning.pytorch.loggers import Logger, TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_warn
from PIL import Image


def log_picture(logger: Logger, name: str, path: Path, step: int) -> None:
    """Show a picture in a logger's dashboard: TensorBoard, W&B, MLflow, Comet, LitLogger; others are left alone.

    A logger that fails does not end the run: this warns, and says where the picture is.

    Args:
        logger: any logger.
        name: of the picture in the dashboard, such as "pictures/samples".
        path: of the picture, a PNG.
        step: of the run.

    Example:
        >>> class Dashboard(Logger):
        ...     name, version, log_metrics, log_hyperparams = "mine", 0, None, None
        ...
        ...     def log_image(self, key, images, step):
        ...         print(key, images, step)
        >>> log_picture(Dashboard(), "pictures/samples", Path("samples.png"), 7)
        pictures/samples ['samples.png'] 7
    """
    try:
        if isinstance(logger, TensorBoardLogger):
            # the pixels of the file: to draw the figure again would take as long as to draw it
            with Image.open(path) as image:
                logger.experiment.add_image(name, np.asarray(image.convert("RGB")), step, dataformats="HWC")
        elif callable(getattr(logger, "log_image", None)):  # WandbLogger.log_image(key, images, step)
            logger.log_image(key=name, images=[str(path)], step=step)  # type: ignore[attr-defined]
        else:
            _log_by_class(logger, name, path, step)
    except Exception as error:
        rank_zero_warn(f"{type(logger).__name__} did not take {name}, which is in {path}: {error}")


def _log_by_class(logger: Any, name: str, path: Path, step: int) -> None:
    """The loggers are known by their names, since importing them would need their packages."""
    names = {cls.__name__ for cls in type(logger).__mro__}
    if "MLFlowLogger" in names:  # MlflowClient.log_artifact(run_id, local_path, artifact_path)
        logger.experiment.log_artifact(logger.run_id, str(path), "pictures")
    elif "CometLogger" in names:  # Experiment.log_image(image_data, name, ..., step)
        logger.experiment.log_image(str(path), name=name, step=step)
    elif "LitLogger" in names:
        logger.log_file(str(path))
