"""Turns measured models into the sections of a report's page, and draws their pictures."""

import io
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from matplotlib.figure import Figure
from torch import Tensor

from callbacks.box_grid import box_grid
from callbacks.code_map import code_map, tsne_plane
from callbacks.evaluation_mode import evaluation_mode
from callbacks.image_grid import image_grid
from callbacks.image_pairs import image_pairs
from callbacks.interpolation import interpolate
from callbacks.interpolation_strips import interpolation_strips
from callbacks.mask_grid import mask_grid
from callbacks.picture import write_png
from evaluation import words
from evaluation.estimate import Estimate
from evaluation.page import Column, Picture, Section, Table
from evaluation.reference import Reference, in_parts
from lit_generative.comparison import Findings
from lit_generative.judge import doubt
from lit_generative.measuring import Beside, Measured
from lit_generative.report_data import parameter_count, settings, versions

_GRID = 20  # images of a model in a row
_PLACES = 16  # images with boxes or masks
_POINTS = 1000  # of a map of codes
_STRIPS, _STEPS = 4, 7

_OVERVIEW = [Column("class", "Model"), Column("parameters", "Parameters"), Column("epochs", "Epochs")]
_DISTANCES = [
    Column("n", "N"),
    Column("fd", "Fréchet distance ↓"),
    Column("fd_infinity", "for N → ∞ ↓"),
    Column("kd", "1000 x kernel distance ↓", 1),
    Column("total_variation", "Class shares, difference ↓", 3),
    Column("class_agreement", "Of the class asked ↑", 1, True),
    Column("copies", "Near to a training image", 1, True),
]
_NEIGHBOURS = [
    Column("n_neighbours", "N"),
    Column("precision", "Precision ↑", 1, True),
    Column("recall", "Recall ↑", 1, True),
    Column("density", "Density → 1", 3),
    Column("coverage", "Coverage ↑", 1, True),
    Column("nn_samples", "1-NN accuracy, samples → 50%", 1, True),
    Column("nn_real", "real → 50%", 1, True),
]
_RECONSTRUCTIONS = [
    Column("mse", "MSE per pixel ↓", 5),
    Column("pca_mse", "MSE of PCA, as many numbers", 5),
    Column("reconstruction_fd", "Fréchet distance"),
]
_CODES = [
    Column("probe", "Linear probe ↑", 1, True),
    Column("probe_untrained", "Probe, untrained network", 1, True),
    Column("knn", "10 nearest neighbours ↑", 1, True),
    Column("active_units", "Active units", 0),
]
_BOXES = [
    Column("iou", "Mean IoU ↑", 3),
    Column("iou_of_mean", "Mean IoU of the mean training box", 3),
    Column("found", "IoU of 0.5 or more ↑", 1, True),
]
_MASKS = [
    Column("mask_iou", "Mean IoU of the classes ↑", 3),
    Column("mask_iou_of_commonest", "Mean IoU of the commonest class everywhere", 3),
    Column("pixel_accuracy", "Pixels right ↑", 1, True),
    Column("pixel_accuracy_of_commonest", "Pixels right, the commonest class everywhere", 1, True),
]
_MOST_CLASSES = 20  # of masks, in a table
_LIKELIHOOD = [
    Column("log_likelihood", "Log-likelihood, nats per image ↑"),
    Column("method", "How"),
    Column("draws", "Draws"),
    Column("effective_sample_size", "Effective sample size"),
    Column("gain", "Gain of the last doubling, nats", 3),
]


def sections(findings: Findings) -> list[Section]:
    """The page's parts; of samples, reconstructions, codes and likelihoods those that some model has.

    Example:
        >>> from lit_generative.measuring import Sizes
        >>> data = {"class_path": "a.B", "train": 2, "test": 1, "sha256": ""}
        >>> [section.title for section in sections(Findings(Sizes(), data, {}, Reference(*[Tensor()] * 4)))]
        ['What is compared', 'How it was measured']
    """
    makers = (_samples, _reconstructions, _codes, _likelihoods, _boxes, _masks)
    given = findings.measured, findings.beside, findings.reference, findings.sizes.seed
    found = [section for make in makers if (section := make(*given)) is not None]
    return [_overview(findings), *found, _provenance(findings)]


def _samples(measured: Sequence[Measured], beside: Beside, reference: Reference, seed: int) -> Section | None:
    makers = [one for one in measured if one.samples is not None]
    if not makers:
        return None
    numbers = len(beside.sets) > 1
    rows = [
        (f"{name}{f' ({n:,})' if numbers else ''}", True, _shown(figures))
        for n, sets in beside.sets.items()
        for name, figures in sets.items()
    ]
    rows += [(one.run.name, False, _shown(one.figures)) for one in makers]
    names = reference.class_names
    counts = [Column(str(label), name, 0) for label, name in enumerate(names)]
    counted = [(one.run.name, False, _counts(one.samples[1].counts)) for one in makers if one.samples]
    real, _ = reference.draw("test", min(_GRID, len(reference.test)), seed)
    grids = [("real", real), *((one.run.name, one.samples[0][:_GRID]) for one in makers if one.samples)]
    pictures = [_picture(image_grid([x for _, x in grids], [name for name, _ in grids]), "Samples, a row a model.")]
    for one in makers:
        if one.samples and len(one.samples[1].nearest[0]):
            figure = image_grid(list(one.samples[1].nearest), ["sample", "nearest"])
            pictures.append(_picture(figure, f"{one.run.name}: samples nearest to a training image, and that image."))
    tables = [
        Table(_DISTANCES, rows),
        Table(_NEIGHBOURS, rows),
        Table(counts, counted, "Samples by the class that the classifier sees:"),
    ]
    return Section("Samples", words.SAMPLES, tables, pictures)


