"""The tutorials in docs/tutorials run as they are, with few epochs; their pages have the pictures that they show."""

import re
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest

import train
from docs.site_hooks import cells, page_of_script
from lit_generative import judge

ROOT = Path(__file__).parent.parent
TUTORIALS = ROOT / "docs" / "tutorials"


def run(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", [name])
    monkeypatch.setenv("TUTORIAL_EPOCHS", "2")
    monkeypatch.setenv("TUTORIAL_RUNS", str(folder))
    runpy.run_module(f"docs.tutorials.{name}", run_name="__main__")


@pytest.mark.long
@pytest.mark.slow
def test_from_a_folder_of_pictures_to_a_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = judge._settings

    def one_epoch(*arguments: Any) -> dict[str, Any]:
        found = settings(*arguments)
        return found | {"trainer": found["trainer"] | {"max_epochs": 1}}

    monkeypatch.setattr(judge, "_settings", one_epoch)  # its classifier takes most of the time
    run("own_pictures", tmp_path, monkeypatch)
    said = capsys.readouterr().out
    assert re.search(r"^vae +FD +\d+\.\d\d \+- ", said, re.MULTILINE)
    assert (tmp_path / "report" / "report.html").is_file()
    assert list((tmp_path / "vae" / "version_0" / "pictures").glob("samples_*.png"))


@pytest.mark.slow
def test_a_new_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    run("new_model", tmp_path, monkeypatch)
    said = capsys.readouterr().out
    assert re.search(r"^codes +\d\d\.\d% of the test images right$", said, re.MULTILINE)
    assert list(tmp_path.glob("lightning_logs/version_0/pictures/samples_*.png"))


@pytest.mark.slow
def test_the_new_model_on_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = [text for kind, text in cells((TUTORIALS / "new_model.py").read_text()) if kind == "python"]
    assert len(code[1].splitlines()) <= 50
    (tmp_path / "bernoulli.py").write_text("\n\n\n".join(code[:2]) + "\n")
    monkeypatch.syspath_prepend(tmp_path)
    words = ["--model=bernoulli.BernoulliRBM", "--model.hidden_dim=16", "--model.optimizer=torch.optim.Adam"]
    words += ["--model.optimizer.lr=3e-3", "--data=DigitsDataModule", "--data.binarize=true", "--trainer.max_epochs=1"]
    words += ["--trainer.accelerator=cpu", "--trainer.log_every_n_steps=1", f"--trainer.default_root_dir={tmp_path}"]
    model = train.main(["fit", *words, "--trainer.callbacks+=SampleGrid"]).model
    assert model.weight.shape == (16, 784)
    assert list(tmp_path.glob("*/version_0/checkpoints/last.ckpt"))


@pytest.mark.parametrize("script", sorted(TUTORIALS.glob("*.py")), ids=lambda path: path.stem)
def test_pages_of_tutorials(script: Path) -> None:
    page = page_of_script(script.read_text(), script.name)
    assert page.startswith("# ")
    assert page.count("```") % 2 == 0
    assert "# %%" not in page
    pictures = re.findall(r"\]\((\.\./images/[\w.]+)\)", page)
    assert pictures
    for target in [*pictures, *re.findall(r"\]\((\.\./\w+\.md)\)", page)]:
        assert (TUTORIALS / target).is_file(), target
    assert all((TUTORIALS / picture).stat().st_size < 150_000 for picture in pictures)
