"""Reports of real runs on the digits: every figure, the same twice, and what cannot be measured."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch

from datamodules import DigitsDataModule
from lit_generative import judge, report, train
from lit_generative.trained import open_run
from lit_models import load_model

pytestmark = pytest.mark.usefixtures("quick_pictures")
SMALL = ["--samples=200", "--chain_samples=60", "--neighbours=100", "--copies=50", "--likelihood=50", "--draws=4"]
SMALL += ["--probe_labels=200", "--probe_draws=2"]
WIDTHS = ["--model.encoder.hidden_dims=[16]", "--model.decoder.hidden_dims=[16]"]
MODELS = {
    "cvae": ["--model=LitVAE", "--model.conditional=true", "--model.latent_dim=4", *WIDTHS],
    "rbm": ["--model=LitRBM", "--model.hidden_dim=8"],
    "gan": ["--model=LitGAN", "--model.generator=MLPDecoder", "--model.discriminator=MLPEncoder"],
    "classifier": ["--model=LitClassifier"],
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a short run of each model on the digits."""
    root = tmp_path_factory.mktemp("runs")
    for name, words in MODELS.items():
        words = [*words, "--data=DigitsDataModule", "--trainer.max_epochs=1", f"--experiment={name}"]
        words += [f"--trainer.default_root_dir={root}", "--trainer.enable_progress_bar=false"]
        train.main(["fit", *words, "--trainer.accelerator=cpu", "--trainer.limit_train_batches=5"])
    return root


def write(runs: Path, to: Path, *paths: Path | str, more: tuple[str, ...] = ()) -> dict:
    judge_of_all = runs / "classifier/version_0/checkpoints/last.ckpt"
    words = [f"--to={to}", f"--classifier={judge_of_all}", f"--cache_dir={runs / 'cache'}", *SMALL, *more]
    report.main([*map(str, paths), *words])
    return json.loads((to / "report.json").read_text())


@pytest.mark.slow
def test_every_figure_of_every_verb(runs: Path, tmp_path: Path) -> None:
    found = write(runs, tmp_path, *(runs / name / "version_0" for name in ("cvae", "rbm", "gan")))
    cvae, rbm, gan = found["models"]
    sampled = {"fd", "fd_infinity", "kd", "precision", "recall", "density", "coverage", "nn_samples", "nn_real"}
    sampled |= {"total_variation", "copies"}
    coded = {"probe", "probe_untrained", "knn"}
    seen = {"mse", "pca_mse", "reconstruction_fd"}
    assert set(cvae["figures"]) == sampled | coded | seen | {"class_agreement", "active_units", "log_likelihood"}
    assert set(rbm["figures"]) == sampled | coded | seen | {"log_likelihood"}
    assert set(gan["figures"]) == sampled | coded
    assert gan["left_out"] == {
        "reconstructions": "LitGAN has no reconstruct",
        "likelihood": "LitGAN has no estimate_likelihood",
    }
    assert [len(model["class_counts"]) for model in found["models"]] == [10] * 3
    assert [sum(model["class_counts"]) for model in found["models"]] == [200, 60, 200]
    assert (cvae["likelihood"]["unit"], rbm["likelihood"]["unit"]) == ("Bernoulli", "density")
    assert rbm["likelihood"]["method"] == "exact"
    assert {row["name"] for row in found["references"]} == {"real", "training images", "Gaussian", "Gaussian a class"}
    assert {row["n"] for row in found["references"]} == {60, 180, 200}  # half the test split has 180
    copies = [row["figures"]["copies"]["value"] for row in found["references"] if row["name"] == "training images"]
    assert copies == [1.0, 1.0]
    page = (tmp_path / "report.html").read_text()
    for heading in ("Samples", "Reconstructions", "Codes", "Likelihood", "How it was measured"):
        assert f"<h2>{heading}</h2>" in page
    check_page(page)


@pytest.mark.slow
def test_the_same_checkpoint_twice_is_the_same_to_the_last_digit(runs: Path, tmp_path: Path) -> None:
    """In one report, and in two, of which the second finds what it needs in the cache."""
    cvae = runs / "cvae" / "version_0"
    first = write(runs, tmp_path / "first", cvae, cvae)
    again = write(runs, tmp_path / "again", cvae, cvae)
    assert first == again
    one, other = first["models"]
    assert (one.pop("name"), other.pop("name")) == ("cvae/version_0", "cvae/version_0 #2")
    assert one == other


