"""The command line: run folders, checkpoints, resume, links, clear answers."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lit_generative import train
from lit_generative.cli import GenerativeCLI
from lit_models import LitVAE
from tests.processes import assert_ranks_are_equal, fit_on_two

ROOT = Path(__file__).parent.parent


VAE = [
    "--model=LitVAE",
    "--model.latent_dim=2",
    "--model.encoder.hidden_dims=[8]",
    "--model.decoder.hidden_dims=[8]",
]


def arguments(root: Path, *more: str, model: list[str] = VAE) -> list[str]:
    return [
        *model,
        "--data=DigitsDataModule",
        f"--trainer.default_root_dir={root}",
        "--trainer.enable_progress_bar=false",
        "--trainer.accelerator=cpu",
        *more,
    ]


def fit(root: Path, *more: str) -> GenerativeCLI:
    return train.main(["fit", *arguments(root, *more)])


def test_a_run_lands_in_one_folder_and_says_where(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fit(tmp_path, "--trainer.max_epochs=2", "--experiment=mine")
    run = tmp_path / "mine" / "version_0"
    for name in ("config.yaml", "metrics.csv", "checkpoints/best.ckpt", "checkpoints/last.ckpt"):
        assert (run / name).is_file(), name
    said = capsys.readouterr().out
    for place in (run / "checkpoints" / "best.ckpt", run / "checkpoints" / "last.ckpt"):
        assert str(place) in said
    assert f"tensorboard --logdir {tmp_path}" in said
    fit(tmp_path, "--trainer.max_epochs=1", "--experiment=mine")
    assert {path.name for path in (tmp_path / "mine").iterdir()} == {"version_0", "version_1"}


def test_one_callback_needs_no_list(tmp_path: Path) -> None:
    cli = fit(tmp_path, "--trainer.max_epochs=1", "--trainer.callbacks=callbacks.ReconstructionMSE")
    assert "val/reconstruction_mse" in cli.trainer.callback_metrics


def test_figures_are_logged_by_split_over_batches(tmp_path: Path) -> None:
    cli = fit(tmp_path, "--trainer.max_epochs=2", "--data.batch_size=100")
    steps = 2 * len(cli.datamodule.train_dataloader())
    assert cli.trainer.global_step == steps
    events = EventAccumulator(str(tmp_path / "LitVAE" / "version_0")).Reload()
    for split in ("train", "val"):
        for name in ("loss", "reconstruction", "kl", "active_units"):
            points = events.Scalars(f"{split}/{name}")
            assert [point.step for point in points] == [steps // 2 - 1, steps - 1], name


def test_image_shape_and_classes_come_from_the_data(tmp_path: Path) -> None:
    cli = fit(tmp_path, "--trainer.max_epochs=1", "--model.conditional=true")
    assert cli.model.image_shape == (1, 28, 28)
    assert cli.model.num_classes == 10


@pytest.mark.slow
def test_checkpoint_of_the_command_line_loads_at_a_prompt(tmp_path: Path) -> None:
    cli = fit(tmp_path, "--trainer.max_epochs=1", "--model.conditional=true")
    path = tmp_path / "LitVAE/version_0/checkpoints/last.ckpt"
    hyperparameters = torch.load(path, weights_only=True)["hyper_parameters"]
    assert hyperparameters["latent_dim"] == 2
    # a fresh interpreter, with nothing of the command line imported
    code = f"from lit_models import LitVAE; print(LitVAE.load_from_checkpoint({str(path)!r}).image_shape)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "(1, 28, 28)"
    loaded = LitVAE.load_from_checkpoint(path)
    for name, parameter in cli.model.named_parameters():
        assert torch.equal(parameter, loaded.get_parameter(name))


@pytest.mark.slow
def test_resume_goes_on_at_the_next_epoch_with_the_same_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, list[int]]] = []
    step = LitVAE.training_step

    def spy(self: LitVAE, batch: tuple[torch.Tensor, torch.Tensor], batch_idx: int) -> torch.Tensor:
        seen.append((self.current_epoch, batch[1].tolist()))
        return step(self, batch, batch_idx)

    monkeypatch.setattr(LitVAE, "training_step", spy)
    fit(tmp_path, "--trainer.max_epochs=3", "--experiment=whole")
    whole, seen = seen, []
    fit(tmp_path, "--trainer.max_epochs=2", "--experiment=part")
    seen.clear()
    cli = fit(
        tmp_path,
        "--trainer.max_epochs=3",
        f"--ckpt_path={tmp_path}/part/version_0/checkpoints/last.ckpt",
    )
    assert seen == [(epoch, labels) for epoch, labels in whole if epoch == 2]
    assert cli.trainer.global_step == len(whole)


@pytest.mark.slow
def test_a_worse_epoch_after_resuming_does_not_become_the_best(tmp_path: Path) -> None:
    trainer = fit(tmp_path, "--trainer.max_epochs=3", "--experiment=first").trainer
    first, last = trainer.checkpoint_callbacks
    cli = fit(
        tmp_path,
        "--trainer.max_epochs=4",
        "--model.beta=1000",  # makes every later val/loss worse
        f"--ckpt_path={last.best_model_path}",
    )
    assert cli.trainer.checkpoint_callback.best_model_path == first.best_model_path
    assert cli.trainer.checkpoint_callback.best_model_score == first.best_model_score


def test_best_is_the_epoch_of_lowest_validation_loss(tmp_path: Path) -> None:
    cli = fit(tmp_path, "--trainer.max_epochs=4")
    with (tmp_path / "LitVAE/version_0/metrics.csv").open() as file:
        losses = [float(row["val/loss"]) for row in csv.DictReader(file) if row["val/loss"]]
    assert len(losses) == 4
    assert cli.trainer.checkpoint_callback.best_model_score.item() == pytest.approx(min(losses), rel=1e-6)


def test_last_is_the_last_epoch_also_where_it_is_not_the_best(tmp_path: Path) -> None:
    cli = fit(tmp_path, "--trainer.max_epochs=3", "--checkpoint.monitor=val/kl")  # which grows
    best, last = (
        torch.load(tmp_path / f"LitVAE/version_0/checkpoints/{name}.ckpt", weights_only=True)
        for name in ("best", "last")
    )
    assert best["epoch"] < last["epoch"] == 2
    for name, parameter in cli.model.named_parameters():
        assert torch.equal(parameter, last["state_dict"][name]), name


def test_a_gan_is_judged_by_its_own_figure_where_none_is_named(tmp_path: Path) -> None:
    root = [
        f"--trainer.default_root_dir={tmp_path}",
        "--trainer.enable_progress_bar=false",
        "--trainer.accelerator=cpu",
    ]
    limits = ["--trainer.max_epochs=1", "--trainer.limit_train_batches=2", "--trainer.limit_val_batches=2"]
    narrow = ["--model.generator.channels=[8,8,8,8]", "--model.discriminator.channels=[8,8,8,8]"]
    words = ["fit", "--model=LitGAN", *narrow, "--data=DigitsDataModule", "--data.batch_size=8", *limits, *root]
    best, _ = train.main([*words, "--trainer.log_every_n_steps=1"]).trainer.checkpoint_callbacks
    assert best.monitor == "val/sliced_wasserstein"
    assert Path(best.best_model_path).is_file()


def test_without_validation_only_the_last_checkpoint_is_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fit(tmp_path, "--trainer.max_epochs=1", "--data.val_fraction=0")
    assert [path.name for path in (tmp_path / "LitVAE/version_0/checkpoints").iterdir()] == ["last.ckpt"]
    said = capsys.readouterr().out
    assert "last checkpoint: " in said
    assert "best checkpoint" not in said


@pytest.mark.parametrize("option", ["--trainer.enable_checkpointing=false", "--trainer.fast_dev_run=true"])
def test_a_run_without_checkpoints(option: str, tmp_path: Path) -> None:
    fit(tmp_path, "--trainer.max_epochs=1", option)
    assert not list(tmp_path.rglob("*.ckpt"))


def test_validate_and_test_log_their_figures(tmp_path: Path) -> None:
    fit(tmp_path, "--trainer.max_epochs=1", "--experiment=a")
    checkpoint = f"--ckpt_path={tmp_path}/a/version_0/checkpoints/best.ckpt"
    for command, split in (("validate", "val"), ("test", "test")):
        cli = train.main([command, *arguments(tmp_path), checkpoint])
        assert set(cli.trainer.callback_metrics) == {
            f"{split}/{name}" for name in ("loss", "reconstruction", "kl", "active_units")
        }


def test_a_runs_own_config_goes_on_under_its_name(tmp_path: Path) -> None:
    fit(tmp_path, "--trainer.max_epochs=1", "--experiment=a")
    run = tmp_path / "a" / "version_0"
    train.main(["test", f"--config={run}/config.yaml", f"--ckpt_path={run}/checkpoints/best.ckpt"])
    assert {path.name for path in tmp_path.iterdir()} == {"a"}
    assert (tmp_path / "a" / "version_1" / "metrics.csv").is_file()


def test_testing_random_weights_is_said(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="test without --ckpt_path: the model's weights are random"):
        train.main(["test", *arguments(tmp_path)])


def test_validating_without_a_validation_split(tmp_path: Path) -> None:
    fit(tmp_path, "--trainer.max_epochs=1", "--experiment=a")
    checkpoint = f"--ckpt_path={tmp_path}/a/version_0/checkpoints/best.ckpt"
    with pytest.raises(ValueError, match="no validation split to validate on: val_fraction is 0"):
        train.main(["validate", *arguments(tmp_path, "--data.val_fraction=0"), checkpoint])


def test_a_checkpoint_that_does_not_fit(tmp_path: Path) -> None:
    fit(tmp_path, "--trainer.max_epochs=1", "--experiment=a")
    checkpoint = f"--ckpt_path={tmp_path}/a/version_0/checkpoints/best.ckpt"
    message = (
        r"best.ckpt holds the weights of another architecture .*LitVAE with latent_dim=2 \(here 3\)\. Use the config"
    )
    with pytest.raises(ValueError, match=message):
        train.main(["test", *arguments(tmp_path, "--model.latent_dim=3"), checkpoint])
    with pytest.raises(FileNotFoundError, match=r"there is no checkpoint nowhere.ckpt: train.py fit writes them"):
        train.main(["test", *arguments(tmp_path), "--ckpt_path=nowhere.ckpt"])


@pytest.mark.parametrize("model", ["LitVAE", "LitRBM"])
def test_predict_writes_codes_of_the_test_split(model: str, tmp_path: Path) -> None:
    models = {"LitVAE": VAE, "LitRBM": ["--model=LitRBM", "--model.hidden_dim=2"]}
    words = arguments(tmp_path, "--experiment=a", model=models[model])
    train.main(
        ["fit", *words, "--trainer.max_epochs=1", "--trainer.limit_train_batches=2", "--trainer.log_every_n_steps=1"]
    )
    cli = train.main(["predict", *words, f"--ckpt_path={tmp_path}/a/version_0/checkpoints/last.ckpt"])
    with np.load(tmp_path / "a/version_1/codes.npz") as file:
        written = dict(file)
    assert written["codes"].shape == (359, 2)
    images, labels = cli.datamodule.split("test")
    assert np.array_equal(written["labels"], labels.numpy())
    x = images.float() / 255
    torch.testing.assert_close(torch.from_numpy(written["codes"]), cli.model.encode(x).detach())


@pytest.mark.filterwarnings("ignore:predict without --ckpt_path")
def test_a_probe_has_no_codes_to_predict(tmp_path: Path) -> None:
    fit(
        tmp_path,
        "--trainer.max_epochs=1",
        "--experiment=a",
        "--trainer.limit_train_batches=2",
        "--trainer.log_every_n_steps=1",
    )
    words = [
        "--model=LitProbe",
        "--data=EncodedDataModule",
        "--data.data=DigitsDataModule",
        "--data.encoder=lit_models.load_model",
        f"--data.encoder.checkpoint={tmp_path}/a/version_0/checkpoints/last.ckpt",
        f"--trainer.default_root_dir={tmp_path}",
        "--trainer.accelerator=cpu",
    ]
    with pytest.raises(TypeError, match="LitProbe has none: predict with the model it looks at"):
        train.main(["predict", *words])


def test_the_same_seed_gives_the_same_weights(tmp_path: Path) -> None:
    first, second, other = (
        torch.cat(
            [
                p.flatten()
                for p in fit(tmp_path, "--trainer.max_epochs=1", f"--seed_everything={seed}").model.parameters()
            ]
        )
        for seed in (1, 1, 2)
    )
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


@pytest.mark.slow
def test_pictures_leave_no_trace_in_the_weights(tmp_path: Path) -> None:
    plain = fit(tmp_path, "--trainer.max_epochs=2").model
    watched = fit(
        tmp_path,
        "--trainer.max_epochs=2",
        "--trainer.callbacks+=SampleGrid",
        "--trainer.callbacks+=ReconstructionGrid",
        "--trainer.callbacks+=ReconstructionMSE",
    ).model
    for name, parameter in plain.named_parameters():
        assert torch.equal(parameter, watched.get_parameter(name)), name


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["fit", "--model=LitVEA", "--data=DigitsDataModule"], "LitVEA"),
        (["fit", "--model=LitVAE", "--data=NoSuchData"], "NoSuchData"),
        (["fit", "--model=LitVAE", "--data=DigitsDataModule", "--model.latent_dims=3"], "latent_dims"),
        (["fit", "--model=LitVAE", "--data=DigitsDataModule", "--model.latent_dim=three"], "latent_dim"),
        (["fit", "--config=nowhere.yaml"], "nowhere.yaml"),
        (["train"], "'fit', 'validate', 'test', 'predict'"),
        # a class that is not there: those that are
        (["fit", "--model=Nothing", "--data=DigitsDataModule"], "--model: LitAutoencoder"),
        (
            ["fit", "--model=LitVAE", "--data=NoSuchData"],
            "--data: BoxDataModule, BreastCancerDataModule, CIFAR10DataModule, CSVDataModule, C",
        ),
        # no config: the shortest way, and the configs
        (["fit"], "train.py fit --config configs/quickstart.yaml"),
        (["fit", "--trainer.max_epochs=3"], "Configs in configs/: "),
        ([], "vae_fashion_mnist"),
    ],
)
def test_a_mistake_in_the_command_is_named(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        train.main(words)
    assert message in capsys.readouterr().err


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        train.main(["fit", "--help"])
    said = capsys.readouterr().out
    for option in ("--experiment", "--checkpoint.monitor", "--trainer.max_epochs", "--seed_everything"):
        assert option in said


def two_processes(*words: str) -> str:
    """Run `train.py fit` as a user would, on two processes, with warnings as errors; what it printed."""
    command = [sys.executable, "-W", "error::UserWarning", "train.py", "fit", *words]
    command += ["--trainer.devices=2", "--trainer.accelerator=cpu", "--trainer.enable_progress_bar=false"]
    command += ["--trainer.log_every_n_steps=1", "--trainer.callbacks+=tests.ranks.WeightsPerRank"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


@pytest.mark.long
@pytest.mark.slow
def test_two_processes_train_one_model(tmp_path: Path) -> None:
    """Every callback on; one picture, one set of figures, weights equal on both processes."""
    words = arguments(tmp_path, "--trainer.max_epochs=2", "--experiment=ddp")
    for callback in ("SampleGrid", "ReconstructionGrid", "ReconstructionMSE", "LatentTSNE"):
        words.append(f"--trainer.callbacks+={callback}")
    two_processes(*words, "--trainer.callbacks.max_points=50")
    run = tmp_path / "ddp" / "version_0"
    assert [path.name for path in (tmp_path / "ddp").iterdir()] == ["version_0"]
    assert_ranks_are_equal(run)
    names = {path.name for path in (run / "pictures").iterdir()}
    assert {"samples_epoch001.png", "reconstructions_val_epoch002.png", "tsne_mean_epoch002.png"} <= names

    # the figures are those of the whole split, as one process finds them
    checkpoint = f"--ckpt_path={run}/checkpoints/last.ckpt"
    cli = train.main(["validate", *arguments(tmp_path, "--trainer.callbacks+=ReconstructionMSE"), checkpoint])
    with (run / "metrics.csv").open() as file:
        row = [row for row in csv.DictReader(file) if row["val/kl"]][-1]
    for name in ("val/kl", "val/reconstruction_mse"):
        assert float(row[name]) == pytest.approx(cli.trainer.callback_metrics[name].item(), rel=1e-4)


@pytest.mark.slow
def test_two_processes_train_one_gan_without_a_flag(fake_data: Path, tmp_path: Path) -> None:
    """Plain DDP stops at 'parameters not used'; steps count batches here too, and buffers end equal as weights do."""
    said = fit_on_two(
        tmp_path,
        "--config=configs/dcgan_mnist.yaml",
        f"--data.data_dir={fake_data}",
        "--data.batch_size=8",
        "--model.ema_decay=0.9",
        "--model.generator.channels=[8,8,8,8]",
        "--model.discriminator.channels=[8,8,8,8]",
        "--trainer.limit_train_batches=3",
        "--trainer.max_epochs=2",
        "--trainer.log_every_n_steps=1",
        "--trainer.callbacks+=tests.ranks.WeightsPerRank",
        f"--trainer.default_root_dir={tmp_path}",
    )
    assert said.count("DDP is set to find_unused_parameters=True") == 1
    run = tmp_path / "dcgan_mnist" / "version_0"
    assert_ranks_are_equal(run)
    assert torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["global_step"] == 6


@pytest.mark.slow
@pytest.mark.parametrize("how", ["--model.learning=cd", "--model.learning=exact", "--model.chains=persistent"])
def test_two_processes_are_one_with_a_doubled_batch(how: str, fake_data: Path, tmp_path: Path) -> None:
    """Without noise in the chains, that is: two processes draw other noise than one does."""
    words = [
        "--config=configs/rbm_kmnist.yaml",
        "--trainer.callbacks=[tests.ranks.StillChains]",
        how,
        "--model.hidden_dim=6",
        "--model.sigma=shared",
        "--model.optimizer=torch.optim.SGD",
        "--model.optimizer.lr=0.001",
        "--data.val_fraction=0.2",
        "--data.train_fraction=0.8",  # 128 images: four full steps of 32
        f"--data.data_dir={fake_data}",
        "--trainer.max_epochs=2",
        f"--trainer.default_root_dir={tmp_path}",
    ]
    two = ["--data.batch_size=16", "--experiment=two", "--trainer.log_every_n_steps=1"]
    fit_on_two(tmp_path, *words, *two, "--trainer.callbacks+=tests.ranks.WeightsPerRank")
    assert_ranks_are_equal(tmp_path / "two" / "version_0")
    alone = ["--data.batch_size=32", "--experiment=one", "--trainer.enable_progress_bar=false"]
    train.main(["fit", *words, *alone, "--trainer.accelerator=cpu", "--trainer.log_every_n_steps=1"])
    states = [
        torch.load(tmp_path / name / "version_0/checkpoints/last.ckpt", weights_only=True)["state_dict"]
        for name in ("one", "two")
    ]
    for name, value in states[0].items():
        torch.testing.assert_close(value, states[1][name], rtol=1e-4, atol=1e-6, msg=name)
    # and they have moved far more than that
    assert states[0]["log_sigma"].abs() > 0.01


@pytest.mark.slow
def test_samples_are_counted_by_a_trained_classifier(tmp_path: Path) -> None:
    """The README's own words: a classifier's checkpoint on the command line of another model."""
    root = [
        f"--trainer.default_root_dir={tmp_path}",
        "--trainer.enable_progress_bar=false",
        "--trainer.accelerator=cpu",
    ]
    train.main(["fit", "--model=LitClassifier", "--data=DigitsDataModule", "--trainer.max_epochs=1", *root])
    fit(
        tmp_path,
        "--trainer.max_epochs=1",
        "--trainer.callbacks+=ClassCoverage",
        "--trainer.callbacks.classifier=lit_models.load_classifier",
        f"--trainer.callbacks.classifier.checkpoint={tmp_path}/LitClassifier/version_0/checkpoints/best.ckpt",
        "--trainer.callbacks.n=50",
    )
    events = EventAccumulator(str(tmp_path / "LitVAE" / "version_0")).Reload()
    assert sum(events.Scalars(f"samples/count_{label}")[-1].value for label in range(10)) == 50
    assert (tmp_path / "LitVAE/version_0/pictures/class_coverage_epoch001.png").is_file()


@pytest.mark.parametrize(("count", "given", "expected"), [(0, None, ""), (0, "1", "1"), (1, None, None)])
def test_an_absent_gpu_is_not_looked_for_at_every_step(
    count: int, given: str | None, expected: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", given or "")
    if given is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    train.hide_absent_gpu()
    assert os.environ.get("CUDA_VISIBLE_DEVICES") == expected
