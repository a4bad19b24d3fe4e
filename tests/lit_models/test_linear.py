"""LitLinear: its solvers against each other, NumPy and scikit-learn; data that are not well-behaved; processes."""

import csv
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import r2_score
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from torch import Tensor
from torch.optim import SGD, Adam
from torch.optim.lr_scheduler import StepLR
from torch.utils.data import DataLoader, TensorDataset

from datamodules import BreastCancerDataModule, DiabetesDataModule, DigitsDataModule, EncodedDataModule
from lit_generative import train
from lit_models import LitLinear, LitProbe, LitVAE, load_model
from tests.lit_models.test_vae import make_trainer
from tests.processes import assert_ranks_are_equal, fit_on_two

# Lightning's word for a run without validation, which most of these are
pytestmark = pytest.mark.filterwarnings("ignore:You defined a `validation_step` but have no `val_dataloader`")


class Noted(Callback):
    """Parameters after each batch, and figures after each epoch."""

    def __init__(self) -> None:
        self.weights: list[Tensor] = []
        self.losses: list[float] = []

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: object) -> None:
        self.weights.append(theta(pl_module))

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.losses.append(float(trainer.callback_metrics["train/loss"]))

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.current_epoch:
            self.losses.append(float(trainer.callback_metrics["train/loss"]))


def theta(model: Any) -> Tensor:
    linear = model.head.linear
    return torch.cat([linear.weight, linear.bias.unsqueeze(1)], 1).detach().clone()


def fit(model: LitLinear, x: Tensor, y: Tensor, folder: Path, batch: int = 16, **options: Any) -> Noted:
    noted = Noted()
    usual = {"precision": "64-true", "enable_checkpointing": False, "log_every_n_steps": 1}
    loader = DataLoader(TensorDataset(x, y), batch_size=batch)
    make_trainer(folder, callbacks=[noted], **(usual | options)).fit(model, loader)
    return noted


def iris() -> tuple[Tensor, Tensor]:
    x, y = load_iris(return_X_y=True)
    return torch.from_numpy(StandardScaler().fit_transform(x)), torch.from_numpy(y)


def cancer() -> tuple[Tensor, Tensor]:
    x, y = load_breast_cancer(return_X_y=True)
    return torch.from_numpy(StandardScaler().fit_transform(x)), torch.from_numpy(y)


def normal(n: int, width: int) -> Tensor:
    return torch.randn(n, width, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


# -- solvers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "optimizer", [partial(SGD, lr=0.02, momentum=0.9), partial(Adam, lr=0.01)], ids=["SGD", "Adam"]
)
@pytest.mark.parametrize("task", ["two classes", "three classes", "numbers"])
def test_the_manual_gradient_takes_autograds_steps(task: str, optimizer: Any, tmp_path: Path) -> None:
    x, y = iris()
    outputs, y = {"two classes": (2, (y > 0).long()), "three classes": (3, y), "numbers": (1, x[:, 0] * 3 + 1)}[task]
    options: dict = {
        "optimizer": optimizer,
        "l2": 0.01,
        "task": "regression" if task == "numbers" else "classification",
    }
    runs = [
        fit(LitLinear((4,), outputs, solver=solver, **options), x, y, tmp_path, max_epochs=3)
        for solver in ("manual", "gradient")
    ]
    assert len(runs[0].weights) == 30
    for by_hand, recorded in zip(runs[0].weights, runs[1].weights, strict=True):
        torch.testing.assert_close(by_hand, recorded, rtol=0, atol=1e-12)
    assert runs[0].losses == pytest.approx(runs[1].losses, rel=1e-6)
    assert runs[0].losses[-1] < runs[0].losses[0]


