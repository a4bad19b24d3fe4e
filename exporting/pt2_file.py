"""Graphs as `torch.export` programs, for who runs them in PyTorch without this project."""

from pathlib import Path

import torch

from exporting.graphs import Graph, traced, untraceable


def write_pt2(graph: Graph, path: Path) -> None:
    """Write a graph as a `.pt2` file, whose first dimension may have any size.

    Load it with `torch.export.load(path).module()`. That unpickles what is in the file, and so may run code: load such
    files only from who you trust.

    Args:
        graph: what to write.
        path: of the file.

    Raises:
        ValueError: the graph cannot be traced; there is no file then.

    Example:
        >>> from exporting.graphs import graph_of
        >>> from lit_models import LitVAE
        >>> write_pt2(graph_of(LitVAE((1, 8, 8)).eval(), "encode"), Path("encode.pt2"))  # doctest: +SKIP
    """
    inputs, dynamic_shapes = traced(graph)
    try:
        program = torch.export.export(graph.module, inputs, dynamic_shapes=dynamic_shapes)
        torch.export.save(program, path)
    except Exception as error:
        path.unlink(missing_ok=True)
        raise untraceable(graph, error) from error
