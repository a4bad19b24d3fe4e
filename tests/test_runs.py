"""Run folders: one each, whatever the loggers and the processes; keywords of --ckpt_path; what writes nothing."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml
from lightning.pytorch import Trainer
from lightning.pytorch.utilities import rank_zero_only

from callbacks import run_folder
from lit_generative import train
from lit_generative.runs import find_checkpoint, root_folder, take_run_folder
from tests.test_train import arguments, fit


def test_runs_started_together_have_a_folder_each(tmp_path: Path) -> None:
    with ThreadPoolExecutor() as pool:
        taken = list(pool.map(lambda _: take_run_folder(tmp_path, "a"), range(8)))
    assert sorted(path.name for path in taken) == [f"version_{number}" for number in range(8)]
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == sorted(path.name for path in taken)


def test_the_next_number_is_counted_as_a_number(tmp_path: Path) -> None:
    for name in ("version_2", "version_10", "version_x"):
        (tmp_path / "a" / name).mkdir(parents=True)
    assert take_run_folder(tmp_path, "a") == tmp_path / "a" / "version_11"


def test_other_processes_take_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rank_zero_only, "rank", 1)
    assert take_run_folder(tmp_path, "a") == tmp_path / "a"
    monkeypatch.undo()
    monkeypatch.setenv("NODE_RANK", "1")  # a second machine, started by hand
    assert take_run_folder(tmp_path, "a") == tmp_path / "a"
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("")
    with pytest.raises(ValueError, match=r"run folder .*a/version_N cannot be made \(File exists\): pass another"):
        take_run_folder(tmp_path, "a")


def test_a_root_with_a_tilde_and_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("RUNS", "mine")
    assert root_folder("~/$RUNS") == tmp_path / "mine"


LOGGERS = {
    "none": ["--trainer.logger=false"],
    "own": ["--trainer.logger=lightning.pytorch.loggers.CSVLogger", "--trainer.logger.save_dir={elsewhere}"],
}


@pytest.mark.parametrize("logger", LOGGERS)
@pytest.mark.slow
def test_a_run_has_its_folder_whatever_the_logger(logger: str, tmp_path: Path) -> None:
    words = [word.format(elsewhere=tmp_path / "elsewhere") for word in LOGGERS[logger]]
    words += ["--trainer.max_epochs=1", "--experiment=mine", "--trainer.callbacks+=SampleGrid"]
    for number in range(2):
        fit(tmp_path / "runs", *words)
        run = tmp_path / "runs" / "mine" / f"version_{number}"
        for name in ("config.yaml", "checkpoints/best.ckpt", "checkpoints/last.ckpt", "pictures/samples_epoch001.png"):
            assert (run / name).is_file(), name
    assert {path.name for path in (tmp_path / "runs").rglob("version_*")} == {"version_0", "version_1"}
    assert list(tmp_path.glob("elsewhere/**/metrics.csv")) or logger == "none"
    train.main(["predict", *arguments(tmp_path / "runs"), *words[:-1], "--ckpt_path=last"])
    assert (tmp_path / "runs/mine/version_2/codes.npz").is_file()


def test_the_run_folder_of_a_plain_trainer(tmp_path: Path) -> None:
    trainer = Trainer(default_root_dir=tmp_path, accelerator="cpu")
    assert run_folder(trainer) == tmp_path / "lightning_logs" / "version_0"
    assert run_folder(Trainer(default_root_dir=tmp_path, accelerator="cpu", logger=False)) == tmp_path


def test_keywords_stand_for_the_newest_run_that_has_the_file(tmp_path: Path) -> None:
    for version, names in (("version_2", ["last", "best"]), ("version_10", ["last"]), ("version_11", [])):
        folder = tmp_path / "a" / version / "checkpoints"
        folder.mkdir(parents=True)
        for name in names:
            (folder / f"{name}.ckpt").write_text("")
    (tmp_path / "a/version_2/hpc_ckpt_1.ckpt").write_text("")
    assert find_checkpoint("last", tmp_path, "a") == tmp_path / "a/version_10/checkpoints/last.ckpt"
    assert find_checkpoint("best", tmp_path, "a") == tmp_path / "a/version_2/checkpoints/best.ckpt"
    assert find_checkpoint("hpc", tmp_path, "a") == tmp_path / "a/version_2/hpc_ckpt_1.ckpt"
    with pytest.raises(
        FileNotFoundError, match=r"--ckpt_path last is the checkpoints/last.ckpt of the newest run .*/b"
    ):
        find_checkpoint("last", tmp_path, "b")


def test_ckpt_path_last_and_best(tmp_path: Path) -> None:
    first = fit(tmp_path, "--trainer.max_epochs=1", "--experiment=a").trainer
    second = fit(tmp_path, "--trainer.max_epochs=2", "--experiment=a", "--ckpt_path=last").trainer
    assert second.global_step == 2 * first.global_step
    cli = train.main(["test", *arguments(tmp_path, "--experiment=a"), "--ckpt_path=best"])
    assert str(cli.trainer.ckpt_path).endswith("a/version_1/checkpoints/best.ckpt")
    with pytest.raises(FileNotFoundError, match=r"no run in .*/b has one: pass the path"):
        fit(tmp_path, "--experiment=b", "--ckpt_path=last")
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize("option", ["--trainer.barebones=true", "--trainer.fast_dev_run=true"])
def test_a_trial_writes_nothing(option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a config's callbacks and intervals, which Lightning refuses in barebones mode."""
    monkeypatch.chdir(tmp_path)
    config = {
        "trainer": {"log_every_n_steps": 10, "callbacks": [{"class_path": "SampleGrid"}], "enable_progress_bar": None}
    }
    (tmp_path / "a.yaml").write_text(yaml.dump(config))
    words = arguments(tmp_path / "runs", "--trainer.max_epochs=1", option)
    words.remove("--trainer.enable_progress_bar=false")
    cli = train.main(["fit", "--config=a.yaml", *words])
    assert cli.trainer.global_step > 0
    assert [path.name for path in tmp_path.iterdir()] == ["a.yaml"]


@pytest.mark.slow
def test_a_runs_own_config_runs_again(tmp_path: Path) -> None:
    fit(tmp_path, "--trainer.max_epochs=1", "--experiment=a", "--trainer.callbacks+=ReconstructionMSE")
    config = f"--config={tmp_path}/a/version_0/config.yaml"
    train.main(["fit", config])
    for command in ("validate", "test", "predict"):
        train.main([command, config, "--ckpt_path=last"])
    assert len(list((tmp_path / "a").iterdir())) == 5