@pytest.mark.parametrize(("data", "solver"), [(cancer, "newton"), (iris, "newton"), (iris, "newton_diagonal")])
def test_newton_finds_scikit_learns_solution(data: Any, solver: str, tmp_path: Path) -> None:
    x, y = data()
    model = LitLinear(x.shape[1:], int(y.max()) + 1, solver=solver, l2=0.05)  # type: ignore[arg-type]
    fit(model, x, y, tmp_path, batch=1000, max_epochs=10 if solver == "newton" else 80)
    known = LogisticRegression(C=1 / (0.05 * len(x)), tol=1e-12, max_iter=10_000).fit(x.numpy(), y.numpy())
    atol = 1e-5 if solver == "newton" else 1e-2
    torch.testing.assert_close(theta(model)[:, :-1], torch.from_numpy(known.coef_), rtol=0, atol=atol)
    probabilities = torch.from_numpy(known.predict_proba(x.numpy()))
    torch.testing.assert_close(model.classify(x).detach(), probabilities, rtol=0, atol=atol)


def test_one_newton_step_is_least_squares(tmp_path: Path) -> None:
    x, y = normal(40, 3), normal(40, 2)
    models = [LitLinear((3,), 2, "regression", solver, l2=0.1) for solver in ("newton", "closed_form")]  # type: ignore[arg-type]
    for model in models:
        fit(model, x, y, tmp_path, max_epochs=1)
    torch.testing.assert_close(theta(models[0]), theta(models[1]), rtol=0, atol=1e-9)


def test_the_closed_form_is_numpys(tmp_path: Path) -> None:
    data = DiabetesDataModule(batch_size=50, standardize=False)
    model = LitLinear((10,), 1, "regression", "closed_form")
    trainer = make_trainer(tmp_path, max_epochs=1, precision="64-true", enable_checkpointing=False)
    trainer.fit(model, datamodule=data)
    x, y = data.split("train")
    expected = np.linalg.lstsq(np.c_[x.numpy(), np.ones(len(x))], y.numpy(), rcond=None)[0]
    torch.testing.assert_close(theta(model)[0], torch.from_numpy(expected), rtol=1e-8, atol=1e-8)
    (figures,) = trainer.test(model, datamodule=data, verbose=False)
    x, y = data.split("test")
    predicted = model.predict(x).detach().squeeze(1)
    assert predicted.shape == y.shape
    mse = float((predicted - y).square().mean())
    assert figures["test/mse"] == pytest.approx(mse, rel=1e-5)
    assert figures["test/loss"] == pytest.approx(mse / 2, rel=1e-5)
    assert figures["test/r2"] == pytest.approx(r2_score(y.numpy(), predicted.numpy()), rel=1e-5)


def test_targets_far_from_0_keep_their_r2(tmp_path: Path) -> None:
    x = normal(200, 1)
    model = LitLinear((1,), 1, "regression", "closed_form")
    y = 1e5 + x[:, 0] + 0.5 * normal(400, 1)[200:, 0]
    noted = make_trainer(tmp_path, max_epochs=1, precision="64-true", enable_checkpointing=False, log_every_n_steps=1)
    noted.fit(model, DataLoader(TensorDataset(x, y), 16))
    expected = r2_score(y.numpy(), model.predict(x).detach().numpy()[:, 0])
    assert float(noted.callback_metrics["train/r2"]) == pytest.approx(expected, abs=1e-3)


QUIET: dict[str, Any] = {"enable_checkpointing": False, "log_every_n_steps": 1, "limit_val_batches": 0}
COURSEWORK = {  # solver: iteration: train loss, train accuracy, test loss, test accuracy
    "newton": {10: (0.2831, 0.9698, 0.2730, 0.9591), 30: (0.0871, 0.9824, 0.1186, 0.9532)},
    "newton_diagonal": {1: (0.2748, 0.9246, 0.2533, 0.9532), 10: (0.0780, 0.9799, 0.0621, 0.9766)},
}


@pytest.mark.parametrize("solver", COURSEWORK)
def test_the_courseworks_rows(solver: Any, tmp_path: Path) -> None:
    for iterations, expected in COURSEWORK[solver].items():
        data = BreastCancerDataModule(val_fraction=0, test_fraction=0.3, test_seed=10)
        model = LitLinear((30,), 2, solver=solver, step_size=0.1)
        trainer = make_trainer(tmp_path, max_epochs=iterations, **QUIET)
        trainer.fit(model, datamodule=data)
        found = dict(trainer.callback_metrics)
        found |= trainer.test(model, datamodule=data, verbose=False)[0]
        names = ("train/loss", "train/accuracy", "test/loss", "test/accuracy")
        assert [round(float(found[name]), 4) for name in names] == list(expected)


