"""Puts trained runs side by side: the data that they share, the classifier, and every measure of each."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from evaluation.reference import Reference
from lit_generative.judge import doubt, find_classifier
from lit_generative.measuring import Beside, Measured, Sizes, beside_name, measure, measure_beside, sample_size
from lit_generative.trained import TrainedRun, data_hash, file_hash, image_classes, open_data, open_run, tensors_hash
from lit_models import load_classifier

# what a checkpoint, its config or its data may raise; the others' report is still written
ERRORS = (OSError, ValueError, TypeError, RuntimeError)


@dataclass
class Findings:
    """All that a report says, before it becomes a page.

    Attributes:
        sizes: how many examples each measure took.
        data: what the models were trained on, as plain data.
        classifier: what judged samples, as plain data; {} where there was none.
        reference: the data themselves.
        beside: what models are read beside.
        measured: the models.
        failed: path and reason of each that could not be measured.

    Example:
        >>> import torch
        >>> Findings(Sizes(), {}, {}, Reference(*[torch.zeros(0)] * 4)).failed
        {}
    """

    sizes: Sizes
    data: dict[str, Any]
    classifier: dict[str, Any]
    reference: Reference
    beside: Beside = field(default_factory=Beside)
    measured: list[Measured] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)


def compare(
    paths: Sequence[str],
    sizes: Mapping[str, int],
    data_dir: str | None = None,
    classifier: str | None = None,
    cache_dir: str | Path | None = None,
    trusted: Sequence[str] = (),
) -> Findings:
    """Measure runs of one data set.

    Args:
        paths: run folders or checkpoints; those that cannot be read, or are of other data than the first, are left out.
        sizes: those of `Sizes` that are asked for; of the others as many as the data allow.
        data_dir: where the data lie now; None where the runs had them.
        classifier: checkpoint of a `LitClassifier`; None for one that is trained once.
        cache_dir: for the classifier, and what does not depend on the models; None for `lit-generative` in
            `$XDG_CACHE_HOME` or `~/.cache`.
        trusted: modules of your own that checkpoints, and the data of exported runs, may name.

    Raises:
        ValueError: nothing can be measured; more examples are asked for than there are; a classifier of other classes.

    Example:
        >>> compare(["nowhere"], {})
        Traceback (most recent call last):
        ValueError: nothing can be measured. nowhere: there is no run or checkpoint nowhere: pass a folder such as ...
    """
    failed: dict[str, str] = {}
    runs, data = _of_one_data_set(_open(paths, trusted, failed), data_dir, failed)
    cache = Path(cache_dir or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "lit-generative")).expanduser()
    checkpoint = find_classifier(runs[0], data, classifier, cache)
    reference = _reference(data, checkpoint)
    findings = Findings(
        _fitting(sizes, reference),
        {
            "class_path": runs[0].config["data"]["class_path"],
            "sha256": data_hash(data),
            "train": len(reference.train),
            "test": len(reference.test),
        },
        {"checkpoint": str(checkpoint), "sha256": file_hash(checkpoint)} if checkpoint else {},
        reference,
        failed=failed,
    )
    _measure_all(findings, runs, cache)
    return findings


def _open(paths: Sequence[str], trusted: Sequence[str], failed: dict[str, str]) -> list[TrainedRun]:
    """The runs that can be opened, each with a name of its own; why the others cannot goes to `failed`."""
    runs: list[TrainedRun] = []
    for path in paths:
        try:
            run = open_run(path, tuple(trusted))
        except ERRORS as error:
            _leave_out(path, error, failed)
            continue
        runs.append(run)
    return _named_apart(runs)


def _named_apart(runs: Sequence[TrainedRun]) -> list[TrainedRun]:
    """With the experiment's name where that is enough, else with the version, else with a number."""
    experiments = Counter(run.name.partition("/")[0] for run in runs)
    seen: Counter[str] = Counter()
    named = []
    for run in runs:
        experiment = run.name.partition("/")[0]
        name = experiment if experiments[experiment] == 1 else run.name
        seen[name] += 1
        named.append(run.renamed(name if seen[name] == 1 else f"{name} #{seen[name]}"))
    return named


