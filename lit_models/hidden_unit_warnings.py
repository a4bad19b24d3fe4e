"""Warnings about an RBM's hidden units."""

from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor

_DEAD = 0.005  # mean activation
_SATURATED_SHARE = 0.99
_LONG = 4.0  # standard deviations of the data, root mean square over the pixels


def warn_of_hidden_units(epoch: int, activation: Tensor, saturated_share: float, moved: float) -> None:
    """Warn of dead, always active and saturated units and of exploding weights.

    Args:
        epoch: which the words name.
        activation: (H,) mean activation of each unit over the epoch, in [0, 1].
        saturated_share: share of the hidden probabilities below 0.01 or above 0.99.
        moved: by how much the strongest unit moves its pixels, in standard deviations of the data.

    Example:
        >>> warn_of_hidden_units(0, torch.tensor([0.4, 0.6]), saturated_share=0.1, moved=1.0)  # nothing to say
    """
    dead, always = int((activation < _DEAD).sum()), int((activation > 1 - _DEAD).sum())
    if dead or always:
        rank_zero_warn(
            f"Over epoch {epoch}, {dead} of {len(activation)} units were on for less than 0.5% of the images, "
            f"{always} for more than 99.5%: they tell little. Try a lower learning rate or fewer units."
        )
    if saturated_share > _SATURATED_SHARE:
        rank_zero_warn(
            f"Over epoch {epoch}, {saturated_share:.1%} of the hidden probabilities were below 0.01 or above 0.99: the "
            "units are saturated, and their weights hardly learn any more. Try a lower learning rate, weight_decay "
            "in the optimizer, or a larger sigma."
        )
    if moved > _LONG:
        rank_zero_warn(
            f"The weights explode: at the end of epoch {epoch} a hidden unit moves its pixels by {moved:.1f} "
            "standard deviations of the data. Try a lower learning rate, or weight_decay in the optimizer."
        )
