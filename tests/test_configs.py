"""Every YAML in configs/, found by globbing, through train.main on small generated data."""

from pathlib import Path

import pytest
import yaml

import train

CONFIGS = sorted((Path(__file__).parent.parent / "configs").glob("*.yaml"))


@pytest.fixture(scope="module")
def a_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of some encoder, for the configs that look at one."""
    root = tmp_path_factory.mktemp("encoder")
    data = ["--data=DigitsDataModule", "--trainer.enable_progress_bar=false", f"--trainer.default_root_dir={root}"]
    train.main(["fit", "--model=LitVAE", "--model.hidden_dims=[16]", *data, "--trainer.max_epochs=1"])
    return root / "LitVAE" / "version_0" / "checkpoints" / "last.ckpt"


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_config_trains_and_tests(config: Path, fake_data: Path, tmp_path: Path, a_checkpoint: Path) -> None:
    arguments = [
        f"--config={config}",
        f"--data.data_dir={fake_data}",
        "--data.batch_size=32",
        f"--trainer.default_root_dir={tmp_path}",
        "--trainer.enable_progress_bar=false",
        "--trainer.accelerator=cpu",
    ]
    if "encoder_ckpt" in config.read_text():
        arguments.append(f"--model.encoder_ckpt={a_checkpoint}")
    train.main(["fit", *arguments, "--trainer.max_epochs=2", "--trainer.limit_train_batches=3"])
    run = tmp_path / config.stem / "version_0"
    assert (run / "checkpoints" / "last.ckpt").is_file()
    assert (run / "metrics.csv").is_file()
    assert list(run.glob("events.out.tfevents.*"))

    cli = train.main(["test", *arguments, f"--ckpt_path={run}/checkpoints/last.ckpt"])
    if yaml.safe_load(config.read_text())["trainer"].get("callbacks"):
        assert list((tmp_path / config.stem).glob("version_*/pictures/*.png"))
    assert any(name.startswith("test/") for name in cli.trainer.callback_metrics)


def test_there_are_configs() -> None:
    assert CONFIGS
