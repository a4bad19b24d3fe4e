"""What a report says as plain data, and where it comes from: hashes, versions, numbers of examples."""

import platform
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

from evaluation.estimate import Estimate
from lit_generative.comparison import Findings
from lit_generative.measuring import Measured

_PACKAGES = ("torch", "torchvision", "lightning", "torchmetrics", "scikit-learn", "numpy")


def plain_report(findings: Findings) -> dict[str, Any]:
    """Everything as plain data, for `report.json`; no times, so that the same checkpoints give the same file.

    Example:
        >>> import torch
        >>> from evaluation.reference import Reference
        >>> from lit_generative.measuring import Sizes
        >>> nothing = torch.zeros(0)
        >>> plain_report(Findings(Sizes(), {}, {}, Reference(*[nothing] * 4)))["models"]
        []
    """
    beside = findings.beside
    return {
        "data": findings.data,
        "classifier": findings.classifier,
        "sizes": asdict(findings.sizes),
        "versions": versions(),
        "copy_threshold": beside.threshold,
        "references": [
            {"name": name, "n": figures["fd"].n, "figures": _plain(figures), "class_counts": beside.counts[n][name]}
            for n, sets in beside.sets.items()
            for name, figures in sets.items()
        ],
        "references_left_out": beside.left_out,
        "pixels": _plain(beside.pixels),
        "models": [_plain_model(one) for one in findings.measured],
        "failed": findings.failed,
    }


def _plain_model(one: Measured) -> dict[str, Any]:
    return {
        "name": one.run.name,
        "class": type(one.run.model).__name__,
        "checkpoint": str(one.run.checkpoint),
        "sha256": one.run.sha256,
        "epochs": one.run.epochs,
        "settings": settings(one),
        "parameters": parameter_count(one),
        "figures": _plain(one.figures),
        "class_counts": one.samples[1].counts if one.samples else [],
        "likelihood": one.likelihood,
        "left_out": one.left_out,
    }


def settings(one: Measured) -> dict[str, Any]:
    """The arguments that the model was made with, as plain data; {} of a model that does not say.

    Example:
        >>> from pathlib import Path
        >>> from lit_models import LitPPCA
        >>> from lit_generative.trained import TrainedRun
        >>> settings(Measured(TrainedRun("a", Path("a"), 1, {}, LitPPCA((1, 8, 8), latent_dim=3))))["latent_dim"]
        3
    """
    return dict(getattr(one.run.model, "recipe", {}).get("init_args", {}))


def versions() -> dict[str, str]:
    """Of Python and the packages that computed the figures.

    Example:
        >>> list(versions())[:2]
        ['python', 'torch']
    """
    return {"python": platform.python_version()} | {name: version(name) for name in _PACKAGES}


def parameter_count(one: Measured) -> int:
    """Numbers that the model learned, and those that it keeps beside.

    Example:
        >>> from pathlib import Path
        >>> from torch import nn
        >>> from lit_generative.trained import TrainedRun
        >>> parameter_count(Measured(TrainedRun("a", Path("a"), 1, {}, nn.Linear(2, 3))))
        9
    """
    return sum(parameter.numel() for parameter in one.run.model.parameters())


def _plain(figures: dict[str, Estimate]) -> dict[str, dict[str, Any]]:
    return {name: estimate._asdict() for name, estimate in figures.items()}
