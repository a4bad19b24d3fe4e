"""Measures trained models and the rows beside them: what a report is made of."""

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import evaluation
from evaluation.baselines import baselines
from evaluation.estimate import Estimate
from evaluation.of_models import measure_codes, measure_likelihood, measure_pixels, measure_reconstructions
from evaluation.of_places import measure_boxes, measure_masks
from evaluation.of_samples import SampleFigures, copy_threshold, draw_samples, measure_samples
from evaluation.reference import Reference
from lit_generative.trained import TrainedRun


@dataclass(frozen=True)
class Sizes:
    """How many examples each measure takes.

    Attributes:
        samples: of a model; the real images and Gaussians beside them are as many.
        chain_samples: of a model that samples by a Markov chain, which takes long.
        neighbours: samples, and real images, for precision, recall, density, coverage and the two-sample test.
        copies: samples that are compared with every training image.
        likelihood: test images.
        draws: codes for each of them, where the likelihood is estimated by draws.
        probe_labels: labelled training images of a probe.
        probe_draws: sets of them.
        seed: of everything that is drawn.

    Example:
        >>> Sizes(samples=1000).neighbours
        2000
    """

    samples: int = 5000
    chain_samples: int = 1000
    neighbours: int = 2000
    copies: int = 1000
    likelihood: int = 1000
    draws: int = 500
    probe_labels: int = 5000
    probe_draws: int = 3
    seed: int = 0


@dataclass
class Measured:
    """What was found out about one model.

    Attributes:
        run: the model and where it comes from.
        figures: estimates by name, see `evaluation.of_samples` and `evaluation.of_models`.
        samples: its samples, (n, C, H, W), and what they were measured to be; None where it does not sample.
        likelihood: how the likelihood was found; {} where there is none.
        left_out: measure and reason.
        seconds: measure and time.

    Example:
        >>> from lightning.pytorch import LightningModule
        >>> Measured(TrainedRun("a", Path("a.ckpt"), 1, {}, LightningModule())).figures
        {}
    """

    run: TrainedRun
    figures: dict[str, Estimate] = field(default_factory=dict)
    samples: tuple[Tensor, SampleFigures] | None = None
    likelihood: dict[str, Any] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)


def measure(run: TrainedRun, reference: Reference, threshold: float, sizes: Sizes) -> Iterator[tuple[str, Measured]]:
    """Measure a model step by step: yields the name of the step that comes, with what is there so far.

    A measure that fails, or that model or data do not answer, is left out with its reason; the others go on.

    Args:
        run: the model.
        reference: the data.
        threshold: see `evaluation.of_samples.copy_threshold`.
        sizes: of everything.

    Example:
        >>> from lightning.pytorch import LightningModule
        >>> run, nothing = TrainedRun("a", Path("a.ckpt"), 1, {}, LightningModule()), torch.zeros(0)
        >>> [step for step, _ in measure(run, Reference(*[nothing] * 4), 0.1, Sizes())]
        ['samples', 'reconstructions', 'codes', 'likelihood', 'done']
    """
    measured, model, seed = Measured(run), run.model, sizes.seed

    def samples() -> None:
        n = sample_size(run, sizes)
        images, asked = draw_samples(model, n, seed, reference.train_labels)
        if reference.classifier is None:
            empty = torch.zeros(0)
            measured.samples = images, SampleFigures({}, [], (empty, empty))
        found = measure_samples(images, reference, threshold, asked, sizes.neighbours, sizes.copies, seed)
        measured.samples = images, found
        measured.figures |= found.figures

    def reconstructions() -> None:
        measured.figures |= measure_reconstructions(model, reference, seed)

    def codes() -> None:
        if not reference.class_names:
            raise ValueError("the data have no classes for a probe to tell apart")
        measured.figures |= measure_codes(model, reference, sizes.probe_draws, sizes.probe_labels, seed)

    def likelihood() -> None:
        measured.figures["log_likelihood"], measured.likelihood = measure_likelihood(
            model, reference, sizes.likelihood, sizes.draws, seed
        )

    def boxes() -> None:
        measured.figures |= measure_boxes(model, reference)

    def masks() -> None:
        measured.figures |= measure_masks(model, reference)

    steps: dict[str, tuple[str, Callable[[], None]]] = {
        "samples": ("sample", samples),
        "reconstructions": ("reconstruct", reconstructions),
        "codes": ("encode", codes),
        "likelihood": ("estimate_likelihood", likelihood),
    }
    # what most models lack and nobody misses is not said to be left out
    for name, verb, of_places in (("boxes", "locate", boxes), ("masks", "segment", masks)):
        if hasattr(model, verb):
            steps[name] = verb, of_places
    for name, (verb, step) in steps.items():
        yield name, measured
        if not hasattr(model, verb):
            measured.left_out[name] = f"{type(model).__name__} has no {verb}"
            continue
        with _timed(measured, name):
            try:
                step()
            except (ValueError, TypeError, RuntimeError) as error:
                measured.left_out[name] = str(error)
    yield "done", measured


