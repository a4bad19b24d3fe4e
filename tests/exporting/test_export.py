"""Exported folders, from a run to a program without PyTorch."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from lightning import LightningModule

from exporting.card import model_card
from lit_generative import export, train
from lit_generative.trained import file_hash, open_data, open_run
from lit_models import LitBoxRegressor, LitClassifier, LitSegmenter, LitVAE, load_model
from lit_models.networks import MapClassifier, UNet
from tests.exporting.hub import stand_in

pytest.importorskip("safetensors", reason="the extra export is not installed")
WIDTHS = ["--model.encoder.hidden_dims=[16]", "--model.decoder.hidden_dims=[16]"]
ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a conditional VAE with a mixture as prior, on the digits."""
    root = tmp_path_factory.mktemp("runs")
    words = ["--model=LitVAE", "--model.conditional=true", "--model.prior=mixture", "--model.latent_dim=4", *WIDTHS]
    words += ["--data=DigitsDataModule", "--trainer.max_epochs=1", "--experiment=cvae", "--trainer.accelerator=cpu"]
    words += [f"--trainer.default_root_dir={root}", "--trainer.enable_progress_bar=false"]
    train.main(["fit", *words, "--trainer.limit_train_batches=2"])
    return root / "cvae/version_0"


@pytest.fixture(scope="module")
def exported(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run's weights."""
    return weights_alone(run, tmp_path_factory.mktemp("exported") / "cvae")


@pytest.fixture
def folder(exported: Path, tmp_path: Path) -> Path:
    """A copy of them, to be spoilt."""
    return Path(shutil.copytree(exported, tmp_path / "cvae"))


def weights_alone(run: Path, to: Path, *more: str) -> Path:
    return export.main([str(run), "--to", str(to), "--formats", "safetensors", *more])


def test_the_folder_is_the_model(run: Path, tmp_path: Path) -> None:
    folder = weights_alone(run, tmp_path / "new" / "cvae")
    assert {path.name for path in folder.iterdir()} == {
        "README.md",
        "config.json",
        "config.yaml",
        "model.safetensors",
        "samples.png",
    }
    ours, theirs = load_model(folder), load_model(run / "checkpoints/best.ckpt")
    assert {name: value.tolist() for name, value in ours.state_dict().items()} == {
        name: value.tolist() for name, value in theirs.state_dict().items()
    }
    torch.manual_seed(0)
    first = ours.sample(10, torch.arange(10))
    torch.manual_seed(0)
    assert torch.equal(first, theirs.sample(10, torch.arange(10)))
    config = json.loads((folder / "config.json").read_text())
    assert (config["epochs"], config["value_range"], config["image_shape"]) == (1, [0, 1], [1, 28, 28])
    assert config["class_names"] == [str(digit) for digit in range(10)]
    assert set(config["versions"]) == {"lit-generative", "python", "torch", "lightning"}
    card = (folder / "README.md").read_text()
    assert "![Samples](samples.png)" in card
    assert "1 epoch on DigitsDataModule" in card


def test_an_exported_folder_is_opened_as_a_run_is(run: Path, tmp_path: Path) -> None:
    again = weights_alone(weights_alone(run, tmp_path / "cvae"), tmp_path / "again")
    opened = open_run(again)
    assert (opened.name, opened.epochs) == ("again", 1)
    assert open_data(opened).class_names == tuple(str(digit) for digit in range(10))
    assert (again / "model.safetensors").read_bytes() == (tmp_path / "cvae/model.safetensors").read_bytes()


@pytest.mark.slow
def test_the_config_trains_again_and_says_no_place(run: Path, tmp_path: Path) -> None:
    folder = weights_alone(run, tmp_path / "cvae")
    assert str(run.parent.parent) not in (folder / "config.yaml").read_text()
    words = [f"--config={folder / 'config.yaml'}", f"--trainer.default_root_dir={tmp_path}", "--experiment=again"]
    train.main(["fit", *words])
    again = load_model(tmp_path / "again/version_0/checkpoints/best.ckpt").state_dict()
    for name, value in load_model(folder).state_dict().items():
        assert torch.equal(value, again[name]), name


def test_the_card_has_the_figures_of_the_report(run: Path, tmp_path: Path) -> None:
    figures = {"fd": {"value": 12.345, "error": 0.5, "n": 5000}, "coverage": {"value": 0.5, "error": None, "n": 2000}}
    ours = {"sha256": file_hash(run / "checkpoints/best.ckpt"), "figures": figures, "likelihood": None}
    report = tmp_path / "report.json"
    report.write_text(json.dumps({"models": [{"sha256": "0", "figures": {}}, ours]}))
    card = (weights_alone(run, tmp_path / "cvae", f"--report={report}") / "README.md").read_text()
    assert "| 12.35 ± 0.50 | 5,000 |" in card or "| 12.34 ± 0.50 | 5,000 |" in card
    assert "| coverage of test images by samples | 50.0% | 2,000 |" in card


@pytest.mark.parametrize(
    "model",
    [
        LitVAE((1, 8, 8), latent_dim=2, conditional=True),
        LitVAE((1, 8, 8), latent_dim=2),
        LitClassifier((1, 8, 8)),
        LitSegmenter((1, 8, 8), num_classes=2, network=UNet),
        LitBoxRegressor((1, 8, 8), MapClassifier, frozen=False, pool=2),
    ],
    ids=["C-VAE", "VAE", "classifier", "segmenter", "box regressor"],
)
def test_the_card_s_example_runs_as_it_stands(model: LightningModule, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lit_models.load_model", lambda folder: model.eval() if folder == "FOLDER" else None)
    card = model_card("name", model, "1 epoch", ["model.safetensors"])
    (example,) = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    made: dict[str, Any] = {}
    exec(example, made)
    assert made["images"].shape == (10, 1, 8, 8)
    answers = {"codes", "seen", "probabilities", "boxes"} & made.keys()
    assert answers
    assert all(len(made[answer]) == 10 for answer in answers)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def without_a_tensor(path: Path) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(path)
    del tensors["prior.means"]
    save_file(tensors, path)


def of_another_shape(path: Path) -> None:
    from safetensors.torch import load_file, save_file

    save_file(load_file(path) | {"prior.means": torch.zeros(2)}, path)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (cut, "model.safetensors is truncated, or no safetensors file"),
        (without_a_tensor, r'has other weights than its LitVAE: Missing key\(s\) in state_dict: "prior.means"'),
        (of_another_shape, "size mismatch for prior.means"),
        (Path.unlink, "there is no .*model.safetensors: export the model again"),
    ],
)
def test_spoiled_weights(folder: Path, spoil: Callable[[Path], None], words: str) -> None:
    spoil(folder / "model.safetensors")
    with pytest.raises((ValueError, FileNotFoundError), match=words):
        load_model(folder)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"format": 1', "config.json is truncated, or no JSON"),
        ("[]", "no config of this project: it has no format number"),
        (
            '{"format": 2, "versions": {"lit-generative": "9.0"}}',
            "has format 2, and this version reads up to 1: load it with lit-generative 9.0",
        ),
        ('{"format": 1}', "does not say how its model was made"),
        ('{"format": 1, "recipe": {"class_path": "os.system", "init_args": {}}}', "in none of the modules"),
    ],
)
def test_spoiled_config(folder: Path, text: str, words: str) -> None:
    (folder / "config.json").write_text(text)
    with pytest.raises(ValueError, match=words):
        load_model(folder)


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    with pytest.raises(SystemExit):
        export.main(list(words))
    return " ".join(capsys.readouterr().err.split())