def test_the_courseworks_last_rows_need_its_clamp(tmp_path: Path) -> None:
    """At iteration 49 its probabilities are cut to [1e-4, 1 - 1e-4], where cut gradients are 0: .2463, not .2609."""
    x, y = load_breast_cancer(return_X_y=True)
    x, x_test, y, y_test = train_test_split(x, y, test_size=0.3, random_state=10)
    scaler = StandardScaler().fit(x)
    h, h_test = (np.c_[np.ones(len(part)), scaler.transform(part)] for part in (x, x_test))
    found = {}
    for diagonal in (False, True):
        w = np.zeros(31)
        for _ in range(49):
            p = 1 / (1 + np.exp(-h @ w))
            inside = (p > 1e-4) & (p < 1 - 1e-4)
            gradient, hessian = h.T @ ((p - y) * inside), (h.T * (p * (1 - p) * inside)) @ h
            w = w - 0.1 * (gradient / np.diag(hessian) if diagonal else np.linalg.solve(hessian, gradient))
        p = np.clip(1 / (1 + np.exp(-h_test @ w)), 1e-4, 1 - 1e-4)
        found[diagonal] = round(float(-np.where(y_test == 1, np.log(p), np.log(1 - p)).mean()), 4)
    assert found == {False: 0.2463, True: 0.0752}


def test_with_a_penalty_eight_whole_steps_are_enough(tmp_path: Path) -> None:
    data = BreastCancerDataModule(val_fraction=0, test_fraction=0.3, test_seed=10)
    model = LitLinear((30,), 2, solver="newton", l2=0.01)
    trainer = make_trainer(tmp_path, max_epochs=8, **QUIET)
    trainer.fit(model, datamodule=data)
    assert float(trainer.callback_metrics["train/loss"]) == pytest.approx(0.0774, abs=5e-5)
    assert trainer.test(model, datamodule=data, verbose=False)[0]["test/loss"] == pytest.approx(0.0700, abs=5e-5)


# -- data that are not well-behaved -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("solver", "precision"),
    [("newton", "64-true"), ("newton", "bf16-true"), ("newton", "16-true"), ("newton_diagonal", "bf16-mixed")],
)
def test_on_separable_classes_the_loss_never_grows(solver: Any, precision: Any, tmp_path: Path) -> None:
    x = normal(60, 3)
    y = (x[:, 0] > 0).long() + (x[:, 0] > 1).long()
    x = x.to(torch.float64 if precision == "64-true" else torch.float32)
    model = LitLinear((3,), 3, solver=solver)
    noted = fit(model, x, y, tmp_path, batch=100, max_epochs=25, precision=precision)
    assert theta(model).isfinite().all()
    # what is logged is computed in the model's precision, the line search in float64
    slack = 5e-3 if "16" in precision else 1e-6
    assert all(after <= before + slack for before, after in zip(noted.losses, noted.losses[1:], strict=False))
    assert noted.losses[-1] < 0.6 * noted.losses[0]


@pytest.mark.parametrize("solver", ["gradient", "manual", "newton", "newton_diagonal"])
@pytest.mark.parametrize("kind", ["one class", "rare class", "constant column", "more columns than rows", "one row"])
def test_unusual_classes_and_columns(kind: str, solver: Any, tmp_path: Path) -> None:
    x, y = normal(50, 4), torch.arange(50) % 2
    if kind == "one class":
        y = torch.ones_like(y)
    elif kind == "rare class":
        y = (torch.arange(50) == 7).long()
    elif kind == "constant column":
        x[:, 2] = 0.0
    elif kind == "more columns than rows":
        x, y = normal(5, 20), torch.tensor([0, 1, 1, 0, 1])
    else:
        x, y = x[:1], y[:1]
    model = LitLinear(x.shape[1:], 2, solver=solver)
    noted = fit(model, x, y, tmp_path, batch=7, max_epochs=4)  # the last batch is smaller
    assert noted.losses[-1] < np.log(2)
    assert theta(model).isfinite().all()
    if kind == "constant column":
        assert theta(model)[0, 2] == 0