def sample_size(run: TrainedRun, sizes: Sizes) -> int:
    """How many samples a model is measured by.

    Example:
        >>> from lit_models import LitRBM
        >>> sample_size(TrainedRun("rbm", Path("a.ckpt"), 1, {}, LitRBM((1, 8, 8))), Sizes())
        1000
    """
    return min(sizes.samples, sizes.chain_samples) if hasattr(run.model, "run_chains") else sizes.samples


@dataclass
class Beside:
    """What models are read beside.

    Attributes:
        sets: figures of images that are no model's, by number of images and by name.
        counts: classes seen among them, in the same order.
        pixels: probe and neighbours on the pixels themselves.
        threshold: distance to the nearest training image that 1% of the test images are below.
        classifier_accuracy: on the test split.
        left_out: set of images, and why it could not be measured.

    Example:
        >>> Beside().sets
        {}
    """

    sets: dict[int, dict[str, dict[str, Estimate]]] = field(default_factory=dict)
    counts: dict[int, dict[str, list[int]]] = field(default_factory=dict)
    pixels: dict[str, Estimate] = field(default_factory=dict)
    threshold: float = 0.0
    classifier_accuracy: float | None = None
    left_out: dict[str, str] = field(default_factory=dict)


def measure_beside(reference: Reference, numbers: list[int], sizes: Sizes, kept: Path) -> Iterator[tuple[str, Beside]]:
    """Measure what models are read beside, or read it from the file `kept`, which is written at the end.

    Args:
        reference: the data.
        numbers: of images in the sets; empty where no model samples.
        sizes: of everything else.
        kept: a JSON file whose name stands for data, classifier and sizes.

    Example:
        >>> import tempfile
        >>> images, nothing = torch.rand(4, 1, 2, 2), torch.zeros(4)
        >>> kept = Path(tempfile.mkdtemp(), "beside.json")
        >>> [step for step, _ in measure_beside(Reference(images, nothing, images, nothing), [2], Sizes(), kept)]
        ['nearest training images', 'done']
    """
    if kept.is_file():
        yield "done", _read(kept)
        return
    beside = Beside()
    if numbers:
        yield "nearest training images", beside
        beside.threshold = copy_threshold(reference)
    if reference.classifier is not None:
        images, labels = reference.draw("test", len(reference.test), seed=0)
        beside.classifier_accuracy = float((reference.classes_of(images) == labels).double().mean())
        for n in numbers:
            beside.sets[n], beside.counts[n] = {}, {}
            for name, (images, data) in baselines(reference, n, sizes.seed).items():
                yield f"{n:,} images: {name}", beside
                try:
                    found = measure_samples(
                        images, data, beside.threshold, None, sizes.neighbours, sizes.copies, sizes.seed
                    )
                except (ValueError, RuntimeError) as error:  # too few images
                    beside.left_out[f"{name} ({n:,})"] = str(error)
                    continue
                beside.sets[n][name], beside.counts[n][name] = found.figures, found.counts
    if reference.class_names:
        yield "probe on pixels", beside
        beside.pixels = measure_pixels(reference, sizes.probe_draws, sizes.probe_labels, sizes.seed)
    _write(beside, kept)
    yield "done", beside


def beside_name(*parts: Any) -> str:
    """File name that stands for what the rows beside models depend on; the code that measures is a part of it.

    Example:
        >>> beside_name("data", "classifier") == beside_name("data", "another")
        False
    """
    files = [Path(__file__), *sorted(Path(evaluation.__file__ or "").parent.glob("*.py"))]
    code = [path.read_text(encoding="utf-8") for path in files]
    text = json.dumps([str(part) for part in parts] + code)
    return f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.json"


def _read(path: Path) -> Beside:
    content = json.loads(path.read_text())
    return Beside(
        {int(n): {name: _estimates(row) for name, row in rows.items()} for n, rows in content["sets"].items()},
        {int(n): rows for n, rows in content["counts"].items()},
        _estimates(content["pixels"]),
        content["threshold"],
        content["classifier_accuracy"],
        content["left_out"],
    )


def _estimates(row: dict[str, list[Any]]) -> dict[str, Estimate]:
    return {name: Estimate(*values) for name, values in row.items()}


def _write(beside: Beside, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{time.time_ns()}")  # a kill half way leaves nothing that looks whole
    part.write_text(json.dumps(vars(beside)))
    part.replace(path)


@contextmanager
def _timed(measured: Measured, name: str) -> Iterator[None]:
    begin = time.perf_counter()
    try:
        yield
    finally:
        measured.seconds[name] = time.perf_counter() - begin
