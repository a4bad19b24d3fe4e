"""What one can do with a model, on tensors; it is asked by its verbs alone, so that a user's own model works."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import RLock

import torch
from lightning.pytorch import LightningModule
from torch import Tensor

from callbacks.evaluation_mode import evaluation_mode
from callbacks.verbs import (
    Classifies,
    Decodes,
    Encodes,
    Locates,
    Reconstructs,
    RunsChains,
    Samples,
    Segments,
    Traverses,
    is_conditional,
)
from playground.examples import Examples
from playground.pictures import check_shown

EXTENT = 3.0  # standard deviations
_MEASURED = 500  # images over which units are compared
_CHUNK = 100
_OWN_SAMPLES = 64  # where there are no test images
_LARGEST_SEED = 2**53  # up to which a browser's numbers are exact

_LOCK = RLock()  # torch's random numbers and a model's mode belong to the whole process


@dataclass(frozen=True)
class Unit:
    """One unit of a code and how far it can be moved.

    Attributes:
        number: its column in the code.
        words: what its slider says, with how active it is in brackets.
        least: left end of the slider, in standard deviations from the unit's mean.
        most: right end.

    Example:
        >>> Unit(3, "unit 3 (2.10)", -3.0, 3.0).number
        3
    """

    number: int
    words: str
    least: float
    most: float


class Abilities:
    """What one can do with a model; each result depends on the arguments alone, random numbers on the seed.

    All images are floats, (N, C, H, W) in [0, 1], on the CPU. The model is in eval mode and has no gradients meanwhile.
    `can_sample`, `can_reconstruct`, `can_walk`, `can_run_chains`, `can_classify`, `can_locate`, `can_segment` and
    `units` (none where units cannot be moved) say what it can; `image_shape` is None where it is not known.

    The units are the most active ones. Where the model has `unit_kl` and `prior_moments`, these are those with the
    largest mean KL, and they move in standard deviations of the prior. Otherwise they are those whose codes vary most,
    and move in standard deviations of the codes, no farther than the codes go. Both are measured on the first 500 test
    images, or on 64 samples where there are none.

    Args:
        name: of the model, for messages.
        model: answers at least one verb of `callbacks.verbs`.
        examples: test images; None where there are none.
        most_units: how many units are moved at most.

    Raises:
        ValueError: the model can do nothing of all this, or nobody knows how many classes it is conditional on, or its
            images are neither grey nor colour.

    Example:
        >>> class Noise(LightningModule):
        ...     def sample(self, n, y=None):
        ...         return torch.rand(n, 1, 8, 8)
        >>> noise = Abilities("noise", Noise())
        >>> noise.can_sample, noise.can_reconstruct, noise.image_shape
        (True, False, (1, 8, 8))
        >>> torch.equal(noise.sample(2, seed=1), noise.sample(2, seed=1))
        True
    """

    def __init__(
        self, name: str, model: LightningModule, examples: Examples | None = None, most_units: int = 10
    ) -> None:
        self.name = name
        self.model = model
        self.examples = examples
        self.conditional = is_conditional(model)
        self.num_classes = _num_classes(model, examples)
        if self.conditional and not self.num_classes:
            raise ValueError(
                f"{name} is conditional, and the number of its classes is not known: give the model an attribute "
                "num_classes, or pass examples with labels"
            )
        self.can_sample = isinstance(model, Samples)
        self.image_shape = self._find_shape()
        sees = self.image_shape is not None
        self.can_reconstruct = sees and isinstance(model, Reconstructs)
        self.can_walk = sees and isinstance(model, Encodes) and isinstance(model, Decodes)
        self.can_run_chains = isinstance(model, RunsChains)
        self.can_classify = sees and isinstance(model, Classifies) and self._classifies_images()
        self.can_locate = sees and isinstance(model, Locates)
        self.can_segment = sees and isinstance(model, Segments)
        self.units: list[Unit] = []
        self._moments: dict[int | None, tuple[Tensor, Tensor]] = {}
        if self.can_walk:
            self._find_units(most_units)
        if not (self.can_sample or self.can_run_chains or self.sees_pictures):
            raise ValueError(
                f"{name}, a {type(model).__name__}, has nothing that this page can show: it needs one of sample(n), "
                "reconstruct(x), encode(x) and decode(z), run_chains(n, at), or classify(x), locate(x) or segment(x) "
                "of images"
            )
        if self.image_shape is not None:
            check_shown(self.image_shape)

    @property
    def sees_pictures(self) -> bool:
        """Whether a picture can be shown to the model."""
        asked = (self.can_reconstruct, self.can_walk, self.can_classify, self.can_locate, self.can_segment)
        return any(asked)

    @property
    def class_names(self) -> list[str]:
        """Of each class; the numbers where there are no names."""
        return self._names(self.num_classes)

    @property
    def activity(self) -> str:
        """What the units are compared by."""
        return "the codes' standard deviation" if None in self._moments else "the KL from the prior, in nats"

    def sample(self, n: int, seed: int, label: int | None = None) -> Tensor:
        """New images, (n, C, H, W).

        Args:
            n: how many.
            seed: the same one gives the same images.
            label: their class, for a conditional model; None gives each class in turn.

        Raises:
            ValueError: the seed or the class is out of its range.
        """
        y = None
        if self.conditional:
            y = torch.arange(n) % self.num_classes if label is None else self._labels(label, n)
        with _alone(self.model, _checked_seed(seed)):
            return self._images(self.model.sample(n, y))  # type: ignore[operator]

    def reconstruct(self, x: Tensor, label: int | None = None) -> tuple[Tensor, float]:
        """A picture (1, C, H, W) seen through the model, and its error: mean squared, per pixel.

        Raises:
            ValueError: a class that the model, which is conditional, does not have.
        """
        with _alone(self.model):
            seen = self._images(self.model.reconstruct(x, self._labels(label)))  # type: ignore[operator]
        return seen, float((seen - x).square().mean())

    def classify(self, x: Tensor) -> dict[str, float]:
        """The probability of each class, by its name, for a picture (1, C, H, W)."""
        with _alone(self.model):
            shares = self.model.classify(x)[0].tolist()  # type: ignore[operator]
        return dict(zip(self._names(len(shares)), shares, strict=True))

    def locate(self, x: Tensor) -> list[float]:
        """The box in a picture (1, C, H, W): (cx, cy, w, h) as fractions of its width and height.

        Raises:
            ValueError: the model answers with something else than finite numbers.
        """
        with _alone(self.model):
            return _finite(self.model.locate(x)[0], "box").tolist()  # type: ignore[operator]

    def segment(self, x: Tensor) -> tuple[Tensor, list[str]]:
        """The most probable class of each pixel of a picture (1, C, H, W), as (H, W), and the names of all classes.

        Raises:
            ValueError: the model answers with something else than finite numbers.
        """
        with _alone(self.model):
            shares = _finite(self.model.segment(x)[0], "mask").cpu()  # type: ignore[operator]  # (K, H, W)
        return shares.argmax(0), self._names(len(shares))

    def positions(self, x: Tensor, label: int | None = None) -> list[float]:
        """Where a picture's code lies on each of `units`: standard deviations, two digits, within the slider's ends."""
        with _alone(self.model):
            return self._positions(self._encode(x, label), label)

    def move(self, x: Tensor, positions: Sequence[float], label: int | None = None) -> Tensor:
        """A picture decoded with some of its units moved, (1, C, H, W).

        Args:
            x: the picture, (1, C, H, W).
            positions: one for each of `units`. A unit whose position is the picture's own keeps its exact value.
            label: the class, for a conditional model.
        """
        with _alone(self.model):
            code = self._encode(x, label)
            mean, std = self._scale(label)
            own = self._positions(code, label)
            for unit, position, before in zip(self.units, positions, own, strict=True):
                if position != before:
                    code[0, unit.number] = mean[unit.number] + float(position) * std[unit.number]
            return self._images(self.model.decode(code, self._labels(label)))  # type: ignore[operator]

    def walk(self, first: Tensor, last: Tensor, steps: int, label: int | None = None) -> Tensor:
        """Images decoded on the straight line between two pictures' codes, (steps, C, H, W).

        Args:
            first: (1, C, H, W).
            last: (1, C, H, W).
            steps: how many images; the reconstructions at both ends are among them.
            label: the class all along the way, for a conditional model.
        """
        with _alone(self.model):
            codes = torch.cat([self._encode(first, label), self._encode(last, label)])  # (2, D)
            share = torch.linspace(0, 1, steps).unsqueeze(1)
            y = None if not self.conditional else self._labels(label, steps)
            return self._images(self.model.decode(torch.lerp(codes[:1], codes[1:], share), y))  # type: ignore[operator]

    def run_chains(self, n: int, steps: int, last: int, seed: int) -> Tensor:
        """The last T steps of Markov chains from noise, (n, T, C, H, W); T is `last`, or `steps` where these are fewer.

        Every step is asked for, so that a chain of one step more goes on where this one ends: a model that is asked for
        some may draw fewer numbers in between.

        Args:
            n: number of chains.
            steps: how far they go, at least 1.
            last: how many steps are returned.
            seed: the same one gives the same chains.
        """
        with _alone(self.model, _checked_seed(seed)):
            return self._images(self.model.run_chains(n, range(1, steps + 1))[:, -last:])  # type: ignore[operator]

    # -- what is found out once ---------------------------------------------------------------------------------------

    def _find_shape(self) -> tuple[int, ...] | None:
        """From the model, the examples, or a sample."""
        shape = getattr(self.model, "image_shape", None)
        if shape is not None:
            return tuple(shape)
        if self.examples is not None:
            return tuple(self.examples.images.shape[1:])
        return tuple(self.sample(1, seed=0).shape[1:]) if self.can_sample else None

    def _classifies_images(self) -> bool:
        """Whether `classify` answers for an image: a regression does not, nor a probe, which sees codes."""
        assert self.image_shape is not None
        try:
            with _alone(self.model):
                self.model.classify(torch.zeros(1, *self.image_shape))  # type: ignore[operator]
        except (TypeError, ValueError, RuntimeError):
            return False
        return True

    def _find_units(self, most: int) -> None:
        """Set `units` and, where the model has no prior, the moments of its codes."""
        x, y = self._measured()
        if x is None:
            return
        parts = zip(x.split(_CHUNK), [None] * len(x) if y is None else y.split(_CHUNK), strict=False)
        with _alone(self.model):
            if isinstance(self.model, Traverses):
                activity = torch.cat([self.model.unit_kl(*part).float().cpu() for part in parts]).mean(0)  # (D,)
                least, most_of = torch.full_like(activity, -EXTENT), torch.full_like(activity, EXTENT)
            else:
                codes = torch.cat([self.model.encode(*part).float().cpu() for part in parts])  # type: ignore[operator]
                mean, activity = codes.mean(0), codes.std(0, correction=0)
                self._moments[None] = mean, activity
                std = activity.clamp(min=1e-12)
                least = ((codes.amin(0) - mean) / std).clamp(-EXTENT, 0)
                most_of = ((codes.amax(0) - mean) / std).clamp(0, EXTENT)
        for number in activity.argsort(descending=True, stable=True)[:most].tolist():
            low, high = (round(float(end[number]), 2) for end in (least, most_of))
            if low < high:  # not a unit whose code is the same for all images
                self.units.append(Unit(number, f"unit {number} ({activity[number]:.2f})", low, high))

    def _measured(self) -> tuple[Tensor | None, Tensor | None]:
        """Images to compare units on, and their labels for a conditional model."""
        examples = self.examples
        fits = examples is not None and tuple(examples.images.shape[1:]) == self.image_shape
        if examples is not None and fits and not (self.conditional and examples.labels is None):
            return examples.first(_MEASURED), examples.labels[:_MEASURED] if self.conditional else None  # type: ignore[index]
        if not self.can_sample:
            return None, None
        y = torch.arange(_OWN_SAMPLES) % self.num_classes if self.conditional else None
        return self.sample(_OWN_SAMPLES, seed=0), y

    # -- codes and labels ---------------------------------------------------------------------------------------------

    def _encode(self, x: Tensor, label: int | None) -> Tensor:
        return self.model.encode(x, self._labels(label)).float().clone()  # type: ignore[operator]

    def _positions(self, code: Tensor, label: int | None) -> list[float]:
        mean, std = self._scale(label)
        t = ((code[0] - mean) / std.clamp(min=1e-12)).tolist()
        return [min(unit.most, max(unit.least, round(t[unit.number], 2))) for unit in self.units]

    def _scale(self, label: int | None) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of each unit, (D,) each: the prior's, else the codes'."""
        if None in self._moments:
            return self._moments[None]
        # a conditional model may have moments for each label, (1, D)
        mean, std = self.model.prior_moments(self._labels(label))  # type: ignore[operator]
        return mean.flatten(), std.flatten()

    def _names(self, number: int) -> list[str]:
        """Of so many classes."""
        names = self.examples.class_names if self.examples is not None else ()
        return list(names) if len(names) == number else [str(label) for label in range(number)]

    def _labels(self, label: int | None, n: int = 1) -> Tensor | None:
        """(n,) of one class for a conditional model, else None."""
        if not self.conditional:
            return None
        if label is None or not 0 <= label < self.num_classes:
            raise ValueError(f"{self.name} is conditional: choose a class of 0..{self.num_classes - 1}, got {label}")
        return torch.full((n,), label)

    def _images(self, images: Tensor) -> Tensor:
        return images.detach().float().cpu()


@contextmanager
def _alone(model: LightningModule, seed: int = 0) -> Iterator[None]:
    """The model's evaluation mode, one thread at a time."""
    with _LOCK, evaluation_mode(model, seed):
        yield


def _finite(found: Tensor, what: str) -> Tensor:
    if not found.isfinite().all():
        raise ValueError(
            f"the model's {what} holds values that are not finite numbers: its training may have diverged, take an "
            "earlier checkpoint"
        )
    return found


def _num_classes(model: LightningModule, examples: Examples | None) -> int:
    known = int(getattr(model, "num_classes", 0) or 0)
    if known or examples is None:
        return known
    return len(examples.class_names) or (0 if examples.labels is None else int(examples.labels.max()) + 1)


def _checked_seed(seed: int | float | None) -> int:
    if seed is None or seed != int(seed) or not 0 <= seed <= _LARGEST_SEED:
        raise ValueError(f"seed must be a whole number from 0 to {_LARGEST_SEED:,}, got {seed}: type one such as 0")
    return int(seed)