def _reconstructions(measured: Sequence[Measured], beside: Beside, reference: Reference, seed: int) -> Section | None:
    makers = [one for one in measured if "mse" in one.figures]
    if not makers:
        return None
    x, y = reference.draw("test", min(_GRID, len(reference.test)), seed)
    grids = [("original", x)]
    for one in makers:
        with evaluation_mode(one.run.model):
            grids.append((one.run.name, in_parts(one.run.model.reconstruct, x, y)))  # type: ignore[arg-type]
    figure = image_grid([images for _, images in grids], [name for name, _ in grids])
    rows = [(one.run.name, False, one.figures) for one in makers]
    picture = _picture(figure, "Test images, and each model's reconstructions of them.")
    return Section("Reconstructions", words.RECONSTRUCTIONS, [Table(_RECONSTRUCTIONS, rows)], [picture])


def _codes(measured: Sequence[Measured], beside: Beside, reference: Reference, seed: int) -> Section | None:
    makers = [one for one in measured if "probe" in one.figures]
    if not makers:
        return None
    rows: list[Any] = [("pixels", True, beside.pixels)] if beside.pixels else []
    rows += [(one.run.name, False, one.figures) for one in makers]
    x, y = reference.draw("test", min(_POINTS, len(reference.test)), seed)
    planes = [tsne_plane(in_parts(one.run.model.encode, x, y), seed) for one in makers]  # type: ignore[arg-type]
    names = [one.run.name for one in makers]
    pictures = [
        _picture(
            code_map(planes[begin : begin + 2], y.numpy(), reference.class_names, names[begin : begin + 2]),
            f"Codes of {len(x):,} test images in the plane, by t-SNE: {', '.join(names[begin : begin + 2])}.",
        )
        for begin in range(0, len(planes), 2)
    ]
    walkers = [one for one in makers if hasattr(one.run.model, "decode")]
    if walkers:
        pictures.append(_walks(walkers, x, y, reference.class_names, seed))
    return Section("Codes", words.CODES, [Table(_CODES, rows)], pictures)


def _walks(walkers: Sequence[Measured], x: Tensor, y: Tensor, class_names: Sequence[str], seed: int) -> Picture:
    """Strips between pairs of one class, which a conditional model can walk too; the same pairs for all models."""
    start, end = image_pairs(y, _STRIPS, same_class=True, seed=seed).unbind(1)
    walks = []
    for one in walkers:
        with evaluation_mode(one.run.model):
            walks.append(interpolate(one.run.model, x[start], x[end], _STEPS, y[start]).float())
    labels = [class_names[label] for label in y[start].tolist()]
    figure = interpolation_strips(x[start], walks, x[end], labels, [one.run.name for one in walkers])
    return _picture(figure, f"Walks between two test images: {', '.join(one.run.name for one in walkers)}.")


def _likelihoods(measured: Sequence[Measured], beside: Beside, reference: Reference, seed: int) -> Section | None:
    makers = [one for one in measured if one.likelihood]
    if not makers:
        return None
    tables = []
    for unit in ("density", "Bernoulli"):
        heading = f"Log-likelihood, {unit} nats per image ↑"
        columns = [_LIKELIHOOD[0]._replace(heading=heading), *_LIKELIHOOD[1:]]
        of_unit = [one for one in makers if one.likelihood["unit"] == unit]
        rows = [(one.run.name, False, _how(one)) for one in of_unit]
        tables += [Table(columns, rows)] * bool(rows)
    return Section("Likelihood", words.LIKELIHOOD, tables)