@pytest.mark.parametrize("rows", [1, 4, 30])
def test_a_regression_with_any_number_of_rows(rows: int, tmp_path: Path) -> None:
    x, y = normal(rows, 6), normal(rows + 1, 1)[1:, 0]
    model = LitLinear((6,), 1, "regression", "closed_form")
    trainer = make_trainer(tmp_path, max_epochs=1, precision="64-true", enable_checkpointing=False, log_every_n_steps=1)
    trainer.fit(model, DataLoader(TensorDataset(x, y), 3))
    expected = np.linalg.lstsq(np.c_[x.numpy(), np.ones(rows)], y.numpy(), rcond=None)[0]
    torch.testing.assert_close(theta(model)[0], torch.from_numpy(expected))
    assert float(trainer.callback_metrics["train/r2"]) == pytest.approx(1 if rows < 8 else 0.3, abs=0.3)


@pytest.mark.filterwarnings("ignore:train/r2 is")  # of so few steps
@pytest.mark.parametrize("solver", ["closed_form", "newton", "gradient", "manual"])
def test_mixed_precision_rounds_no_numbers(solver: Any, tmp_path: Path) -> None:
    x = normal(64, 3).float()
    y = x.sum(1) + 1000
    weights, losses = [], []
    for precision in ("32-true", "bf16-mixed"):
        model = LitLinear((3,), 1, task="regression", solver=solver, optimizer=partial(SGD, lr=0.1))
        losses.append(fit(model, x, y, tmp_path, precision=precision, max_epochs=2).losses)
        weights.append(theta(model))
        in_full = model.predict(x)
        with torch.autocast("cpu", torch.bfloat16):
            torch.testing.assert_close(model.predict(x), in_full)
    torch.testing.assert_close(weights[1], weights[0])
    torch.testing.assert_close(losses[1], losses[0])


def test_inputs_in_64_bits() -> None:
    model = LitLinear((3,), 2)
    torch.testing.assert_close(model.classify(normal(5, 3)), torch.full((5, 2), 0.5))


@pytest.mark.parametrize("precision", ["bf16-mixed", "bf16-true", "16-true"])
@pytest.mark.parametrize("solver", ["manual", "closed_form", "newton"])
@pytest.mark.slow
def test_a_regression_in_any_precision(solver: Any, precision: Any, tmp_path: Path) -> None:
    x = normal(64, 3).float()
    y = (x @ torch.tensor([1.0, -2.0, 0.5]) + 3).unsqueeze(1)
    model = LitLinear((3,), 1, "regression", solver, optimizer=partial(SGD, lr=0.3))
    fit(model, x, y, tmp_path, max_epochs=8, precision=precision)
    torch.testing.assert_close(theta(model).float(), torch.tensor([[1.0, -2.0, 0.5, 3.0]]), rtol=0, atol=0.05)


def test_standardized_inputs_are_those_of_the_train_split(tmp_path: Path) -> None:
    x = normal(40, 3) * torch.tensor([1e-3, 1.0, 1e3]) + 5
    y = (x[:, 2] > 5).long()
    models = [LitLinear((3,), 2, solver="newton", l2=0.1, standardize=standardize) for standardize in (True, False)]
    scaled = (x - x.mean(0)) / x.std(0, correction=0)
    for model, rows in zip(models, (x, scaled), strict=True):
        fit(model, rows, y, tmp_path, max_epochs=5)
    torch.testing.assert_close(theta(models[0]), theta(models[1]), rtol=0, atol=1e-4)  # a float32 buffer's scale


# -- checkpoints, batches, commands -----------------------------------------------------------------------------------


def run(folder: Path, command: str, *words: str) -> Any:
    usual = [f"--trainer.default_root_dir={folder}", "--trainer.enable_progress_bar=false", "--trainer.accelerator=cpu"]
    return train.main([command, *words, *usual])


