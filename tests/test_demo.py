"""demo.py's command line: runs opened for the page, and what is refused, in words."""

import socket
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import pytest
import torch
import yaml  # type: ignore[import-untyped]

from datamodules import DigitsDataModule
from lit_generative import demo
from lit_models import LitClassifier, LitProbe, LitVAE
from playground.abilities import Abilities


def save_run(folder: Path, model: lightning.LightningModule, config: dict[str, Any] | None) -> str:
    """A run folder as train.py leaves it, of a model that was not trained."""
    trainer = lightning.Trainer(logger=False, accelerator="cpu", enable_checkpointing=False, enable_progress_bar=False)
    trainer.strategy.connect(model)
    (folder / "checkpoints").mkdir(parents=True)
    trainer.save_checkpoint(folder / "checkpoints" / "last.ckpt")
    if config is not None:
        (folder / "config.yaml").write_text(yaml.safe_dump(config))
    return str(folder)


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What demo.main would have served."""
    monkeypatch.setattr(demo, "_has_gradio", lambda: True)
    served: list[Any] = []
    monkeypatch.setattr(demo, "serve", lambda models, port, browser: served.extend(models))
    return served


DIGITS = {"class_path": "datamodules.DigitsDataModule"}


def test_a_run_comes_with_its_test_images(tmp_path: Path, shown: list[Any]) -> None:
    run = save_run(tmp_path / "vae" / "version_0", LitVAE((1, 28, 28), latent_dim=2), {"data": DIGITS})
    demo.main([run, run])
    assert [name for name, _, _ in shown] == ["vae/version_0"] * 2
    data = DigitsDataModule()
    data.setup()
    assert torch.equal(shown[0][2].images, data.split("test")[0])
    assert shown[0][2].class_names == tuple("0123456789")


def test_a_run_whose_data_are_gone_has_a_page_all_the_same(
    tmp_path: Path, shown: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    gone = {
        "class_path": "datamodules.MNISTDataModule",
        "init_args": {"data_dir": str(tmp_path / "gone"), "download": True},
    }
    run = save_run(tmp_path / "vae" / "version_0", LitVAE((1, 28, 28), latent_dim=2), {"data": gone})
    demo.main([run])
    assert shown[0][2] is None
    assert "vae/version_0: the page has no test images to choose from (" in capsys.readouterr().out
    assert not (tmp_path / "gone").exists()  # nothing was downloaded
    np.savez(tmp_path / "few.npz", images=np.zeros((3, 1, 28, 28), np.uint8), labels=np.arange(3))
    demo.main([run, "--examples", str(tmp_path / "few.npz")])
    assert len(shown[1][2]) == 3


def test_a_probe_sees_pictures_through_its_encoder(tmp_path: Path, shown: list[Any]) -> None:
    encoder = LitClassifier((1, 28, 28)).eval()
    codes = encoder.encode(torch.rand(1, 1, 28, 28)).shape[1]
    save_run(tmp_path / "encoder" / "version_0", encoder, None)
    checkpoint = str(tmp_path / "encoder" / "version_0" / "checkpoints" / "last.ckpt")
    loading = {"class_path": "lit_models.load_model", "init_args": {"checkpoint": checkpoint}}
    data = {"class_path": "datamodules.EncodedDataModule", "init_args": {"data": DIGITS, "encoder": loading}}
    probe = LitProbe((2, codes)).eval()  # with a baseline's codes beside
    run = save_run(tmp_path / "probe" / "version_0", probe, {"data": data})
    demo.main([run])
    name, model, examples = shown[0]
    x = examples[0]
    expected = probe.classify(encoder.encode(x))[0]
    assert list(Abilities(name, model, examples).classify(x).values()) == pytest.approx(expected.tolist(), abs=1e-5)
    Path(checkpoint).unlink()
    with pytest.raises(
        SystemExit, match=r"judges codes, and the checkpoint of its encoder is not there: .*Put it back"
    ):
        demo.main([run])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere"], r"demo.py: there is no run or checkpoint nowhere: pass a folder such as runs/quickstart"),
        (["."], r"has no checkpoints/best.ckpt or last.ckpt: train.py fit writes them"),
        (["README.md"], "README.md"),
        (["nowhere", "--port", "0"], "demo.py: --port must be from 1 to 65535, got 0: leave it out for a free one"),
    ],
)
def test_other_runs_and_ports_are_refused(words: list[str], message: str, shown: list[Any]) -> None:
    with pytest.raises(SystemExit, match=message):
        demo.main(words)


def test_other_examples_are_refused(tmp_path: Path, shown: list[Any]) -> None:
    run = save_run(tmp_path / "vae" / "version_0", LitVAE((1, 28, 28), latent_dim=2), None)
    with pytest.raises(SystemExit, match=r"there is no file nowhere.npz: pass an .npz with images"):
        demo.main([run, "--examples", "nowhere.npz"])


def test_without_gradio_there_are_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "_has_gradio", lambda: False)
    with pytest.raises(
        SystemExit, match=r"needs gradio, which is not installed: start it with `uv run --extra demo demo.py runs/x`"
    ):
        demo.main(["runs/x"])


@pytest.mark.slow
def test_a_port_in_use_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("gradio")
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    model = LitVAE((1, 8, 8), latent_dim=2).eval()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(
            SystemExit, match=rf"demo.py: --port {port} is in use or not allowed: pass another one, such as"
        ):
            demo.serve([("vae", model, None)], port)


@pytest.mark.slow
def test_a_model_without_a_page_is_said() -> None:
    pytest.importorskip("gradio")
    with pytest.raises(SystemExit, match=r"demo.py: probe, a LitProbe, has nothing that this page can show"):
        demo.serve([("probe", LitProbe((64,)), None)])
