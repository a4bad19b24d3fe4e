"""Verbs as graphs: every model's agree with PyTorch, and what cannot be written is refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from exporting import onnx_file
from exporting.graphs import Graph, check_verbs, graph_of, signature, verbs_of
from exporting.onnx_file import write_onnx
from exporting.pt2_file import write_pt2
from lit_models import (
    LitAutoencoder,
    LitBoxRegressor,
    LitClassifier,
    LitGAN,
    LitLinear,
    LitPPCA,
    LitProbe,
    LitRBM,
    LitSegmenter,
    LitVAE,
)
from lit_models.networks import (
    ConvDecoder,
    ConvEncoder,
    MapClassifier,
    MapDecoder,
    MapEncoder,
    ResidualDecoder,
    ResidualEncoder,
    UNet,
)

pytest.importorskip("onnxruntime", reason="the extra export is not installed")
GREY, COLOUR = (1, 8, 8), (3, 16, 16)


def images(n: int = 40, shape: tuple[int, ...] = GREY) -> Tensor:
    return torch.rand(n, *shape, generator=torch.Generator().manual_seed(1))


def mixed() -> LitAutoencoder:
    model = LitAutoencoder(GREY, latent_dim=3, sampler="mixture", num_components=4)
    model.fit_mixture([images()])
    return model


def fitted(**settings: Any) -> LitPPCA:
    model = LitPPCA(GREY, latent_dim=3, **settings)
    model.fit_covariance([images(200)])
    return model


def scaled() -> LitRBM:
    model = LitRBM(GREY, hidden_dim=5)
    model.fit_scale([images()])
    return model


MODELS: dict[str, Callable[[], Any]] = {
    "VAE": lambda: LitVAE(GREY, latent_dim=3),
    "C-VAE with a mixture": lambda: LitVAE(GREY, latent_dim=3, conditional=True, prior="mixture", num_components=4),
    "VAE of colour": lambda: LitVAE(COLOUR, encoder=ConvEncoder, decoder=ConvDecoder, likelihood="gaussian"),
    "VAE of residual networks": lambda: LitVAE(COLOUR, encoder=ResidualEncoder, decoder=ResidualDecoder),
    "autoencoder of maps": lambda: LitAutoencoder(COLOUR, latent_dim=504, encoder=MapEncoder, decoder=MapDecoder),
    "autoencoder": mixed,
    "GAN": lambda: LitGAN(GREY, latent_dim=6, ema_decay=0.9),
    "conditional GAN": lambda: LitGAN(GREY, latent_dim=6, conditional=True),
    "RBM": scaled,
    "PPCA": lambda: fitted(pixel_noise=True),
    "factor analysis": lambda: fitted(noise="diagonal", fit="em"),
    "classifier": lambda: LitClassifier(GREY),
    "softmax regression": lambda: LitLinear(GREY),
    "linear regression": lambda: LitLinear((5,), task="regression", num_outputs=2),
    "probe": lambda: LitProbe((2, 6)),
    "box regressor": lambda: LitBoxRegressor(COLOUR, MapClassifier, frozen=False, pool=2),
    "box regressor of torchvision's": lambda: LitBoxRegressor((3, 32, 32), "resnet18"),
    "segmenter": lambda: LitSegmenter(COLOUR, network=UNet),
    "segmenter of torchvision's": lambda: LitSegmenter((3, 32, 32), enlarge=2),
}


def ready(name: str) -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = MODELS[name]().eval().requires_grad_(False)
        model.settle()
    return model


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_every_verb_of_every_model(name: str, tmp_path: Path) -> None:
    import onnxruntime

    model = ready(name)
    assert verbs_of(model)
    for verb in verbs_of(model):
        graph = graph_of(model, verb)
        assert write_onnx(graph, tmp_path / f"{verb}.onnx", {"signature": signature(graph)}) < 1e-4
        session = onnxruntime.InferenceSession(tmp_path / f"{verb}.onnx")
        assert session.get_modelmeta().custom_metadata_map == {"signature": signature(graph)}
        assert [entry.name for entry in session.get_outputs()] == graph.outputs
        assert all(isinstance(entry.shape[0], str) for entry in session.get_inputs())  # any batch


# torch 2.11 warns of its own buffer as it loads
@pytest.mark.filterwarnings("ignore:The given buffer is not writable")
@pytest.mark.slow
@pytest.mark.parametrize("name", ["C-VAE with a mixture", "GAN", "PPCA", "RBM"])
def test_programs_of_pytorch(name: str, tmp_path: Path) -> None:
    model = ready(name)
    graph = graph_of(model, verbs_of(model)[-1])
    write_pt2(graph, tmp_path / "verb.pt2")
    again = torch.export.load(tmp_path / "verb.pt2").module()
    inputs = tuple(graph.examples(5).values())
    ours, theirs = (one if isinstance(one, tuple) else (one,) for one in (graph.module(*inputs), again(*inputs)))
    for expected, found in zip(ours, theirs, strict=True):
        assert torch.allclose(expected, found, atol=1e-5)


@pytest.mark.slow
def test_a_graph_in_onnxruntime_at_a_batch_it_was_not_made_at(tmp_path: Path) -> None:
    import onnxruntime

    model = ready("C-VAE with a mixture")
    graph = graph_of(model, "sample")
    write_onnx(graph, tmp_path / "sample.onnx")
    inputs = graph.examples(17)
    session = onnxruntime.InferenceSession(tmp_path / "sample.onnx")
    (found,) = session.run(None, {name: value.numpy() for name, value in inputs.items()})
    noise = {name: value for name, value in inputs.items() if name != "y"}
    assert torch.allclose(torch.from_numpy(found), model.sample_from(noise, inputs["y"]), atol=1e-5)


@pytest.mark.slow
def test_a_graph_that_differs_is_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Twice(nn.Module):
        def forward(self, *x: Tensor) -> Tensor:
            return 2 * x[0]

    graph = Graph("twice", Twice(), lambda n: {"images": images(n)}, ["codes"])
    assert write_onnx(graph, tmp_path / "twice.onnx") == 0
    compare = onnx_file._agrees
    monkeypatch.setattr(onnx_file, "_agrees", lambda ours, theirs: compare(ours + 0.01, theirs))
    with pytest.raises(ValueError, match=r"the ONNX graph of twice differs from PyTorch by .* in a batch of 1"):
        write_onnx(graph, tmp_path / "twice.onnx")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_of_a_graph_that_compares_draws_one_example_may_differ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Draws(nn.Module):
        def forward(self, *uniform: Tensor) -> Tensor:
            return (uniform[0] < 0.5).float()

    graph = Graph("step", Draws(), lambda n: {"uniform": torch.full((n, 2), 0.25)}, ["h"], compares_draws=True)
    compare = onnx_file._agrees

    def turned(share: int) -> Callable[[Tensor, Tensor], Tensor]:
        def agrees(ours: Tensor, theirs: Tensor) -> Tensor:
            ours = ours.clone()
            ours[: share * (len(ours) == 64)] = 0
            return compare(ours, theirs)

        return agrees

    monkeypatch.setattr(onnx_file, "_agrees", turned(1))
    assert write_onnx(graph, tmp_path / "step.onnx") == 0
    monkeypatch.setattr(onnx_file, "_agrees", turned(2))
    with pytest.raises(ValueError, match="differs from PyTorch"):
        write_onnx(graph, tmp_path / "step.onnx")


class Branches(nn.Module):
    """No graph: what it does depends on what it sees."""

    def forward(self, *x: Tensor) -> Tensor:
        return x[0] if x[0].sum() > 0 else -x[0]


@pytest.mark.parametrize("write", [write_onnx, write_pt2])
@pytest.mark.slow
def test_a_network_that_branches_on_values(tmp_path: Path, write: Callable[[Graph, Path], Any]) -> None:
    graph = Graph("encode", Branches(), lambda n: {"images": images(n)}, ["codes"])
    with pytest.raises(ValueError, match=r"encode cannot be written as a graph: .* Leave it out of --verbs"):
        write(graph, tmp_path / "file")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_model_that_diverged(tmp_path: Path) -> None:
    class Diverged(nn.Module):
        def forward(self, *x: Tensor) -> Tensor:
            return x[0] * float("nan")

    graph = Graph("encode", Diverged(), lambda n: {"images": images(n)}, ["codes"])
    with pytest.raises(ValueError, match="encode gives values that are not finite numbers"):
        write_onnx(graph, tmp_path / "encode.onnx")
    assert not list(tmp_path.iterdir())


def test_verbs_that_a_model_lacks() -> None:
    with pytest.raises(ValueError, match="LitClassifier has no graph of sample: choose --verbs from encode classify"):
        check_verbs(ready("classifier"), ["encode", "sample"])
    with pytest.raises(ValueError, match=r"LitRBM has no graph of sample \(it samples by a Markov chain"):
        check_verbs(ready("RBM"), ["sample"])
    with pytest.raises(ValueError, match="none: write its weights alone, --formats safetensors"):
        check_verbs(nn.Linear(1, 1), ["encode"])
