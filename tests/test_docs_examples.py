"""The examples in docs/ run, and pages show them as they are."""

import re
import runpy
from functools import partial
from pathlib import Path
from typing import Any

import lightning
import pytest
import torch

from lit_models import LitVAE

DOCS = Path(__file__).parent.parent / "docs"


def test_an_encoder_and_data_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    trained = []

    class ShortTrainer(lightning.Trainer):
        def __init__(self, max_epochs: int) -> None:
            quiet: dict[str, Any] = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar"), False)
            super().__init__(max_epochs=1, accelerator="cpu", enable_model_summary=False, log_every_n_steps=1, **quiet)

        def fit(self, model: Any, datamodule: Any) -> None:  # type: ignore[override]
            super().fit(model, datamodule=datamodule)
            trained.append(model)

    monkeypatch.setattr(lightning, "Trainer", ShortTrainer)
    names = runpy.run_path(str(DOCS / "examples" / "own_encoder.py"), run_name="__main__")
    (model,) = trained
    assert isinstance(model, LitVAE)
    assert isinstance(model.encoder, names["TwoConvolutions"])
    assert model.sample(3).shape == (3, 1, 16, 16)
    images = torch.rand(2, 1, 16, 16)
    assert model.encode(images).shape == (2, 4)
    assert model.trainer.callback_metrics["val/loss"] < 256  # nats of 16 x 16 coins are 177


def test_the_example_is_short_and_stands_on_its_page() -> None:
    example = (DOCS / "examples" / "own_encoder.py").read_text()
    assert len(example.splitlines()) < 40
    assert f"```python\n{example}```" in (DOCS / "own_network.md").read_text()


def python_blocks(page: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)


def test_a_network_of_ones_own() -> None:
    names: dict[str, Any] = {}
    exec(python_blocks("own_network.md")[0], names)
    model = LitVAE((1, 8, 8), encoder=partial(names["MyEncoder"], width=32))
    assert model.encode(torch.rand(3, 1, 8, 8)).shape == (3, 20)


def test_a_model_of_ones_own() -> None:
    names: dict[str, Any] = {}
    exec(python_blocks("own_model.md")[0], names)
    model = names["LinearAutoencoder"]((1, 8, 8), latent_dim=5)
    x = torch.rand(3, 1, 8, 8)
    model.step(x, None, "train").backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    assert (model.encode(x).shape, model.reconstruct(x).shape, model.sample(2).shape) == (
        (3, 5),
        (3, 1, 8, 8),
        (2, 1, 8, 8),
    )


def test_callbacks_of_ones_own(tmp_path: Path) -> None:
    names: dict[str, Any] = {}
    for block in python_blocks("own_callback.md"):
        exec(block, names)
    model = LitVAE((1, 8, 8), latent_dim=2)
    loader = torch.utils.data.DataLoader(torch.rand(8, 1, 8, 8), batch_size=4)
    callbacks = [names["Brightness"](n=20), names["SayLoss"]()]
    quiet: dict[str, Any] = {"enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}
    trainer = lightning.Trainer(
        default_root_dir=tmp_path, max_epochs=1, callbacks=callbacks, num_sanity_val_steps=0, logger=False, **quiet
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        trainer.fit(model, loader, loader)
    assert list(tmp_path.rglob("brightness_epoch001.png"))


# the page's loader is for training alone, and has no worker processes
@pytest.mark.filterwarnings(
    "ignore:You defined a `validation_step`", "ignore:The 'train_dataloader' does not have many"
)
def test_a_loader_of_ones_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    usual = {"accelerator": "cpu", "enable_progress_bar": False, "fast_dev_run": True}
    monkeypatch.setattr(lightning, "Trainer", partial(lightning.Trainer, **usual))
    exec(python_blocks("own_data.md")[0], {})


@pytest.mark.parametrize("page", sorted([DOCS.parent / "README.md", *DOCS.rglob("*.md")]), ids=lambda path: path.stem)
def test_links_and_pictures_of_pages_are_there(page: Path) -> None:
    """Links to files, as a code host follows them; the site's build checks headings too."""
    text = re.sub(r"```.*?```|`[^`]*`", "", page.read_text(), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)#\s]+)", text):
        assert "://" in target or (page.parent / target).exists(), f"{page.name} links to {target}, which is not there"