def test_what_is_refused_leaves_nothing(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    full = tmp_path / "full"
    full.mkdir()
    (full / "mine.txt").write_text("mine")
    assert f"{full} holds files: pass another" in refused(capsys, str(run), f"--to={full}")
    assert "is a file: pass another" in refused(capsys, str(run), f"--to={full / 'mine.txt' / 'new'}")
    to = f"--to={tmp_path / 'new'}"
    assert "there is no run or checkpoint nowhere" in refused(capsys, "nowhere", to)
    assert "LitVAE has no graph of classify: choose --verbs from sample reconstruct encode decode" in refused(
        capsys, str(run), to, "--formats=pt2", "--verbs=classify"
    )
    (tmp_path / "no.json").write_text("{}")
    report = f"--report={tmp_path / 'no.json'}"
    assert "is no report.json that report.py wrote" in refused(capsys, str(run), to, "--formats=safetensors", report)
    old = tmp_path / "old.ckpt"
    content = torch.load(run / "checkpoints/best.ckpt", weights_only=True)
    del content["recipe"]
    torch.save(content, old)
    assert "by a version of this one before checkpoints carried their recipe" in refused(capsys, str(old), to)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["full", "no.json", "old.ckpt"]
    assert (full / "mine.txt").read_text() == "mine"


def test_a_place_that_may_not_be_written_to(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("exporting.folder.os.access", lambda *_: False)  # the superuser may write everywhere
    with pytest.raises(ValueError, match=r"--to .*new cannot be made, .* may not be written to: pass another"):
        export.check_new(tmp_path / "new")


def test_what_is_not_installed(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lit_models.extras.find_spec", lambda package: None if package == "onnxscript" else True)
    words = refused(capsys, str(run), f"--to={tmp_path / 'new'}")
    assert "onnxscript is not installed: uv run --extra export ..., or pip install onnxscript" in words
    folder = weights_alone(run, tmp_path / "cvae")
    monkeypatch.setattr("lit_models.extras.find_spec", lambda package: None)
    with pytest.raises(RuntimeError, match="safetensors is not installed: uv run --extra export"):
        load_model(folder)


WITHOUT_TORCH = """
import sys
import numpy as np, onnxruntime
session = onnxruntime.InferenceSession(sys.argv[1] + "/sample.onnx")
given = np.load(sys.argv[2])
known = {entry.name for entry in session.get_inputs()}
assert known == {"race", "z", "y"}, known
np.save(sys.argv[3], session.run(["images"], {name: given[name] for name in known})[0])
assert "torch" not in sys.modules
"""


@pytest.mark.slow
def test_a_program_without_torch_makes_the_same_samples(run: Path, tmp_path: Path) -> None:
    np = pytest.importorskip("numpy")
    pytest.importorskip("onnxruntime", reason="the extra export is not installed")
    folder = export.main([str(run), f"--to={tmp_path / 'cvae'}", "--formats=onnx", "--verbs=sample"])
    assert {path.name for path in folder.iterdir()} == {"README.md", "config.yaml", "sample.onnx", "samples.png"}
    model = load_model(run / "checkpoints/best.ckpt")
    noise, y = model.draw_noise(7), torch.arange(7)
    np.savez(tmp_path / "noise.npz", **{name: value.numpy() for name, value in noise.items()}, y=y.numpy())
    files = [str(folder), str(tmp_path / "noise.npz"), str(tmp_path / "images.npy")]
    subprocess.run([sys.executable, "-c", WITHOUT_TORCH, *files], check=True, cwd=tmp_path)
    theirs = torch.from_numpy(np.load(tmp_path / "images.npy"))
    (example,) = re.findall(r"```python\n(import numpy.*?)```", (folder / "README.md").read_text(), re.DOTALL)
    said = subprocess.run([sys.executable, "-c", example], check=True, cwd=folder, capture_output=True, text=True)
    assert said.stdout == "(10, 1, 28, 28)\n"
    assert torch.allclose(theirs, model.sample_from(noise, y), rtol=1e-4, atol=1e-5)


def test_a_stranger_s_config_runs_no_code(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = weights_alone(run, tmp_path / "cvae")
    (tmp_path / "stranger.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    monkeypatch.syspath_prepend(tmp_path)
    encoder = {"class_path": "lit_models.load_model", "init_args": {"checkpoint": "hf://a/b", "trusted": ["stranger"]}}
    inner = {"data": {"class_path": "datamodules.DigitsDataModule"}, "encoder": encoder}
    for data in ({"class_path": "stranger.Data"}, {"class_path": "datamodules.EncodedDataModule", "init_args": inner}):
        (folder / "config.yaml").write_text(yaml.safe_dump({"data": data}))
        with pytest.raises(ValueError, match=r"the config names stranger.* pass --trusted stranger"):
            open_data(open_run(folder))
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("text", "words"), [("data: {a: [", "config.yaml is truncated, or no YAML"), ("- 1", "is no config of train.py")]
)
def test_a_spoiled_config_of_a_run(
    run: Path, tmp_path: Path, text: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = shutil.copytree(run, tmp_path / "cvae" / "version_0")
    (copy / "config.yaml").write_text(text)
    assert words in refused(capsys, str(copy), f"--to={tmp_path / 'new'}", "--formats=safetensors")
    (copy / "config.yaml").write_text("data: null")
    weights_alone(copy, tmp_path / "new")


def test_folders_that_are_there(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to("empty")
    weights_alone(run, tmp_path / "link")
    assert (tmp_path / "empty" / "config.json").is_file()
    assert [path.name for path in (tmp_path / "empty").glob(".*")] == []
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    weights_alone(run.absolute(), Path("."))
    assert Path("config.json").is_file()
    assert open_run(".").name == "here"


def test_parents_that_were_made_go_too(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "no.json").write_text("{}")
    words = [f"--to={tmp_path / 'a' / 'b' / 'new'}", "--formats=safetensors", f"--report={tmp_path / 'no.json'}"]
    refused(capsys, str(run), *words)
    assert not (tmp_path / "a").exists()


def test_places_and_keys_stay_at_home() -> None:
    config = {
        "trainer": {"logger": {"api_key": "secret"}, "max_epochs": 3},
        "data": {"class_path": "datamodules.CSVDataModule", "init_args": {"path": "/home/a/b.csv"}},
        "others": ["C:\\Users\\a\\c.csv", "file:///home/a/d", "../a/e", "~/f", "runs/g", 1],
    }
    assert export._without_places(config) == {
        "trainer": {"max_epochs": 3},
        "data": {"class_path": "datamodules.CSVDataModule", "init_args": {"path": "b.csv"}},
        "others": ["c.csv", "d", "e", "f", "runs/g", 1],
    }


TO_THE_HUB_AND_BACK = """
import os, shutil, sys
import torch
from lit_generative import export
from lit_models import load_model

words = [sys.argv[1], "--to", "cvae", "--formats", "safetensors", "--push", "someone/cvae"]
for _ in range(2):  # into a repository that is made, and into one that is there
    shutil.rmtree("cvae", ignore_errors=True)
    export.main(words)
model = load_model("hf://someone/cvae")
torch.manual_seed(0)
torch.save(model.sample(5, torch.arange(5)), "samples.pt")
try:
    load_model("hf://someone/else")
except FileNotFoundError as error:
    print(error)
os.environ["HF_TOKEN"] = "hf_wrong"
export.main([*words[:2], "again", *words[3:]])
"""


def program(code: str, *words: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    known = {**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HOME": str(cwd / "hub")}
    command = [sys.executable, "-c", code, *words]
    return subprocess.run(command, cwd=cwd, env=known | environment, capture_output=True, text=True, check=False)


@pytest.mark.long
@pytest.mark.slow
def test_to_the_hub_and_back(run: Path, tmp_path: Path) -> None:
    pytest.importorskip("huggingface_hub", reason="the extra export is not installed")
    with stand_in() as (environment, repositories):
        repositories["someone/cvae"] = {"classify.onnx": b"of another model"}
        done = program(TO_THE_HUB_AND_BACK, str(run), cwd=tmp_path, **environment)
        sent = repositories["someone/cvae"]
    assert done.stdout.count("pushed:   http://127.0.0.1") == 2, done.stderr
    assert "hf://someone/else cannot be fetched" in done.stdout
    assert done.returncode == 2  # of the wrong token
    assert "--push someone/cvae:" in done.stderr
    assert "Log in with `hf auth login`" in done.stderr
    assert {"README.md", "config.json", "model.safetensors", "samples.png"} <= set(sent)
    assert "classify.onnx" not in sent
    assert sent["model.safetensors"] == (tmp_path / "cvae/model.safetensors").read_bytes()
    model = load_model(run / "checkpoints/best.ckpt")
    torch.manual_seed(0)
    samples = model.sample(5, torch.arange(5))
    assert torch.equal(torch.load(tmp_path / "samples.pt", weights_only=True), samples)
    # the stand-in is gone: what was fetched stays
    load = "from lit_models import load_model; print(load_model('hf://someone/cvae').latent_dim)"
    assert program(load, cwd=tmp_path, HF_HUB_OFFLINE="1").stdout == "4\n"


def test_a_name_that_the_hub_does_not_take(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, words in (("vae", "--push takes OWNER/NAME, such as someone/vae, got vae"), ("a b/c", "--push a b/c:")):
        assert words in refused(capsys, str(run), f"--to={tmp_path / 'new'}", "--formats=safetensors", f"--push={name}")
        assert not list(tmp_path.iterdir())


def test_words_that_would_do_nothing(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weights = [str(run), f"--to={tmp_path / 'new'}", "--formats=safetensors"]
    assert "--verbs are of graphs, got --formats safetensors" in refused(capsys, *weights, "--verbs=sample")
    assert "--data_dir and --examples are of a space" in refused(capsys, *weights, "--data_dir=data")


def test_a_checkpoint_alone_has_its_file_s_name(run: Path, tmp_path: Path) -> None:
    shutil.copy(run / "checkpoints/best.ckpt", tmp_path / "mine.ckpt")
    assert open_run(tmp_path / "mine.ckpt").name == "mine"
    assert open_run(run / "checkpoints/best.ckpt").name == "cvae/version_0"


def test_a_recipe_without_an_argument(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    del config["recipe"]["init_args"]["image_shape"]
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=r"names arguments that do not fit .*LitVAE: .*missing .* 'image_shape'"):
        load_model(folder)


def test_addresses() -> None:
    for address in ("hf://someone", "hf:///name", "hf://a/b/c"):
        with pytest.raises(ValueError, match="an address on the Hub is hf://OWNER/NAME"):
            load_model(address)


@pytest.mark.slow
def test_a_model_of_one_s_own_network_is_trusted_by_name(tmp_path: Path) -> None:
    words = ["--model=LitVAE", "--model.encoder=tests.mine.MyEncoder", "--data=DigitsDataModule"]
    words += [f"--trainer.default_root_dir={tmp_path}", "--trainer.max_epochs=1", "--trainer.limit_train_batches=1"]
    words += ["--trainer.enable_progress_bar=false", "--trainer.accelerator=cpu", "--model.decoder.hidden_dims=[8]"]
    train.main(["fit", *words])
    run = tmp_path / "LitVAE/version_0"
    folder = weights_alone(run, tmp_path / "mine", "--trusted", "tests.mine")
    with pytest.raises(ValueError, match=r"load with trusted=\['tests'\]"):
        load_model(folder)
    model = load_model(folder, trusted=["tests.mine"])
    assert isinstance(model, LitVAE)
    assert yaml.safe_load((folder / "config.yaml").read_text())["model"]["class_path"] == "lit_models.LitVAE"
