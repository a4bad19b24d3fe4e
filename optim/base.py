"""What the textbook optimizers that are written out here share: L1 decay, 16-bit weights, errors."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from math import inf
from typing import Any

import torch
from torch import Tensor

from optim.loop import ParameterLoop

# settings of PyTorch's optimizers, which one without them would pass over in silence
_OF_OTHERS = {
    "alpha",
    "amsgrad",
    "betas",
    "centered",
    "dampening",
    "eps",
    "maximize",
    "momentum",
    "nesterov",
    "weight_decay",
}


class L1Optimizer(ParameterLoop):
    """Optimizer with L1 decay, whose subclass writes the update of one tensor of weights.

    L1 decay adds `l1 * sign(weight)` to each gradient: the subgradient of `l1` times the sum of absolute weights. All
    parameters have it, biases and the scales of norms too, as in the coursework that this follows; a parameter group
    with `"l1": 0` is left out. It is a step towards 0, not a shrinkage to it: weights come near 0, and are seldom 0.

    The update of 16-bit weights is computed in float32, and its state is held in float32. What a step changes in such a
    weight below half of its last digit is lost.

    A subclass gives its settings, with `lr` and `l1`, to `__init__` and writes `update`.

    Raises:
        ValueError: a setting out of its range; complex parameters; a state of another optimizer.
        RuntimeError: sparse gradients.

    Example:
        >>> class SignDescent(L1Optimizer):
        ...     def update(self, weights, gradient, state, group):
        ...         weights.sub_(gradient.sign(), alpha=group["lr"])
        >>> weight = torch.nn.Parameter(torch.tensor([1.0, -1.0]))
        >>> weight.grad = torch.zeros(2)
        >>> SignDescent([weight], {"lr": 0.25, "l1": 1e-3}).step()
        >>> weight.tolist()
        [0.75, -0.75]
    """

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add parameters, with settings of their own.

        Args:
            param_group: `params`, and settings.
        """
        _check_settings(self.defaults | param_group)
        for name in sorted(_OF_OTHERS & param_group.keys() - self.defaults.keys()):
            if param_group[name]:  # 0 and False ask for nothing
                raise ValueError(
                    f"{type(self).__name__} has no {name}, got {param_group[name]!r} for a parameter group: leave it "
                    f"out, or use an optimizer that has it; the settings here are {sorted(self.defaults)}"
                )
        super().add_param_group(param_group)
        if any(parameter.is_complex() for parameter in self.param_groups[-1]["params"]):
            self.param_groups.pop()
            raise ValueError(f"params must be real numbers for {type(self).__name__}, got complex ones")

    def step_one(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        """See `ParameterLoop.step_one`; in float32 or wider, with the L1 decay."""
        if gradient.is_sparse:
            raise RuntimeError(f"{type(self).__name__} takes no sparse gradients: make the layer with sparse=False")
        wide = torch.promote_types(parameter.dtype, torch.float32)
        weights, gradient = parameter.to(wide), gradient.to(wide)  # themselves, but for 16 bits
        if group["l1"]:
            gradient = gradient.add(weights.sign(), alpha=group["l1"])
        self.update(weights, gradient, self.state[parameter], group)
        if weights is not parameter:
            parameter.copy_(weights)

    def update(self, weights: Tensor, gradient: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
        """Change `weights` in place.

        Args:
            weights: of one parameter, any shape, in float32 or wider.
            gradient: of the loss and the L1 decay, same shape and type.
            state: of this parameter, kept from step to step; empty in the first one.
            group: settings of this parameter's group.
        """
        raise NotImplementedError

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a state, to the bit.

        Args:
            state_dict: what `state_dict()` of the same optimizer gave.

        Raises:
            ValueError: it is another optimizer's.
        """
        for group in state_dict["param_groups"]:
            if missing := sorted(self.defaults.keys() - group.keys()):
                raise ValueError(
                    f"state_dict must be of {type(self).__module__}.{type(self).__name__}, got one without {missing}: "
                    "go on with the optimizer that wrote it, or begin anew"
                )
        super().load_state_dict(state_dict)
        # torch has cast it to the weights' precision, and taken over the other tensors themselves
        for number, parameter in zip(_members(state_dict["param_groups"]), _members(self.param_groups), strict=True):
            for name, value in state_dict["state"].get(number, {}).items():
                if isinstance(value, Tensor):
                    self.state[parameter][name] = value.to(parameter.device, copy=True)


def _members(groups: list[dict[str, Any]]) -> Iterator[Any]:
    return chain.from_iterable(group["params"] for group in groups)


def _check_settings(settings: Mapping[str, Any]) -> None:
    for name in settings.keys() & {"lr", "l1"}:
        if not _is_number(settings[name]) or not 0 <= settings[name] < inf:
            raise ValueError(f"{name} must be a finite number, at least 0, got {settings[name]!r}")
    if "eps" in settings and not (_is_number(settings["eps"]) and 0 < settings["eps"] < inf):
        raise ValueError(f"eps must be a finite number above 0, got {settings['eps']!r}: 1e-8 is usual")
    shares = {name: settings[name] for name in ("momentum", "alpha") if name in settings}
    shares |= _betas(settings["betas"]) if "betas" in settings else {}
    for name, share in shares.items():
        if not _is_number(share) or not 0 <= share < 1:
            raise ValueError(f"{name} must be in [0, 1), got {share!r}: it is the share of the old in a running mean")


def _betas(betas: Any) -> dict[str, Any]:
    if not isinstance(betas, Sequence) or len(betas) != 2:
        raise ValueError(f"betas must be two numbers, got {betas!r}")
    return {f"betas[{index}]": beta for index, beta in enumerate(betas)}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