def _boxes(measured: Sequence[Measured], beside: Beside, reference: Reference, seed: int) -> Section | None:
    makers = [one for one in measured if "iou" in one.figures]
    if not makers:
        return None
    x, y = reference.draw("test", min(_PLACES, len(reference.test)), seed)
    pictures = []
    for one in makers:
        with evaluation_mode(one.run.model):
            found = in_parts(one.run.model.locate, x)  # type: ignore[arg-type]
        caption = f"{one.run.name}: test images with the true box and the predicted one."
        pictures.append(_picture(box_grid(x, y, found, _PLACES // 2), caption))
    rows = [(one.run.name, False, one.figures) for one in makers]
    return Section("Boxes", words.BOXES, [Table(_BOXES, rows)], pictures)


def _masks(measured: Sequence[Measured], beside: Beside, reference: Reference, seed: int) -> Section | None:
    makers = [one for one in measured if "mask_iou" in one.figures]
    if not makers:
        return None
    x, y = reference.draw("test", min(_PLACES, len(reference.test)), seed)
    pictures = []
    for one in makers:
        with evaluation_mode(one.run.model):
            found = in_parts(one.run.model.segment, x)  # type: ignore[arg-type]
        names = list(reference.pixel_classes) or [str(label) for label in range(found.shape[1])]
        caption = f"{one.run.name}: test images, their masks, and the predicted ones."
        figure = mask_grid(x, y, found.argmax(1), names, _PLACES // 2, colors=reference.class_colors)
        pictures.append(_picture(figure, caption))
    rows = [(one.run.name, False, one.figures) for one in makers]
    named = dict(enumerate(reference.pixel_classes))
    columns = [
        Column(f"mask_iou_{label}", f"IoU of {named.get(label, label)} ↑", 3)
        for label in range(255)  # as a mask's pixels can tell apart
        if any(f"mask_iou_{label}" in one.figures for one in makers)
    ]
    return Section("Masks", words.MASKS, [Table(_MASKS, rows), Table(columns[:_MOST_CLASSES], rows)], pictures)


def _how(one: Measured) -> dict[str, Any]:
    shown: dict[str, Any] = {"log_likelihood": one.figures["log_likelihood"], "method": one.likelihood["method"]}
    if one.likelihood["draws"] is not None:
        shown["draws"] = f"{one.likelihood['draws']:,}"
        shown["effective_sample_size"] = f"{one.likelihood['effective_sample_size']:.1f}"
    if one.likelihood["gain"] is not None:
        shown["gain"] = f"{one.likelihood['gain']:.3f}"
    return shown


def _shown(figures: dict[str, Estimate]) -> dict[str, Any]:
    """As the table shows them: the kernel distance in thousandths."""
    shown: dict[str, Any] = dict(figures)
    if "kd" in figures:
        value, error, n = figures["kd"]
        shown["kd"] = Estimate(1000 * value, None if error is None else 1000 * error, n)
        shown["n"] = f"{figures['fd'].n:,}"
        shown["n_neighbours"] = f"{figures['precision'].n:,}"
    return shown


def _counts(counts: Sequence[int]) -> dict[str, Any]:
    return {str(label): f"{count:,}" for label, count in enumerate(counts)}


def _picture(figure: Figure, caption: str) -> Picture:
    content = io.BytesIO()
    write_png(figure, content)
    return Picture(content.getvalue(), caption)


def _overview(findings: Findings) -> Section:
    data, classifier = findings.data, findings.classifier
    lines = [
        f"{data['class_path'].rpartition('.')[2]}: {data['train']:,} training images, {data['test']:,} test images."
    ]
    if classifier:
        lines.append(
            f"The classifier that looks at samples is right for {classifier['test_accuracy']:.2%} of the test images."
        )
        if doubted := doubt(classifier["test_accuracy"], tuple(findings.reference.test.shape[1:])):
            lines.append(f"Warning: {doubted}.")
    rows = [
        (
            one.run.name,
            False,
            {
                "class": type(one.run.model).__name__,
                "parameters": f"{parameter_count(one):,}",
                "epochs": str(one.run.epochs),
            },
        )
        for one in findings.measured
    ]
    differing = _differing_settings(findings.measured)
    for (_, _, shown), one in zip(rows, findings.measured, strict=True):
        shown |= {name: str(settings(one)[name]) for name in differing if name in settings(one)}
    lines += [f"Left out: {path}: {reason}" for path, reason in findings.failed.items()]
    columns = [*_OVERVIEW, *(Column(name, name) for name in differing)]
    return Section("What is compared", lines, [Table(columns, rows)] if rows else [])


def _differing_settings(measured: Sequence[Measured]) -> list[str]:
    """Names of plain arguments in which two models differ."""
    names = dict.fromkeys(name for one in measured for name in settings(one))
    values = {name: {settings(one)[name] for one in measured if _is_plain(settings(one).get(name))} for name in names}
    return [name for name, seen in values.items() if len(seen) > 1]


def _is_plain(value: Any) -> bool:
    return isinstance(value, bool | int | float | str)


def _provenance(findings: Findings) -> Section:
    lines = [f"Data: SHA-256 of the test split {findings.data['sha256']}."]
    if findings.classifier:
        lines.append(f"Classifier: {findings.classifier['checkpoint']}, SHA-256 {findings.classifier['sha256']}.")
    for one in findings.measured:
        times = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in one.seconds.items())
        lines.append(f"{one.run.name}: {one.run.checkpoint}, SHA-256 {one.run.sha256}. Time: {times}.")
        lines += [f"{one.run.name}, left out: {name} ({reason})." for name, reason in one.left_out.items()]
    lines += [f"Left out: {name}: {reason}" for name, reason in findings.beside.left_out.items()]
    lines.append("Sizes: " + ", ".join(f"{name} {value:,}" for name, value in asdict(findings.sizes).items()) + ".")
    lines.append("Versions: " + ", ".join(f"{name} {number}" for name, number in versions().items()) + ".")
    return Section("How it was measured", lines)