DIABETES = ["--model=LitLinear", "--model.task=regression", "--model.solver=closed_form", "--data=DiabetesDataModule"]
CANCER = ["--model=LitLinear", "--data=BreastCancerDataModule", "--data.batch_size=64", "--trainer.log_every_n_steps=1"]


@pytest.mark.parametrize("solver", ["newton", pytest.param("manual", marks=pytest.mark.slow)])
def test_a_resumed_run_repeats_the_uninterrupted_one(solver: str, tmp_path: Path) -> None:
    words = [*CANCER, f"--model.solver={solver}", "--model.l2=0.1", "--model.step_size=0.5"]
    whole = run(tmp_path, "fit", *words, "--trainer.max_epochs=4", "--experiment=whole")
    run(tmp_path, "fit", *words, "--trainer.max_epochs=2", "--experiment=part")
    last = tmp_path / "part/version_0/checkpoints/last.ckpt"
    resumed = run(tmp_path, "fit", *words, "--trainer.max_epochs=4", "--experiment=part", f"--ckpt_path={last}")
    assert torch.equal(theta(whole.model), theta(resumed.model))
    assert whole.trainer.global_step == resumed.trainer.global_step == 4 * len(whole.datamodule.train_dataloader())
    x = whole.datamodule.split("test")[0].float()
    best = load_model(tmp_path / "whole/version_0/checkpoints/best.ckpt")
    assert best.classify(x).shape == (114, 2)
    with (tmp_path / "whole/version_0/metrics.csv").open() as file:
        sizes = [row["train/step_size"] for row in csv.DictReader(file) if row.get("train/step_size")]
    assert [float(size) for size in sizes] == ([0.5] * 4 if solver == "newton" else [])


def test_predict_writes_probabilities_or_numbers(tmp_path: Path) -> None:
    run(tmp_path, "fit", *CANCER, "--model.solver=newton", "--model.l2=0.1", "--trainer.max_epochs=1")
    run(tmp_path, "predict", *CANCER, "--model.solver=newton", "--model.l2=0.1", "--ckpt_path=last")
    with np.load(next(tmp_path.glob("*/*/probabilities.npz"))) as found:
        assert found["probabilities"].shape == (114, 2)
        assert (found["probabilities"].argmax(1) == found["labels"]).mean() > 0.9
        assert found["class_names"].tolist() == ["malignant", "benign"]
    run(tmp_path, "fit", *DIABETES, "--trainer.max_epochs=1", "--experiment=numbers", "--trainer.log_every_n_steps=1")
    run(tmp_path, "predict", *DIABETES, "--experiment=numbers", "--ckpt_path=last")
    with np.load(next(tmp_path.glob("numbers/*/predictions.npz"))) as found:
        assert found["predictions"].shape == (89, 1)
        assert r2_score(found["labels"], found["predictions"][:, 0]) > 0.2


@pytest.mark.parametrize(
    ("words", "epochs"),
    [([*CANCER, "--model.solver=newton", "--model.l2=0.1"], range(4, 12)), (DIABETES, range(1, 2))],
)
def test_a_solver_that_is_done_ends_the_run(words: list[str], epochs: range, tmp_path: Path) -> None:
    """Long before the epochs asked for, which are 1,000 by default."""
    done = run(tmp_path, "fit", *words, "--trainer.log_every_n_steps=1", "--trainer.max_epochs=60").trainer
    assert done.current_epoch in epochs
    assert "train/loss" in done.callback_metrics


def test_a_regression_that_is_worse_than_the_mean_says_so(tmp_path: Path) -> None:
    words = [*DIABETES, "--model.solver=gradient", "--trainer.max_epochs=1", "--trainer.log_every_n_steps=1"]
    with pytest.warns(UserWarning, match=r"train/r2 is -\d.*worse than the mean .* --model.optimizer.lr"):
        run(tmp_path, "fit", *words)


