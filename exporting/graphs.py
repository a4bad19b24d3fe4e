"""Verbs of a model as graphs: pure functions of tensors, with every random number an input."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from callbacks.verbs import (
    Classifies,
    Decodes,
    Encodes,
    Locates,
    Reconstructs,
    SamplesFromNoise,
    Segments,
    StepsChains,
    is_conditional,
)


class Graph(NamedTuple):
    """What is written as one graph.

    Attributes:
        verb: its name.
        module: takes the inputs in their order, as `forward(*inputs)`, and returns the outputs.
        examples: gives n examples of each input by name, always the same ones; the first dimension is the batch.
        outputs: their names.
        compares_draws: whether a draw is compared with a probability inside, so that a rounding error may turn it.

    Example:
        >>> graph = Graph("encode", nn.Flatten(), lambda n: {"images": torch.rand(n, 1, 4, 4)}, ["codes"])
        >>> graph.module(*graph.examples(3).values()).shape
        torch.Size([3, 16])
    """

    verb: str
    module: nn.Module
    examples: Callable[[int], dict[str, Tensor]]
    outputs: list[str]
    compares_draws: bool = False


class _Verb(nn.Module):
    """A function of a model's, as the module that exporters take."""

    def __init__(self, model: nn.Module, function: Callable[..., Any]) -> None:
        super().__init__()
        self.model = model  # its parameters are the graph's
        self.function = function

    def forward(self, *inputs: Tensor) -> Any:
        return self.function(*inputs)


def verbs_of(model: Any) -> list[str]:
    """The verbs of a model that can be written as graphs.

    Example:
        >>> from lit_models import LitRBM, LitVAE
        >>> verbs_of(LitVAE((1, 8, 8))), verbs_of(LitRBM((1, 8, 8)))
        (['sample', 'reconstruct', 'encode', 'decode'], ['reconstruct', 'encode', 'decode', 'gibbs_step'])
    """
    answers = {
        "sample": isinstance(model, SamplesFromNoise),
        "reconstruct": isinstance(model, Reconstructs),
        "encode": isinstance(model, Encodes),
        "decode": isinstance(model, Decodes) and isinstance(model, Encodes),
        "classify": isinstance(model, Classifies) and getattr(model, "classifies", True),
        "locate": isinstance(model, Locates),
        "segment": isinstance(model, Segments),
        "predict": hasattr(model, "predict") and not getattr(model, "classifies", True),
        "gibbs_step": isinstance(model, StepsChains),
    }
    return [verb for verb, answered in answers.items() if answered]


def check_verbs(model: Any, verbs: list[str]) -> None:
    """Raise a ValueError where a verb is asked for that the model lacks.

    Example:
        >>> from lit_models import LitClassifier
        >>> check_verbs(LitClassifier((1, 28, 28)), ["sample"])
        Traceback (most recent call last):
        ValueError: LitClassifier has no graph of sample: choose --verbs from encode classify
    """
    known = verbs_of(model)
    for verb in verbs:
        if verb not in known:
            chain = " (it samples by a Markov chain, of which gibbs_step is one step)" if "gibbs_step" in known else ""
            raise ValueError(
                f"{type(model).__name__} has no graph of {verb}{chain if verb == 'sample' else ''}: choose --verbs "
                f"from {' '.join(known) or 'none: write its weights alone, --formats safetensors'}"
            )


def graph_of(model: Any, verb: str) -> Graph:
    """A verb of a model as a graph.

    Args:
        model: in eval mode, in float32.
        verb: one of `verbs_of(model)`.

    Example:
        >>> from lit_models import LitVAE
        >>> graph = graph_of(LitVAE((1, 8, 8), latent_dim=2).eval(), "sample")
        >>> {name: tuple(value.shape) for name, value in graph.examples(3).items()}, graph.outputs
        ({'z': (3, 2)}, ['images'])
    """
    if verb == "gibbs_step":
        return _gibbs_graph(model)
    labels = is_conditional(model)
    if verb == "sample":
        names = list(model.draw_noise(1))

        def sample(*inputs: Tensor) -> Tensor:
            return model.sample_from(dict(zip(names, inputs, strict=False)), inputs[-1] if labels else None)

        return Graph(verb, _Verb(model, sample), _examples(model, model.draw_noise, labels), ["images"])
    inputs = {"decode": _codes(model)}.get(verb, _inputs(model))
    output = {
        "reconstruct": "reconstructions",
        "encode": "codes",
        "classify": "probabilities",
        "predict": "predictions",
        "locate": "boxes",
        "segment": "probabilities",
    }.get(verb, "images")
    takes_labels = labels and verb in ("reconstruct", "encode", "decode")
    return Graph(verb, _Verb(model, getattr(model, verb)), _examples(model, inputs, takes_labels), [output])


