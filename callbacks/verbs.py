"""What callbacks know of models and of data: these protocols, and nothing else."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from lightning.pytorch import LightningModule
from torch import Tensor


@runtime_checkable
class Samples(Protocol):
    """Makes `n` new images, (n, C, H, W) in [0, 1]; `y`: (n,) labels for a conditional model.

    Example:
        >>> class Model:
        ...     def sample(self, n, y=None):
        ...         return torch.rand(n, 1, 28, 28)
        >>> isinstance(Model(), Samples)
        True
    """

    def sample(self, n: int, y: Tensor | None = None) -> Tensor: ...


@runtime_checkable
class Reconstructs(Protocol):
    """Shows images through the model: (N, C, H, W) in [0, 1] in and out.

    Example:
        >>> class Model:
        ...     def reconstruct(self, x, y=None):
        ...         return x
        >>> isinstance(Model(), Reconstructs)
        True
    """

    def reconstruct(self, x: Tensor, y: Tensor | None = None) -> Tensor: ...


@runtime_checkable
class Encodes(Protocol):
    """Turns images, (N, C, H, W) in [0, 1], into codes, (N, D).

    Example:
        >>> class Model:
        ...     def encode(self, x, y=None):
        ...         return x.flatten(1)
        >>> isinstance(Model(), Encodes)
        True
    """

    def encode(self, x: Tensor, y: Tensor | None = None) -> Tensor: ...


@runtime_checkable
class Decodes(Protocol):
    """Turns codes, (N, D), into images, (N, C, H, W) in [0, 1]; `y`: (N,) labels for a conditional model.

    Example:
        >>> class Model:
        ...     def decode(self, z, y=None):
        ...         return z.sigmoid().unflatten(1, (1, 8, 8))
        >>> isinstance(Model(), Decodes)
        True
    """

    def decode(self, z: Tensor, y: Tensor | None = None) -> Tensor: ...


@runtime_checkable
class Traverses(Protocol):
    """Encodes and decodes, and knows what each unit of the code is under posterior and prior.

    `unit_kl(x, y)` gives, (N, D) in nats, the KL of each unit's posterior from the prior's marginal; `prior_moments(y)`
    mean and standard deviation of each unit under the prior: (D,) each, or (N, D) for labels y (N,) of a conditional
    model.

    Example:
        >>> class Model:
        ...     def encode(self, x, y=None):
        ...         return x.flatten(1)
        ...
        ...     def decode(self, z, y=None):
        ...         return z.unflatten(1, (1, 8, 8))
        ...
        ...     def unit_kl(self, x, y=None):
        ...         return x.flatten(1).square() / 2
        ...
        ...     def prior_moments(self, y=None):
        ...         return torch.zeros(64), torch.ones(64)
        >>> isinstance(Model(), Traverses)
        True
    """

    def encode(self, x: Tensor, y: Tensor | None = None) -> Tensor: ...

    def decode(self, z: Tensor, y: Tensor | None = None) -> Tensor: ...

    def unit_kl(self, x: Tensor, y: Tensor | None = None) -> Tensor: ...

    def prior_moments(self, y: Tensor | None = None) -> tuple[Tensor, Tensor]: ...


@runtime_checkable
class Classifies(Protocol):
    """Gives the probability of each class, (N, K), for images (N, C, H, W) in [0, 1].

    Example:
        >>> class Model:
        ...     def classify(self, x):
        ...         return torch.full((len(x), 2), 0.5)
        >>> isinstance(Model(), Classifies)
        True
    """

    def classify(self, x: Tensor) -> Tensor: ...


@runtime_checkable
class Locates(Protocol):
    """Finds the box, (cx, cy, w, h) as fractions in [0, 1], (N, 4), in images (N, C, H, W) in [0, 1].

    Example:
        >>> class Model:
        ...     def locate(self, x):
        ...         return torch.full((len(x), 4), 0.5)
        >>> isinstance(Model(), Locates)
        True
    """

    def locate(self, x: Tensor) -> Tensor: ...


@runtime_checkable
class Segments(Protocol):
    """Gives the probability of each class for each pixel, (N, K, H, W), of images (N, C, H, W) in [0, 1].

    Example:
        >>> class Model:
        ...     def segment(self, x):
        ...         return torch.full((len(x), 2, *x.shape[2:]), 0.5)
        >>> isinstance(Model(), Segments)
        True
    """

    def segment(self, x: Tensor) -> Tensor: ...


@runtime_checkable
class Confuses(Protocol):
    """Keeps the confusion matrix, (K, K) counts, of the split it was last measured on; None before.

    Example:
        >>> class Model:
        ...     confusion = None
        >>> isinstance(Model(), Confuses)
        True
    """

    confusion: Tensor | None


@runtime_checkable
class HasFilters(Protocol):
    """Says by how much each hidden unit brightens or darkens each pixel, (H, C, H, W).

    Example:
        >>> class Model:
        ...     def filters(self):
        ...         return torch.eye(4).reshape(4, 1, 2, 2)
        >>> isinstance(Model(), HasFilters)
        True
    """

    def filters(self) -> Tensor: ...


@runtime_checkable
class Corrupts(Protocol):
    """Makes noisy images as a denoising model is given them, same shape, which may leave [0, 1]; and cleans them.

    Example:
        >>> class Model:
        ...     def corrupt(self, x):
        ...         return x + 0.1 * torch.randn_like(x)
        ...     def reconstruct(self, x, y=None):
        ...         return x.clamp(0, 1)
        >>> isinstance(Model(), Corrupts)
        True
    """

    def corrupt(self, x: Tensor) -> Tensor: ...

    def reconstruct(self, x: Tensor, y: Tensor | None = None) -> Tensor: ...


@runtime_checkable
class HasDictionary(Protocol):
    """Has a dictionary vector for each code unit, (D, C, H, W): what the unit adds to an image; and encodes.

    Example:
        >>> class Model:
        ...     def dictionary(self):
        ...         return torch.eye(4).reshape(4, 1, 2, 2)
        ...     def encode(self, x, y=None):
        ...         return x.flatten(1)
        >>> isinstance(Model(), HasDictionary)
        True
    """

    def dictionary(self) -> Tensor: ...

    def encode(self, x: Tensor, y: Tensor | None = None) -> Tensor: ...


@runtime_checkable
class HasUntrained(Protocol):
    """Makes the same architecture with random weights.

    Example:
        >>> class Model:
        ...     def untrained(self):
        ...         return Model()
        >>> isinstance(Model(), HasUntrained)
        True
    """

    def untrained(self) -> Any: ...


@runtime_checkable
class RunsChains(Protocol):
    """Runs `n` Markov chains and shows them at T moments, (n, T, C, H, W) in [0, 1].

    Example:
        >>> class Model:
        ...     def run_chains(self, n, at):
        ...         return torch.rand(n, len(at), 1, 28, 28)
        >>> isinstance(Model(), RunsChains)
        True
    """

    def run_chains(self, n: int, at: Sequence[int]) -> Tensor: ...


@runtime_checkable
class SamplesFromNoise(Protocol):
    """Makes samples of noise that is drawn beforehand; a model with something to `settle` is settled before.

    Example:
        >>> class Model:
        ...     def draw_noise(self, n):
        ...         return {"z": torch.randn(n, 16)}
        ...     def sample_from(self, noise, y=None):
        ...         return noise["z"].sigmoid().unflatten(1, (1, 4, 4))
        >>> isinstance(Model(), SamplesFromNoise)
        True
    """

    def draw_noise(self, n: int) -> dict[str, Tensor]: ...

    def sample_from(self, noise: Mapping[str, Tensor], y: Tensor | None = None) -> Tensor: ...


@runtime_checkable
class StepsChains(Protocol):
    """Makes one step of Markov chains of given noise: see `lit_models.LitRBM.gibbs_step`.

    Example:
        >>> class Model:
        ...     def gibbs_step(self, v, uniform, normal):
        ...         return v + normal, v.sigmoid().unflatten(1, (1, 4, 4))
        >>> isinstance(Model(), StepsChains)
        True
    """

    def gibbs_step(self, v: Tensor, uniform: Tensor, normal: Tensor) -> tuple[Tensor, Tensor]: ...


@runtime_checkable
class ReadsBatches(Protocol):
    """Takes images, (N, C, H, W) in [0, 1], and labels, (N,) or None, out of a batch of any form that it knows.

    Example:
        >>> class Model:
        ...     def read_batch(self, batch):
        ...         return batch["image"], batch.get("label")
        >>> isinstance(Model(), ReadsBatches)
        True
    """

    def read_batch(self, batch: Any) -> tuple[Tensor, Tensor | None]: ...


@runtime_checkable
class HasSplits(Protocol):
    """A data module whose splits can be read at any time, by each process for itself or in shares.

    Example:
        >>> from datamodules import DigitsDataModule
        >>> isinstance(DigitsDataModule(), HasSplits)
        True
    """

    def has_split(self, split: str) -> bool: ...

    def loader(self, split: str, shuffle: bool = False, sharded: bool = True) -> Iterable[Any]: ...


_SIGNATURES: dict[Any, str] = {
    Samples: "sample(n, y=None)",
    Reconstructs: "reconstruct(x, y=None)",
    Encodes: "encode(x, y=None)",
    Decodes: "decode(z, y=None)",
    Traverses: "encode(x, y=None), decode(z, y=None), unit_kl(x, y=None) and prior_moments(y=None)",
    Confuses: "a confusion matrix",
    Locates: "locate(x)",
    Segments: "segment(x)",
    HasFilters: "filters()",
    RunsChains: "run_chains(n, at)",
    Corrupts: "corrupt(x) and reconstruct(x, y=None)",
    HasUntrained: "untrained()",
    HasDictionary: "dictionary() and encode(x, y=None)",
}


def require(module: LightningModule, verb: type, callback: object) -> None:
    """Raise a TypeError where `module` does not answer the verb that `callback` needs.

    Example:
        >>> require(LightningModule(), Samples, "a string")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        TypeError: str needs a model with sample(n, y=None), which LightningModule does not have: take this callback...
    """
    if not isinstance(module, verb):
        raise TypeError(
            f"{type(callback).__name__} needs a model with {_SIGNATURES[verb]}, which {type(module).__name__} "
            "does not have: take this callback out of the config, or use a model with that verb"
        )


def is_conditional(module: LightningModule) -> bool:
    """Whether the model's verbs need labels.

    Example:
        >>> is_conditional(LightningModule())
        False
    """
    return bool(getattr(module, "conditional", False))
