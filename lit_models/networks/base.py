"""The shape contract of networks: Encoder and Decoder, and the factories that models take."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from lit_models.functional.factories import unwrap

Made = TypeVar("Made", bound=nn.Module)


class Encoder(nn.Module):
    """Network from images (N, C, H, W), and a condition (N, condition_dim) or None, to vectors (N, out_dim).

    A subclass takes `(image_shape, out_dim, condition_dim)` first and its own settings after them. It writes `features`
    and sets `head`, the last layer; or it writes `forward` alone, where nobody asks for its features.

    The scale of the images is the model's: [0, 1], but [-1, 1] in `LitGAN`.

    Example:
        >>> class Mean(Encoder):
        ...     def __init__(self, image_shape, out_dim, condition_dim=0):
        ...         super().__init__()
        ...         self.head = nn.Linear(image_shape[0], out_dim)
        ...     def features(self, x, condition=None):
        ...         return x.mean((2, 3))
        >>> Mean((3, 8, 8), 5)(torch.rand(2, 3, 8, 8)).shape
        torch.Size([2, 5])
    """

    head: nn.Module

    def features(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """Values of the last hidden layer, (N, F).

        Raises:
            NotImplementedError: the network has none.
        """
        raise NotImplementedError(f"{type(self).__name__} has no features(x, condition), which codes are made of")

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """(N, C, H, W) and (N, condition_dim) to (N, out_dim)."""
        return self.head(self.features(x, condition))


class Decoder(nn.Module):
    """Network from codes (N, in_dim), and a condition (N, condition_dim) or None, to logits (N, C, H, W).

    A subclass takes `(in_dim, image_shape, condition_dim)` first and its own settings after them. What becomes of the
    logits is the model's: sigmoid brings them to [0, 1], tanh to [-1, 1].

    Example:
        >>> class Linear(Decoder):
        ...     def __init__(self, in_dim, image_shape, condition_dim=0):
        ...         super().__init__()
        ...         self.out = nn.Sequential(nn.Linear(in_dim, 64), nn.Unflatten(1, image_shape))
        ...     def forward(self, z, condition=None):
        ...         return self.out(z)
        >>> Linear(5, (1, 8, 8))(torch.rand(2, 5)).shape
        torch.Size([2, 1, 8, 8])
    """

    def forward(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        """(N, in_dim) and (N, condition_dim) to logits (N, C, H, W)."""
        raise NotImplementedError


EncoderCallable = Callable[[Sequence[int], int, int], Encoder]
"""Makes an encoder of `image_shape, out_dim, condition_dim`."""

DecoderCallable = Callable[[int, Sequence[int], int], Decoder]
"""Makes a decoder of `in_dim, image_shape, condition_dim`."""

ActivationCallable = Callable[[], nn.Module]
"""Makes an activation, such as `torch.nn.ReLU`."""

NormCallable = Callable[[int], nn.Module]
"""Makes a normalization of so many channels, such as `torch.nn.BatchNorm2d`."""


def make_encoder(name: str, factory: Any, image_shape: Sequence[int], out_dim: int, condition_dim: int = 0) -> Encoder:
    """Call an encoder's factory and check what it makes.

    Args:
        name: of the argument, for the error.
        factory: an `EncoderCallable`.
        image_shape: (C, H, W).
        out_dim: width of the output.
        condition_dim: width of the condition; 0 for none.

    Raises:
        TypeError: it is no factory of encoders.
        ValueError: the encoder's output has another width.

    Example:
        >>> make_encoder("encoder", nn.Linear, (1, 28, 28), 40)
        Traceback (most recent call last):
        TypeError: encoder must make a lit_models.networks.base.Encoder, got Linear: derive it from Encoder
    """
    network = make_network(name, factory, Encoder, image_shape, out_dim, condition_dim)
    _check_output(name, network, torch.zeros(1, *image_shape), condition_dim, (1, out_dim))
    return network


def make_decoder(name: str, factory: Any, in_dim: int, image_shape: Sequence[int], condition_dim: int = 0) -> Decoder:
    """Call a decoder's factory and check what it makes; see `make_encoder`.

    Example:
        >>> def decoder(in_dim, image_shape, condition_dim):
        ...     return Decoder()
        >>> isinstance(make_decoder("decoder", decoder, 20, (1, 28, 28)), Decoder)
        Traceback (most recent call last):
        NotImplementedError
    """
    network = make_network(name, factory, Decoder, in_dim, image_shape, condition_dim)
    _check_output(name, network, torch.zeros(1, in_dim), condition_dim, (1, *image_shape))
    return network


def make_network(name: str, factory: Any, kind: type[Made], *sizes: Any) -> Made:
    """Call a factory with `sizes` and check that it makes a `kind`.

    Raises:
        TypeError: it is no factory, or makes something else.

    Example:
        >>> make_network("encoder", nn.Linear, Encoder, (1, 28, 28), 40, 0)
        Traceback (most recent call last):
        TypeError: encoder must make a lit_models.networks.base.Encoder, got Linear: derive it from Encoder
    """
    if isinstance(factory, nn.Module) or not callable(factory):
        raise TypeError(
            f"{name} must be a factory, a class or functools.partial(class, ...), that makes a {kind.__name__}, got "
            f"{type(factory).__name__}: a model makes its networks itself, of the sizes that it needs"
        )
    found = unwrap(factory)
    made = None if isinstance(found, type) and not issubclass(found, kind) else factory(*sizes)
    if not isinstance(made, kind):
        got = found if made is None else type(made)
        raise TypeError(
            f"{name} must make a {kind.__module__}.{kind.__name__}, got {got.__name__}: derive it from {kind.__name__}"
        )
    return made


@torch.no_grad()
def _check_output(name: str, network: nn.Module, x: Tensor, condition_dim: int, wanted: tuple[int, ...]) -> None:
    """Raise a ValueError where one input does not give the shape wanted; in eval mode, where nothing is drawn."""
    like = next(network.parameters(), x)
    condition = torch.zeros(1, condition_dim).to(like) if condition_dim else None
    shape = tuple(network.eval()(x.to(like), condition).shape)
    network.train()
    if shape != wanted:
        raise ValueError(f"{name} must give {wanted} for one input, the sizes that it is called with, got {shape}")


class PlaneOfCondition(nn.Module):
    """Joins a condition to an image as one more channel, a linear function of it; without a condition the identity.

    Args:
        image_shape: (C, H, W).
        condition_dim: width of the condition; 0 for none.

    Attributes:
        channels: of its output, C or C + 1.

    Example:
        >>> join = PlaneOfCondition((3, 8, 8), 10)
        >>> join(torch.rand(2, 3, 8, 8), torch.rand(2, 10)).shape
        torch.Size([2, 4, 8, 8])
    """

    def __init__(self, image_shape: Sequence[int], condition_dim: int) -> None:
        super().__init__()
        channels, *self.size = image_shape
        self.channels = channels + (condition_dim > 0)
        self.plane = nn.Linear(condition_dim, self.size[0] * self.size[1]) if condition_dim else None

    def forward(self, x: Tensor, condition: Tensor | None) -> Tensor:
        """(N, C, H, W) and (N, condition_dim) to (N, channels, H, W)."""
        if self.plane is None or condition is None:
            return x
        return torch.cat([x, self.plane(condition).unflatten(1, (1, *self.size))], 1)  # (N, H*W) -> (N, 1, H, W)


def join(x: Tensor, condition: Tensor | None) -> Tensor:
    """Vectors (N, D) with a condition (N, K) beside them, (N, D + K); without one the vectors.

    Example:
        >>> join(torch.zeros(2, 3), torch.ones(2, 1)).shape
        torch.Size([2, 4])
    """
    return x if condition is None else torch.cat([x, condition], dim=1)