_MEANINGS = {
    "images": "in [0, 1]",
    "z": "from N(0, I)",
    "race": "from Exponential(1)",
    "pixel_noise": "from N(0, I)",
    "uniform": "in [0, 1)",
    "normal": "from N(0, I)",
    "v": "the chain's state, at its start from N(0, I)",
    "y": "labels, int64",
}

_OUTPUTS = {"boxes": "(N, 4), centre and size (cx, cy, w, h) as fractions of width and height"}


def signature(graph: Graph) -> str:
    """What goes in and comes out of a graph, in Markdown.

    Example:
        >>> from lit_models import LitVAE
        >>> signature(graph_of(LitVAE((1, 8, 8), latent_dim=2).eval(), "sample"))
        '`sample`: `z` (N, 2) from N(0, I) -> `images`'
    """
    inputs = []
    for name, value in graph.examples(1).items():
        shape = "".join(f", {size}" for size in value.shape[1:]) or ","
        meaning = "" if (graph.verb, name) == ("decode", "z") else _MEANINGS.get(name, "")
        inputs.append(f"`{name}` (N{shape}) {meaning}".strip())
    outputs = [f"`{name}` {_OUTPUTS.get(name, '')}".strip() for name in graph.outputs]
    return f"`{graph.verb}`: {'; '.join(inputs)} -> {', '.join(outputs)}"


def traced(graph: Graph) -> tuple[tuple[Tensor, ...], tuple[Any, ...]]:
    """What exporters are given: three examples of each input, and that the first dimension may have any size.

    Example:
        >>> graph = Graph("encode", nn.Flatten(), lambda n: {"images": torch.rand(n, 1, 4, 4)}, ["codes"])
        >>> traced(graph)[0][0].shape
        torch.Size([3, 1, 4, 4])
    """
    inputs = tuple(graph.examples(3).values())  # 0 and 1 would be taken for constants
    batch = torch.export.Dim("batch")
    return inputs, (tuple({0: batch} for _ in inputs),)


def reason(error: BaseException) -> str:
    """The first line of what went wrong underneath.

    Example:
        >>> reason(AssertionError())
        'AssertionError'
    """
    cause = error.__cause__ or error
    return (str(cause).strip().splitlines() or [type(cause).__name__])[0].rstrip(".")


def untraceable(graph: Graph, error: BaseException) -> ValueError:
    """What to raise where an exporter cannot trace a graph.

    Example:
        >>> graph = Graph("encode", nn.Flatten(), lambda n: {}, ["codes"])
        >>> str(untraceable(graph, RuntimeError("a branch")))[:52]
        'encode cannot be written as a graph: a branch. Leave'
    """
    return ValueError(
        f"{graph.verb} cannot be written as a graph: {reason(error)}. Leave it out of --verbs, or write its network "
        "without Python branches on values of tensors"
    )


def _gibbs_graph(model: Any) -> Graph:
    pixels, units = torch.Size(model.image_shape).numel(), model.encode(torch.zeros(1, *model.image_shape)).shape[1]

    def noise(n: int) -> dict[str, Tensor]:
        return {"v": torch.randn(n, pixels), "uniform": torch.rand(n, units), "normal": torch.randn(n, pixels)}

    return Graph(
        "gibbs_step", _Verb(model, model.gibbs_step), _examples(model, noise, False), ["v_next", "images"], True
    )


def _inputs(model: Any) -> Callable[[int], dict[str, Tensor]]:
    """Images in [0, 1]; of a model of rows or codes numbers about 0."""
    shape = getattr(model, "image_shape", None)
    if shape is not None:
        return lambda n: {"images": torch.rand(n, *shape)}
    return lambda n: {"inputs": torch.randn(n, *model.input_shape)}


def _codes(model: Any) -> Callable[[int], dict[str, Tensor]]:
    def codes(n: int) -> dict[str, Tensor]:
        y = torch.arange(n) % model.num_classes if is_conditional(model) else None
        return {"z": model.encode(torch.rand(n, *model.image_shape), y)}

    return codes


def _examples(model: Any, make: Callable[[int], dict[str, Tensor]], labels: bool) -> Callable[[int], dict[str, Tensor]]:
    def examples(n: int) -> dict[str, Tensor]:
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.manual_seed(0)
            found = make(n)
        return {**found, "y": torch.arange(n) % model.num_classes} if labels else found

    return examples
