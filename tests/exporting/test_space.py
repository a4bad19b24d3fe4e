"""The demo page as a folder that runs by itself."""

import ast
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from urllib.request import urlopen

import pytest
import torch
import yaml  # type: ignore[import-untyped]

from datamodules import DigitsDataModule
from lit_generative import export
from lit_generative.demo import open_for_page
from lit_models import LitClassifier, LitLinear, LitProbe, LitVAE, load_model
from playground.examples import read_examples
from tests.processes import free_port
from tests.test_demo import save_run

pytest.importorskip("gradio", reason="the extra demo is not installed")
DIGITS = {"class_path": "datamodules.DigitsDataModule", "init_args": {}}


def space(run: str, to: Path) -> Path:
    return export.main([run, f"--to={to}", "--formats=space"])


def test_the_folder_holds_the_model_its_code_and_test_images(tmp_path: Path) -> None:
    run = save_run(tmp_path / "vae/version_0", LitVAE((1, 28, 28), latent_dim=2), {"data": DIGITS})
    folder = space(run, tmp_path / "space")
    assert {"README.md", "app.py", "examples.npz", "model", "requirements.txt", "lit_models", "playground"} <= {
        path.name for path in folder.iterdir()
    }
    assert not list(folder.rglob("__pycache__"))
    assert load_model(folder / "model").latent_dim == 2
    data = DigitsDataModule()
    data.setup()
    examples = read_examples(folder / "examples.npz")
    assert torch.equal(examples.images, data.split("test")[0][:100])
    assert examples.class_names == data.class_names
    assert "sdk: gradio" in (folder / "README.md").read_text()
    assert f"torch=={torch.__version__.partition('+')[0]}\n" in (folder / "requirements.txt").read_text()


def test_a_probe_takes_its_encoder_along(tmp_path: Path) -> None:
    encoder = save_run(tmp_path / "classifier/version_0", LitClassifier((1, 28, 28)), {"data": DIGITS})
    checkpoint = {
        "class_path": "lit_models.load_model",
        "init_args": {"checkpoint": f"{encoder}/checkpoints/last.ckpt"},
    }
    data = {"class_path": "datamodules.EncodedDataModule", "init_args": {"data": DIGITS, "encoder": checkpoint}}
    features = LitClassifier((1, 28, 28)).eval().encode(torch.zeros(1, 1, 28, 28)).shape[1]
    probe = save_run(tmp_path / "probe/version_0", LitProbe((features,)), {"data": data})
    folder = space(probe, tmp_path / "space")
    assert isinstance(load_model(folder / "model"), LitProbe)
    assert isinstance(load_model(folder / "encoder"), LitClassifier)
    exported = export.main([probe, f"--to={tmp_path / 'exported'}", "--formats=safetensors"])
    shutil.rmtree(tmp_path / "classifier")
    _, model, examples = open_for_page(str(exported))  # by the encoder that lies in the folder
    assert examples is not None
    assert model.classify(examples.first(3)).shape == (3, 10)


def test_what_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = save_run(tmp_path / "vae/version_0", LitVAE((1, 28, 28), latent_dim=2), {"data": DIGITS})
    for words, expected in (
        (["space", "onnx"], "--formats space is a folder of its own, got space onnx: export twice"),
        (["space", "--trusted", "mine"], "--formats space takes no modules of your own, got --trusted mine"),
    ):
        with pytest.raises(SystemExit):
            export.main([run, f"--to={tmp_path / 'space'}", "--formats", *words])
        assert expected in " ".join(capsys.readouterr().err.split())
        assert not (tmp_path / "space").exists()


def test_a_run_of_any_name(tmp_path: Path) -> None:
    name = """we'ird "q" : # {x} - [ä"""
    run = save_run(tmp_path / name / "version_0", LitVAE((1, 28, 28), latent_dim=2), None)
    folder = space(run, tmp_path / "space")
    matter = yaml.safe_load((folder / "README.md").read_text(encoding="utf-8").split("\n---\n")[0])
    assert matter["title"] == f"{name} version_0"
    ast.parse((folder / "app.py").read_text(encoding="utf-8"))


def test_a_model_without_a_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = save_run(tmp_path / "linear/version_0", LitLinear((5,)), None)
    with pytest.raises(SystemExit):
        space(run, tmp_path / "space")
    assert "has nothing that this page can show" in capsys.readouterr().err
    assert not (tmp_path / "space").exists()


@pytest.mark.slow
def test_the_folder_serves_its_page_without_the_project(tmp_path: Path) -> None:
    run = save_run(tmp_path / "vae/version_0", LitVAE((1, 28, 28), latent_dim=2), {"data": DIGITS})
    folder = space(run, tmp_path / "space")
    port = free_port()
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | {"PORT": str(port)}
    with subprocess.Popen([sys.executable, str(folder / "app.py")], cwd=tmp_path, env=environment) as page:
        try:
            assert "vae/version_0" in _answer(f"http://127.0.0.1:{port}/", page)
        finally:
            page.terminate()


def _answer(address: str, page: subprocess.Popen) -> str:
    for _ in range(240):
        assert page.poll() is None, "the page ended"
        try:
            with urlopen(address) as answer:
                return answer.read().decode()
        except OSError:
            time.sleep(0.5)
    raise TimeoutError(address)
