"""Arrows between the rooms: functional <- networks <- lit_models <- lit_generative; evaluation <- callbacks."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = ("lit_models", "datamodules", "callbacks", "optim", "evaluation", "exporting", "playground")
ROOMS += ("lit_generative", "train", "report", "export", "demo")
# room: what its files may import of ours
ALLOWED = {
    "lit_models/functional": ("lit_models.functional",),
    "lit_models/networks": ("lit_models.functional", "lit_models.networks"),
    "lit_models": ("lit_models",),
    "datamodules": ("datamodules",),
    "evaluation": ("evaluation",),
    "callbacks": ("callbacks", "evaluation"),
    "optim": ("optim",),
    "exporting": ("exporting", "callbacks", "lit_models"),
    "playground": ("playground", "callbacks.verbs", "callbacks.evaluation_mode"),
}


def imports_of_ours(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide where an arrow points"
            names.add(node.module or "")
    return {name for name in names if name.split(".")[0] in ROOMS}


@pytest.mark.parametrize("room", ALLOWED)
def test_arrows_run_one_way(room: str) -> None:
    files = list((ROOT / room).glob("*.py"))
    assert files
    for path in files:
        for name in imports_of_ours(path):
            fits = any(name == allowed or name.startswith(allowed + ".") for allowed in ALLOWED[room])
            assert fits, f"{path.relative_to(ROOT)} imports {name}"


def test_the_command_line_names_no_model() -> None:
    for name in ("train.py", "cli.py", "runs.py", "precision.py", "configs.py", "command.py"):
        # an error may name one as an example
        names = re.findall(r"\bLit[A-Z]\w+", (ROOT / "lit_generative" / name).read_text().replace("--model LitVAE", ""))
        assert not names, f"{name} names {names}"


def test_no_utils() -> None:
    assert not list(ROOT.glob("[!.]*/**/utils.py"))


def test_only_the_page_needs_gradio() -> None:
    """The extra is imported by modules of the page alone, which demo.py imports when it is there."""
    files = [path for path in ROOT.glob("[!.]*/**/*.py") if "tests" not in path.parts] + list(ROOT.glob("*.py"))
    asks = re.compile(r"^\s*(import|from) gradio", re.MULTILINE)
    found = {str(path.relative_to(ROOT)) for path in files if asks.search(path.read_text())}
    assert found == {f"playground/{name}.py" for name in ("choosing", "events", "page", "rooms")}
    for name in ("abilities", "pictures", "examples", "encoded"):
        assert not re.search(r"playground\.(choosing|events|page|rooms)", (ROOT / f"playground/{name}.py").read_text())
