"""TensorBoard's HParams page: columns that tell runs apart, and no curve with a point too many."""

from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import plugin_data_pb2

from callbacks.hparams_page import page_settings
from tests.test_train import fit

FIRST = ["1 model", "2 code", "3 loss", "4 learning rate", "5 seed"]


def page(events: EventAccumulator) -> tuple[list[str], list[str]]:
    """Names of settings and metrics, in their order."""
    content = events.SummaryMetadata("_hparams_/experiment").plugin_data.content
    experiment = plugin_data_pb2.HParamsPluginData.FromString(content).experiment
    return [info.name for info in experiment.hparam_infos], [info.name.tag for info in experiment.metric_infos]


def values(events: EventAccumulator) -> dict[str, float | str]:
    content = events.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    found = plugin_data_pb2.HParamsPluginData.FromString(content).session_start_info.hparams
    return {name: value.string_value or value.number_value for name, value in found.items()}


def test_first_what_tells_runs_apart_and_the_best_figure(tmp_path: Path) -> None:
    schedule = ["--model.lr_scheduler=ExponentialLR", "--model.lr_scheduler.gamma=0.5", "--model.optimizer.lr=0.02"]
    cli = fit(tmp_path, "--trainer.max_epochs=3", "--model.beta=0.5", *schedule)
    events = EventAccumulator(str(tmp_path / "LitVAE" / "version_0")).Reload()
    settings, metrics = page(events)
    assert sorted(settings)[:5] == FIRST  # TensorBoard sorts them
    assert {"model.beta", "data.batch_size", "judged by"} <= set(settings)
    assert not {"data.data_dir", "data.download", "data.drop_last"} & set(settings)
    assert metrics == ["best"]
    assert values(events)["4 learning rate"] == 0.02  # before the schedule
    losses = events.Scalars("val/loss")
    assert len(losses) == 3
    (best,) = events.Scalars("best")
    assert best.value == min(point.value for point in losses)
    assert best.step == cli.trainer.global_step


def test_without_validation_the_training_figure_is_shown(tmp_path: Path) -> None:
    fit(tmp_path, "--trainer.max_epochs=1", "--data.val_fraction=0")
    events = EventAccumulator(str(tmp_path / "LitVAE" / "version_0")).Reload()
    assert events.Scalars("best")[0].value == events.Scalars("train/loss")[0].value


def test_the_first_columns_have_the_same_names_for_every_model() -> None:
    models = {
        "LitVAE": {"latent_dim": 2, "likelihood": "bernoulli", "optimizer": {"init_args": {"lr": 0.1}}},
        "LitGAN": {"latent_dim": 100, "loss": "hinge"},
        "LitRBM": {"hidden_dim": 16, "learning": "cd"},
        "LitClassifier": {},
    }
    pages = [
        page_settings({"model": {"class_path": f"lit_models.{name}", "init_args": arguments}, "seed_everything": 1})
        for name, arguments in models.items()
    ]
    for page in pages:
        assert list(page)[:4] == [name for name in FIRST if name != "4 learning rate"]  # which is the optimizer's
    assert [list(page.values())[:4] for page in pages] == [
        ["LitVAE", 2, "bernoulli", "1"],
        ["LitGAN", 100, "hinge", "1"],
        ["LitRBM", 16, "cd", "1"],
        ["LitClassifier", "", "", "1"],
    ]


def test_booleans_are_words_and_paths_are_left_out() -> None:
    model = {"class_path": "LitVAE", "init_args": {"conditional": True, "lr_scheduler": None}}
    encoder = {"class_path": "lit_models.load_model", "init_args": {"checkpoint": "a.ckpt"}}
    data = {
        "class_path": "Data",
        "init_args": {"data_dir": "d", "download": True, "drop_last": False, "encoder": encoder},
    }
    settings = page_settings({"model": model, "data": data, "seed_everything": 0})
    assert settings["model.conditional"] == "true"
    assert set(settings) & {"data.data_dir", "data.download", "data.drop_last", "data.encoder.checkpoint"} == set()
    assert settings["data.encoder"] == "lit_models.load_model"