def test_images_and_codes(tmp_path: Path) -> None:
    images = DigitsDataModule(batch_size=300)
    model = LitLinear((1, 28, 28), solver="manual", optimizer=partial(Adam, lr=0.01))
    trainer = make_trainer(tmp_path, max_epochs=8, enable_checkpointing=False, log_every_n_steps=1)
    trainer.fit(model, datamodule=images)
    (figures,) = trainer.test(model, datamodule=images, verbose=False)
    assert figures["test/accuracy"] > 0.85
    assert model.confusion is not None
    assert model.confusion.shape == (10, 10)
    codes = EncodedDataModule(images, LitVAE((1, 28, 28), latent_dim=6).eval(), baseline=False)
    probe = LitLinear((6,), solver="newton", l2=0.01, standardize=True)
    make_trainer(tmp_path, max_epochs=2, enable_checkpointing=False, log_every_n_steps=1).fit(probe, datamodule=codes)
    assert probe.predict(codes.split("val")[0]).shape == (288,)


@pytest.mark.slow
def test_newton_learns_the_digits(tmp_path: Path) -> None:
    data = DigitsDataModule()
    encoder = LitVAE((1, 28, 28), latent_dim=2).eval()
    encoder.encode = lambda x, y=None: torch.nn.functional.avg_pool2d(x, 4).flatten(1)  # type: ignore[method-assign]
    codes = EncodedDataModule(data, encoder, baseline=False)
    model = LitLinear((49,), solver="newton", l2=1e-3, standardize=True)
    trainer = make_trainer(tmp_path, max_epochs=8, enable_checkpointing=False, log_every_n_steps=1)
    trainer.fit(model, datamodule=codes)
    (figures,) = trainer.test(model, datamodule=codes, verbose=False)
    assert figures["test/accuracy"] > 0.94


