"""The console command, and the wheel that brings it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import lit_models
from lit_generative import train
from lit_generative.command import main
from lit_generative.configs import CONFIGS, config_names, summary, with_paths

ROOT = Path(__file__).parent.parent


def test_every_config_has_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    main(["configs"])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == config_names()
    assert len(lines) == len(list((ROOT / "configs").glob("*.yaml")))
    for name in config_names():
        assert 10 < len(summary(name)) < 300, name


def test_a_config_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    main(["configs", "quickstart"])
    assert capsys.readouterr().out.strip() == (CONFIGS / "quickstart.yaml").read_text().strip()
    with pytest.raises(SystemExit, match="there is no config quickstarts: lit-generative configs lists them"):
        main(["configs", "quickstarts"])


def test_version_and_usage(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--version"])
    assert capsys.readouterr().out == f"{lit_models.__version__}\n"
    main([])
    assert "usage: lit-generative COMMAND" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="0"):
        train.main(["--version"])
    assert lit_models.__version__ in capsys.readouterr().out


def test_help_can_be_read(capsys: pytest.CaptureFixture[str]) -> None:
    """Without the names of the hundreds of torch's modules that an augmentation may be."""
    with pytest.raises(SystemExit) as end:
        train.main(["fit", "--data.help=MaskDataModule"])
    assert end.value.code == 0
    said = capsys.readouterr().out
    assert "--data.class_colors" in said
    assert len(said.splitlines()) < 100


def test_a_config_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = str(CONFIGS / "quickstart.yaml")
    for words in (["--config", "quickstart"], ["--config=quickstart"], ["-c", "quickstart"]):
        assert with_paths(["fit", *words])[-1].removeprefix("--config=") == known
    other = ["fit", "--config", "other.yaml", "--experiment", "quickstart", "--model", "quickstart"]
    assert with_paths(other) == other
    monkeypatch.chdir(tmp_path)
    (tmp_path / "quickstart").write_text("mine")
    assert with_paths(["fit", "--config", "quickstart"])[-1] == "quickstart"


def test_the_other_programs(capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("report", "export", "demo"):
        with pytest.raises(SystemExit, match="0"):
            main([name, "--help"])
        assert f"usage: {name}.py" in capsys.readouterr().out


OTHERS = """
import callbacks, datamodules, evaluation
from lit_generative.command import main
from lit_models import load_model

main(["--version"])
main(["configs"])
main(["export", "runs/quickstart/version_0", "--to", "out", "--formats", "safetensors"])
print(load_model("out").latent_dim)
"""


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.skipif(shutil.which("uv") is None, reason="uv builds the wheel")
def test_the_wheel_trains_the_quick_start_from_an_empty_folder(tmp_path: Path) -> None:
    def run(*words: str | Path, cwd: Path = tmp_path, **environment: str) -> str:
        # what is imported is compiled, and no more of torch
        ours = ("PYTHONPATH", "VIRTUAL_ENV", "UV_COMPILE_BYTECODE", "PYTHONDONTWRITEBYTECODE")
        known = {key: value for key, value in os.environ.items() if key not in ours}
        done = subprocess.run(
            list(map(str, words)), cwd=cwd, env=known | environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run("uv", "build", "--wheel", "--out-dir", tmp_path / "wheels", ROOT)
    (wheel,) = (tmp_path / "wheels").glob("*.whl")
    assert wheel.name == f"lit_generative-{lit_models.__version__}-py3-none-any.whl"
    run("uv", "venv", "--python", sys.executable, tmp_path / "env")
    run("uv", "pip", "install", "--python", tmp_path / "env/bin/python", f"{wheel}[export]")
    empty = tmp_path / "empty"
    empty.mkdir()
    words = ["fit", "--config", "quickstart", "--trainer.max_epochs", "2"]
    said = run(tmp_path / "env/bin/lit-generative", *words, cwd=empty)
    assert "best checkpoint: runs/quickstart/version_0/checkpoints/best.ckpt" in said
    said = run(tmp_path / "env/bin/python", "-c", OTHERS, cwd=empty)
    assert said.startswith(f"{lit_models.__version__}\n")
    assert "\nquickstart " in said
    assert said.endswith("\n8\n")
    assert {path.name for path in empty.iterdir()} == {"runs", "out"}
