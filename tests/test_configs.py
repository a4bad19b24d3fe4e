"""Every YAML in configs/, found by globbing, through train.main on small generated data."""

from pathlib import Path

import pytest
import yaml

import train

CONFIGS = sorted((Path(__file__).parent.parent / "configs").glob("*.yaml"))


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_config_trains_and_tests(config: Path, fake_data: Path, tmp_path: Path) -> None:
    arguments = [
        f"--config={config}",
        f"--data.data_dir={fake_data}",
        "--data.batch_size=32",
        f"--trainer.default_root_dir={tmp_path}",
        "--trainer.enable_progress_bar=false",
        "--trainer.accelerator=cpu",
    ]
    cli = train.main(["fit", *arguments, "--trainer.max_epochs=2", "--trainer.limit_train_batches=3"])
    run = tmp_path / config.stem / "version_0"
    assert (run / "checkpoints" / "last.ckpt").is_file()
    assert (run / "metrics.csv").is_file()
    assert list(run.glob("events.out.tfevents.*"))
    if cli.trainer.callbacks and yaml.safe_load(config.read_text())["trainer"].get("callbacks"):
        assert list((run / "pictures").glob("*.png"))

    cli = train.main(["test", *arguments, f"--ckpt_path={run}/checkpoints/last.ckpt"])
    assert any(name.startswith("test/") for name in cli.trainer.callback_metrics)


def test_there_are_configs() -> None:
    assert CONFIGS