@pytest.mark.slow
@pytest.mark.parametrize("data", ["BreastCancerDataModule", "DiabetesDataModule"])
@pytest.mark.parametrize("solver", ["newton", "closed_form", "manual"])
def test_two_processes_find_what_one_finds(data: str, solver: str, tmp_path: Path) -> None:
    regression = data == "DiabetesDataModule"
    if solver == "closed_form" and not regression:
        pytest.skip("a cross-entropy has no closed form")
    words = ["--model=LitLinear", f"--data={data}", f"--model.solver={solver}", "--model.l2=0.01"]
    words += [f"--model.task={'regression' if regression else 'classification'}", "--trainer.max_epochs=3"]
    words += ["--trainer.precision=64-true", "--trainer.log_every_n_steps=1", "--model.optimizer=torch.optim.SGD"]
    words += ["--model.optimizer.lr=0.1", "--data.val_fraction=0.21"]  # an odd number of rows
    words += ["--data.drop_last=true"] * (solver == "manual")  # processes weigh alike, though shares may not be
    both = [*words, f"--trainer.default_root_dir={tmp_path}", "--experiment=two", "--data.batch_size=20"]
    fit_on_two(tmp_path, *both, "--trainer.callbacks+=tests.ranks.WeightsPerRank")
    run_folder = tmp_path / "two" / "version_0"
    assert_ranks_are_equal(run_folder)
    alone = run(tmp_path, "fit", *words, "--experiment=one", "--data.batch_size=40")
    found = torch.load(run_folder / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    for name, value in alone.model.state_dict().items():
        torch.testing.assert_close(found[name], value, rtol=1e-9, atol=1e-9)
    values = []
    for name in ("one", "two"):
        with (tmp_path / name / "version_0" / "metrics.csv").open() as file:
            values.append([row["val/loss"] for row in csv.DictReader(file) if row["val/loss"]])
    assert [float(value) for value in values[0]] == pytest.approx([float(value) for value in values[1]], rel=1e-5)


# -- words for what goes wrong ----------------------------------------------------------------------------------------

BAD: list[tuple[dict[str, Any], str]] = [
    ({"task": "ranking"}, r"task must be one of \['classification', 'regression'\], got 'ranking'"),
    ({"solver": "lbfgs"}, "solver must be one of .*'newton_diagonal'.* got 'lbfgs'"),
    ({"solver": "closed_form"}, 'solver="closed_form" is for task="regression": .* use "newton"'),
    ({"num_outputs": 1}, 'num_outputs must be the number of classes, at least 2, got 1: .* use task="regression"'),
    ({"num_outputs": 0}, "num_outputs must be a whole number, at least 2, got 0"),
    ({"num_outputs": 0, "task": "regression"}, "num_outputs must be a whole number, at least 1, got 0"),
    ({"l2": -1.0}, "l2 must be a finite number, at least 0, got -1.0"),
    ({"l2": float("nan")}, "l2 must be a finite number, at least 0, got nan"),
    ({"step_size": 0.0}, r"step_size must be in \(0, 1\], got 0.0: 1 tries a whole Newton step"),
    ({"step_size": 1.5}, r"step_size must be in \(0, 1\], got 1.5"),
    ({"input_shape": (2, 5)}, r"input_shape must be .* got \(2, 5\): use --data.baseline false"),
    ({"input_shape": (0,)}, r"input_shape must be .* each at least 1, got \(0,\)"),
    ({"solver": "newton", "lr_scheduler": partial(StepLR, step_size=1)}, 'lr_scheduler has no effect with solver="new'),
]


@pytest.mark.parametrize(("options", "message"), BAD)
def test_bad_arguments(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LitLinear(**({"input_shape": (4,)} | options))


X, Y = torch.rand(8, 4), torch.arange(8) % 3
# arguments; inputs; targets; words
BATCHES: list[tuple[dict[str, Any], Tensor, Tensor, str]] = [
    ({}, X.masked_fill(X.max() == X, torch.nan), Y, "inputs must be finite numbers, got nan or inf"),
    ({}, X[:, :3], Y, r"inputs of shape \(8, 3\) and torch.float32 do not fit .* \(N, 4\)"),
    ({}, X.long(), Y, r"inputs of shape \(8, 4\) and torch.int64 do not fit a linear model of floats"),
    ({}, X, Y + 1, r"labels y must be in 0..2, got 1..3"),
    ({}, X, Y.float(), r"labels y must be whole numbers of shape \(8,\), got torch.float32"),
    ({"task": "regression"}, X, Y, r"targets y must be numbers of shape \(8, 3\), .* use task=.classification."),
    ({"task": "regression", "num_outputs": 1}, X, Y / 0.0, "targets y must be finite numbers, got nan or inf"),
    ({"input_shape": (1, 2, 2)}, 9 * X.view(8, 1, 2, 2), Y, r"pixels must be in \[0, 1\], got values from"),
]


@pytest.mark.parametrize("solver", ["gradient", "newton"])
@pytest.mark.parametrize(("options", "x", "y", "message"), BATCHES)
def test_bad_batches(solver: Any, options: dict[str, Any], x: Tensor, y: Tensor, message: str, tmp_path: Path) -> None:
    model = LitLinear(**({"input_shape": (4,), "num_outputs": 3, "solver": solver} | options))
    with pytest.raises(ValueError, match=message):
        fit(model, x, y, tmp_path, precision="32-true", max_epochs=1)


def test_a_regression_does_not_classify() -> None:
    with pytest.raises(TypeError, match=r'task="regression" has no classes: use predict'):
        LitLinear((4,), 1, "regression").classify(X)
    assert LitLinear((4,), 3).predict(X).tolist() == [0] * 8


def test_batches_without_targets() -> None:
    model = LitLinear((4,), 1, "regression")
    with pytest.raises(ValueError, match=r"this model needs targets y, shape \(8,\): none were given"):
        model.read_batch(X)
    with pytest.raises(ValueError, match=r"targets y must be a tensor, got list: use torch.tensor"):
        model.read_batch((X, [1.0] * 8))
    assert model.predict_step(X, 0)[1] is None


def test_the_probe_is_as_it_was() -> None:
    """Classes of its own and a baseline: checkpoints of it stay what they are."""
    assert not issubclass(LitProbe, LitLinear)
    assert {name for name in LitProbe((5,)).state_dict() if "head" in name} == {
        f"heads.0.{name}" for name in ("mean", "deviation", "fitted", "linear.weight", "linear.bias")
    }