@pytest.mark.slow
def test_what_cannot_be_read_is_left_out_and_said(runs: Path, tmp_path: Path) -> None:
    """A missing run, one without checkpoints, a truncated checkpoint, other data, data that are not there."""
    empty = tmp_path / "empty" / "version_0"
    empty.mkdir(parents=True)
    broken = copy_run(runs, tmp_path / "broken")
    checkpoint = broken / "checkpoints" / "best.ckpt"
    checkpoint.write_bytes(checkpoint.read_bytes()[:-100])
    other = copy_run(runs, tmp_path / "other", ("datamodules.DigitsDataModule", "tests.test_report.Others"))
    lost = copy_run(runs, tmp_path / "lost", ("datamodules.DigitsDataModule", "datamodules.MNISTDataModule"))
    nameless = copy_run(runs, tmp_path / "nameless")
    (nameless / "config.yaml").unlink()
    bad = ["nowhere", empty, broken, other, lost, nameless]
    found = write(runs, tmp_path, runs / "cvae" / "version_0", *bad)
    assert [model["name"] for model in found["models"]] == ["cvae"]
    reasons = "\n".join(found["failed"].values())
    for words in (
        "there is no run or checkpoint nowhere",
        "has no checkpoints/best.ckpt or last.ckpt",
        "best.ckpt is truncated",
        "other was trained on other data than cvae: .* write a report for each",
        "lies in no run folder with a config.yaml",
    ):
        assert re.search(words, reasons), words
    assert len(found["failed"]) == len(bad)
    assert "Left out: nowhere" in (tmp_path / "report.html").read_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere"], "nothing can be measured. nowhere: there is no run or checkpoint nowhere"),
        (["{cvae}", "--samples=100000"], "--samples must be at most .*, what the data allow, got 100000"),
        (["{cvae}", "--likelihood=360"], "--likelihood must be at most 359, what the data allow, got 360"),
        (["{cvae}", "--draws=1"], "--draws must be at least 2, got 1"),
        (["{cvae}", "--classifier={cvae}/checkpoints/last.ckpt"], "holds a LitVAE, which does not classify"),
        (["{cvae}", "--classifier={two}"], "--classifier .* tells 2 classes of images .* apart, and the data have 10"),
        (["{cvae}", "--to={cvae}/config.yaml"], "File exists.*config.yaml"),
    ],
)
def test_what_ends_a_report(
    words: list[str], message: str, runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    two = runs / "two.ckpt"
    if not two.exists():
        content = torch.load(runs / "classifier/version_0/checkpoints/last.ckpt", weights_only=True)
        content["recipe"]["init_args"]["num_classes"] = 2
        content["state_dict"] = {
            name: value[:2] if value.shape[:1] == (10,) else value for name, value in content["state_dict"].items()
        }
        torch.save(content, two)
    words = [word.format(cvae=runs / "cvae/version_0", two=two) for word in words]
    judge_of_all = runs / "classifier/version_0/checkpoints/last.ckpt"
    with pytest.raises(SystemExit):
        report.main([f"--to={tmp_path}", f"--classifier={judge_of_all}", *words])
    assert re.search(message, capsys.readouterr().err)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_classifier_is_trained_once_and_kept(runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "classifier_mnist.yaml"
    config.write_text(
        (judge.CONFIGS / config.name).read_text().replace("max_epochs: 10", "max_epochs: 1\n  limit_train_batches: 2")
    )
    monkeypatch.setattr(judge, "CONFIGS", tmp_path)
    words = [str(runs / "cvae/version_0"), f"--to={tmp_path / 'to'}", f"--cache_dir={tmp_path / 'cache'}", *SMALL]
    report.main(words)
    (kept,) = (tmp_path / "cache" / "classifiers").iterdir()
    assert load_model(kept / "classifier/version_0/checkpoints/last.ckpt").num_classes == 10
    monkeypatch.setattr(judge, "_train", lambda *_: pytest.fail("trained again"))
    first = (tmp_path / "to" / "report.json").read_text()
    report.main(words)
    assert (tmp_path / "to" / "report.json").read_text() == first


def test_a_run_is_opened_by_its_best_checkpoint_else_its_last(runs: Path, tmp_path: Path) -> None:
    folder = copy_run(runs, tmp_path / "a")
    assert open_run(folder).checkpoint.name == "best.ckpt"
    (folder / "checkpoints" / "best.ckpt").unlink()
    found = open_run(folder)
    assert (found.checkpoint.name, found.epochs, found.name) == ("last.ckpt", 1, "a/version_0")
    assert open_run(folder / "checkpoints" / "last.ckpt").config == found.config


class Others(DigitsDataModule):
    """Other digits than scikit-learn's."""

    def load(self, train: bool) -> tuple[torch.Tensor, torch.Tensor]:
        images, labels = super().load(train)
        return 255 - images, labels


def copy_run(runs: Path, to: Path, *changes: tuple[str, str]) -> Path:
    """The conditional VAE's run, copied to `to/version_0`, with words of its config changed."""
    folder = to / "version_0"
    (folder / "checkpoints").mkdir(parents=True)
    source = runs / "cvae" / "version_0"
    for name in ("best.ckpt", "last.ckpt"):
        (folder / "checkpoints" / name).write_bytes((source / "checkpoints" / name).read_bytes())
    text = (source / "config.yaml").read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    (folder / "config.yaml").write_text(text)
    return folder


class Page(HTMLParser):
    """Keeps what a page opens, closes and names."""

    def __init__(self) -> None:
        super().__init__()
        self.opened: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.links: list[str | None] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = dict(attrs)
        self.links += [names[name] for name in ("src", "href") if name in names]
        self.images += [names] * (tag == "img")
        if tag not in ("meta", "img"):
            self.opened.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.opened.pop() == tag


def check_page(text: str) -> None:
    """Tags close in order, nothing is fetched, each picture has words."""
    page = Page()
    page.feed(text)
    assert not page.opened
    assert page.links
    assert all((link or "").startswith("data:image/png;base64,") for link in page.links)
    assert all(image["alt"] for image in page.images)
    assert "http" not in text
