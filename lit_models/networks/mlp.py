"""Fully connected encoder and decoder for images of any size."""

from collections.abc import Sequence
from itertools import pairwise
from math import prod

from torch import Tensor, nn

from lit_models.networks.base import ActivationCallable, Decoder, Encoder, join


class MLPEncoder(Encoder):
    """Fully connected encoder; a condition is joined to the pixels.

    Args:
        image_shape: (C, H, W).
        out_dim: width of the output.
        condition_dim: width of the condition; 0 for none.
        hidden_dims: widths of the hidden layers, from the image on, each at least 1.
        activation: makes what follows each hidden layer.

    Raises:
        ValueError: `hidden_dims` is no list of positive whole numbers.

    Example:
        >>> MLPEncoder((1, 28, 28), 40, hidden_dims=[400])(torch.rand(2, 1, 28, 28)).shape
        torch.Size([2, 40])
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        out_dim: int,
        condition_dim: int = 0,
        hidden_dims: Sequence[int] = (400,),
        activation: ActivationCallable = nn.ReLU,
    ) -> None:
        super().__init__()
        dims = [prod(image_shape) + condition_dim, *check_sizes("hidden_dims", hidden_dims)]
        self.body = mlp(dims, activation)
        self.head = nn.Linear(dims[-1], out_dim)

    def features(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """See `Encoder.features`."""
        return self.body(join(x.flatten(1), condition))  # (N, C, H, W) -> (N, C*H*W) -> (N, F)


class MLPDecoder(Decoder):
    """Fully connected decoder; a condition is joined to the code.

    Args:
        in_dim: width of the code.
        image_shape: (C, H, W).
        condition_dim: width of the condition; 0 for none.
        hidden_dims: widths of the hidden layers, from the code on, each at least 1.
        activation: makes what follows each hidden layer.

    Raises:
        ValueError: `hidden_dims` is no list of positive whole numbers.

    Example:
        >>> MLPDecoder(20, (1, 28, 28), condition_dim=10)(torch.rand(2, 20), torch.rand(2, 10)).shape
        torch.Size([2, 1, 28, 28])
    """

    def __init__(
        self,
        in_dim: int,
        image_shape: Sequence[int],
        condition_dim: int = 0,
        hidden_dims: Sequence[int] = (400,),
        activation: ActivationCallable = nn.ReLU,
    ) -> None:
        super().__init__()
        dims = [in_dim + condition_dim, *check_sizes("hidden_dims", hidden_dims)]
        self.image_shape = tuple(image_shape)
        self.body = mlp(dims, activation)
        self.logits = nn.Linear(dims[-1], prod(image_shape))

    def forward(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        """See `Decoder.forward`."""
        return self.logits(self.body(join(z, condition))).unflatten(1, self.image_shape)  # (N, C*H*W) -> (N, C, H, W)


def mlp(dims: Sequence[int], activation: ActivationCallable = nn.ReLU) -> nn.Sequential:
    """Linear layers between consecutive `dims`, each followed by an activation; nothing for a single one.

    Example:
        >>> mlp([784, 400, 20])(torch.rand(2, 784)).shape
        torch.Size([2, 20])
    """
    layers: list[nn.Module] = []
    for fan_in, fan_out in pairwise(dims):
        layers += [nn.Linear(fan_in, fan_out), activation()]
    return nn.Sequential(*layers)


def check_sizes(name: str, sizes: Sequence[int]) -> list[int]:
    """`sizes` as a list; a ValueError where it is no list of whole numbers of at least 1.

    Example:
        >>> check_sizes("hidden_dims", (400, 20))
        [400, 20]
    """
    if not isinstance(sizes, Sequence) or any(not isinstance(size, int) or size < 1 for size in sizes):
        raise ValueError(f"{name} must be a list of whole numbers, each at least 1, got {sizes!r}")
    return list(sizes)
