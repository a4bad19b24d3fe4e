"""Names of classes in checkpoints, since a class is but a number to a model."""

from typing import Any

from lightning.pytorch.utilities import rank_zero_warn

from datamodules.pictures.tables import quoted


class KnownClasses:
    """A data module whose checkpoints hold the names of its classes, and which says where they are others.

    Example:
        >>> class Data(KnownClasses):
        ...     class_names = ("cat", "dog")
        >>> Data().state_dict()
        {'class_names': ['cat', 'dog']}
    """

    class_names: tuple[str, ...] = ()
    data_dir: str

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"class_names": list(self.class_names)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Say so where a checkpoint is of other classes than these."""
        trained = state_dict["class_names"]
        if trained and self.class_names and trained != list(self.class_names):
            rank_zero_warn(
                f"the checkpoint was trained with the classes {quoted(trained)}, {self.data_dir!r} has "
                f"{quoted(self.class_names)}: labels mean other classes to the model; use classes of the same names, "
                "in the same order"
            )