def _of_one_data_set(
    runs: Sequence[TrainedRun], data_dir: str | None, failed: dict[str, str]
) -> tuple[list[TrainedRun], Any]:
    """The runs that were trained on the first one's data, and these."""
    kept: list[TrainedRun] = []
    data = None
    for run in runs:
        try:
            opened = open_data(run, data_dir)
            if data is not None and data_hash(opened) != data_hash(data):
                raise ValueError(
                    f"{run.name} was trained on other data than {kept[0].name}: their figures cannot be compared, "
                    "write a report for each"
                )
        except FileNotFoundError as error:
            elsewhere = "" if data_dir else ". Where the data lie elsewhere now, pass their folder as --data_dir"
            _leave_out(str(run.checkpoint), f"{error}{elsewhere}", failed)
            continue
        except ERRORS as error:
            _leave_out(str(run.checkpoint), error, failed)
            continue
        data = opened if data is None else data
        kept.append(run)
    if not kept:
        reasons = "; ".join(f"{path}: {reason}" for path, reason in failed.items())
        raise ValueError(f"nothing can be measured. {reasons}")
    return kept, data


def _leave_out(path: str, error: object, failed: dict[str, str]) -> None:
    failed[path] = str(error)
    print(f"left out: {path}: {error}")


def _reference(data: Any, checkpoint: Path | None) -> Reference:
    """The whole training data, validation too, which runs may have split in different ways; and the test split."""
    parts = [data.split(name) for name in ("train", "val") if data.has_split(name)]
    images, labels = torch.cat([part[0] for part in parts]), torch.cat([part[1] for part in parts])
    names = tuple(data.class_names) if image_classes(data) > 1 else ()
    classifier = load_classifier(str(checkpoint)) if checkpoint else None
    test, test_labels = data.split("test")
    of_pixels = () if names else tuple(data.class_names)
    colors = tuple(getattr(data, "class_colors", ()))
    return Reference(images, labels, test, test_labels, names, classifier, of_pixels, colors)


def _fitting(asked: Mapping[str, int], reference: Reference) -> Sizes:
    """Sizes that the data allow; what is asked for and is not there is an error."""
    there = {
        "samples": len(reference.train),
        "chain_samples": len(reference.train),
        "neighbours": len(reference.test),
        "likelihood": len(reference.test),
        "probe_labels": len(reference.train),
    }
    for name, number in asked.items():
        if number > there.get(name, number):
            raise ValueError(f"--{name} must be at most {there[name]}, what the data allow, got {number}")
    most = {name: min(value, there.get(name, value)) for name, value in asdict(Sizes()).items()}
    return Sizes(**most | dict(asked))


def _measure_all(findings: Findings, runs: Sequence[TrainedRun], cache: Path) -> None:
    sizes, reference, judged = findings.sizes, findings.reference, findings.classifier
    numbers = sorted({sample_size(run, sizes) for run in runs if hasattr(run.model, "sample")})
    train = tensors_hash(reference.train, reference.train_labels)
    name = beside_name(findings.data, train, judged.get("sha256"), sizes, numbers)
    with tqdm(bar_format="{desc} [{elapsed}]") as bar:
        for step, findings.beside in measure_beside(reference, numbers, sizes, cache / "reports" / name):
            bar.set_description_str(f"beside the models: {step}")
        if (accuracy := findings.beside.classifier_accuracy) is not None:
            judged["test_accuracy"] = accuracy
            bar.write(f"classifier: {accuracy:.2%} of the test images right")
            if words := doubt(accuracy, tuple(reference.test.shape[1:])):
                bar.write(f"warning: {words}")
        for run in runs:
            for step, measured in measure(run, reference, findings.beside.threshold, sizes):
                bar.set_description_str(f"{run.name}: {step}")
                if step == "done":
                    findings.measured.append(measured)
