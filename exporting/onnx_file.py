"""Graphs as ONNX files, each compared with PyTorch before it counts as written."""

import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from exporting.graphs import Graph, reason, traced, untraceable
from lit_models.extras import require_packages

PACKAGES = ("onnx", "onnxscript", "onnxruntime")
_CHECKED_AT = (1, 3, 64)
_RTOL, _ATOL = 1e-4, 1e-5


def write_onnx(graph: Graph, path: Path, metadata: Mapping[str, str] | None = None) -> float:
    """Write a graph as one ONNX file with a batch dimension of any size, and compare it with PyTorch.

    It is checked by `onnx.checker` in full, then run by onnxruntime on the CPU with batches of 1, 3 and 64. Each output
    must agree with PyTorch within a relative error of 1e-4 and an absolute one of 1e-5. Of a graph that compares draws
    with probabilities one example in all may differ, whose draw lies at its threshold.

    Args:
        graph: what to write.
        path: of the file.
        metadata: words that are kept in the file, by name.

    Returns:
        The largest absolute difference from PyTorch.

    Raises:
        RuntimeError: onnx, onnxscript or onnxruntime is not installed.
        ValueError: the graph cannot be traced, or differs from PyTorch; there is no file then.

    Example:
        >>> from exporting.graphs import graph_of
        >>> from lit_models import LitVAE
        >>> write_onnx(graph_of(LitVAE((1, 8, 8)).eval(), "encode"), Path("encode.onnx"))  # doctest: +SKIP
        4.76837158203125e-07
    """
    require_packages(*PACKAGES, extra="export")
    import onnx

    try:
        _export(graph, path)
        content = onnx.load(path)
        onnx.helper.set_model_props(content, dict(metadata or {}))
        onnx.save(content, path)
        onnx.checker.check_model(path, full_check=True)
        return _compare(graph, path)
    except Exception as error:
        path.unlink(missing_ok=True)
        if isinstance(error, ValueError | OSError):
            raise
        # what the checker and the runtime raise is of many types
        raise ValueError(f"the ONNX graph of {graph.verb} was deleted, it does not work: {reason(error)}") from error


def _export(graph: Graph, path: Path) -> None:
    inputs, dynamic_shapes = traced(graph)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter's own deprecations, which are not its callers' concern
        try:
            program = torch.onnx.export(
                graph.module,
                inputs,
                dynamo=True,
                external_data=False,
                verbose=False,
                input_names=list(graph.examples(1)),
                output_names=graph.outputs,
                dynamic_shapes=dynamic_shapes,
            )
        except torch.onnx.errors.OnnxExporterError as error:
            raise untraceable(graph, error) from error
    assert program is not None  # it is with dynamo=True
    program.save(path, external_data=False)


def _compare(graph: Graph, path: Path) -> float:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    known = {entry.name for entry in session.get_inputs()}  # an input that nothing depends on is left out of the file
    differing, largest = 0, 0.0
    for n in _CHECKED_AT:
        inputs = graph.examples(n)
        found = session.run(graph.outputs, {name: value.numpy() for name, value in inputs.items() if name in known})
        with torch.no_grad():
            ours = graph.module(*inputs.values())
        if not all(output.isfinite().all() for output in (ours if isinstance(ours, tuple) else (ours,))):
            raise ValueError(
                f"{graph.verb} gives values that are not finite numbers: the model's training may have diverged, take "
                "an earlier checkpoint"
            )
        pairs = list(zip(ours if isinstance(ours, tuple) else (ours,), map(torch.from_numpy, found), strict=True))
        agrees = torch.stack([_agrees(*pair) for pair in pairs]).all(0)  # (n,)
        distances = torch.stack([(one - other).abs().flatten(1).amax(1) for one, other in pairs]).amax(0)  # (n,)
        differing += int((~agrees).sum())
        if differing > graph.compares_draws:
            raise ValueError(
                f"the ONNX graph of {graph.verb} differs from PyTorch by {float(distances.max()):.2g} in a batch of "
                f"{n}, more than {_RTOL:g} of the value and {_ATOL:g}: it was deleted"
            )
        largest = max(largest, *distances[agrees].tolist(), 0.0)
    return largest


def _agrees(ours: Tensor, theirs: Tensor) -> Tensor:
    """Which examples do, (N,)."""
    if ours.shape != theirs.shape:
        raise ValueError(f"the ONNX graph gives {tuple(theirs.shape)} where PyTorch gives {tuple(ours.shape)}")
    return torch.isclose(ours, theirs, rtol=_RTOL, atol=_ATOL).flatten(1).all(1)
