"""The benchmarks' own machinery: turns, ratios, repeated files; and one row of the table, end to end."""

import math
import multiprocessing
import re
import sys
from argparse import Namespace
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import torch
from lightning.pytorch import Trainer

from benchmarks import beta_search, growth, images, label_agreement, optimizer_grid, ppca, start, table
from benchmarks.optimizer_run import Losses, Run, evaluate, fit
from benchmarks.rate_distortion import Dot, draw
from benchmarks.turns import Clock, Memory, Setting, take_turns
from datamodules import FashionMNISTDataModule, MNISTDataModule
from lit_models import LitVAE


def test_a_clock_waits_for_its_turn_and_says_how_long_it_took() -> None:
    parent, child = multiprocessing.Pipe()
    clock = Clock(child)
    parent.send(None)
    clock.start()
    clock.stop()
    assert not parent.poll(), "what follows an epoch is still part of the turn"
    clock.give_away()
    assert parent.recv() > 0
    assert not parent.poll()
    if sys.platform == "linux":
        assert clock.resident > 1


def test_ratios_are_medians_of_neighbours_without_the_first_epoch(capsys: pytest.CaptureFixture[str]) -> None:
    # each epoch is twice as slow as the one before: ratios of medians alone would hide it
    slowing = [1.0, 2.0, 4.0, 8.0]
    seconds = [[9.0, *(3 * s for s in slowing)], [1.0, *slowing], [99.0, *(1.5 * s for s in slowing)]]
    table.print_row("VAE", 1000, seconds, [Memory(10.2, 0), Memory(20, 0), Memory(30, 0)])
    said = capsys.readouterr().out
    assert "| 9 (3 .. 24) | 3 (1 .. 8) | 4.5 (1.5 .. 12) | 2.00 | 1.50 | 10 / 20 / 30 |" in said


def test_grown_data_are_read_as_the_data_so_many_times(fake_data: Path, tmp_path: Path) -> None:
    def train_split(folder: Path) -> tuple[torch.Tensor, torch.Tensor]:
        data = FashionMNISTDataModule(str(folder), val_fraction=0)
        data.setup()
        return data.split("train")

    growth.repeat(fake_data, tmp_path / "grown", times=3)
    (images, labels), (grown, grown_labels) = train_split(fake_data), train_split(tmp_path / "grown")
    assert torch.equal(grown, images.repeat(3, 1, 1, 1))
    assert torch.equal(grown_labels, labels.repeat(3))


@pytest.mark.long
@pytest.mark.slow
def test_a_row_of_the_table(
    fake_data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--data_dir", str(fake_data), "--models", "RBM 16", "--epochs", "3"]
    monkeypatch.setattr(sys, "argv", ["table", *options])
    table.main()
    cells = capsys.readouterr().out.splitlines()[-1].split("|")
    assert cells[1].strip() == "RBM 16"
    assert all(float(cell) > 0 for cell in cells[5:7])
    if sys.platform == "linux":
        assert all(int(mebibytes) > 1 for mebibytes in re.findall(r"\S+", cells[7].replace("/", " ")))


@pytest.mark.parametrize(
    ("benchmark", "words", "message"),
    [
        (table, ["--data_dir", "nowhere", "--models", "RBM 16"], "--data_dir must hold KMNIST/raw, .* 'nowhere': give"),
        (growth, ["--data_dir", "nowhere"], "--data_dir must hold FashionMNIST/raw, which is not in 'nowhere': give"),
        (start, ["--data_dir", "nowhere"], "--data_dir must hold FashionMNIST/raw, which is not in 'nowhere': give"),
        (start, ["--starts", "0"], "argument --starts: must be a whole number, at least 1, got 0"),
        (beta_search, ["--data_dir", "nowhere"], "--data_dir must hold MNIST/raw, which is not in 'nowhere': give"),
        (ppca, ["--data_dir", "nowhere"], "--data_dir must hold MNIST/raw, which is not in 'nowhere': give"),
        (ppca, ["--codes", "2", "0"], "argument --codes: must be a whole number, at least 1, got 0"),
        (beta_search, ["--betas", "1", "-1"], "argument --betas: must be finite numbers, at least 0, got -1"),
        (beta_search, ["--grid", "0"], "argument --grid: must be finite numbers, at least 1e-09, got 0"),
        (beta_search, ["--epochs", "0"], "argument --epochs: must be a whole number, at least 1, got 0"),
        (optimizer_grid, ["--data_dir", "nowhere"], "--data_dir must hold MNIST/raw, which is not in 'nowhere': give"),
        (optimizer_grid, ["--rates", "1e-3", "0"], "argument --rates: must be finite numbers above 0, got 0"),
        (optimizer_grid, ["--rates", "fast"], "argument --rates: must be finite numbers above 0, got fast"),
        (optimizer_grid, ["--batch_sizes", "0"], "argument --batch_sizes: must be whole numbers, at least 1, got 0"),
        (
            optimizer_grid,
            ["--optimizers", "SGD"],
            "argument --optimizers: invalid choice: 'SGD' .choose from '?Momentum",
        ),
        (optimizer_grid, ["--part", "3/2"], "argument --part: must be k/n with 1 <= k <= n, as 1/2, got 3/2"),
        (images, ["--images", "0"], "argument --images: must be a whole number, at least 1, got 0"),
        (images, ["--turns", "0"], "argument --turns: must be a whole number, at least 1, got 0"),
        (table, ["--epochs", "1"], "argument --epochs: must be a whole number, at least 2, got 1"),
        (growth, ["--epochs", "1"], "argument --epochs: must be a whole number, at least 2, got 1"),
        (table, ["--device", "cuda"], "argument --device: torch finds no GPU to use for 'cuda'; use 'cpu'"),
    ],
)
def test_settings_are_looked_at_first(
    benchmark: ModuleType,
    words: list[str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", ["benchmark", *words])
    with pytest.raises(SystemExit):
        benchmark.main()
    assert re.search(message, " ".join(capsys.readouterr().err.split()))


def _fails(setting: Setting, clock: Clock) -> None:
    raise ArithmeticError("on purpose")


@pytest.mark.slow
def test_a_way_that_fails_ends_the_benchmark() -> None:
    with pytest.raises(EOFError, match="a way of training failed"):
        take_turns([_fails], Setting("", "cpu", 2, 1))


@pytest.mark.slow
def test_the_search_for_beta_looks_at_the_test_split_last(
    fake_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two named, two of the grid, and four finer ones around its better one; both tables, and the picture."""
    words = ["--betas", "0", "7840", "--grid", "0.1", "1", "--epochs", "1", "--samples", "2"]
    monkeypatch.setattr(sys, "argv", ["beta_search", "--data_dir", str(fake_data), "--out", str(tmp_path), *words])
    splits = []
    measure = beta_search.measure

    def note(run: beta_search.Run, split: str, options: Namespace) -> beta_search.Figures:
        splits.append(split)
        return measure(run, split, options)

    monkeypatch.setattr(beta_search, "measure", note)
    beta_search.main()
    searched, validated, tested = re.split(r"\n(?:validation split, sorted|test split)", capsys.readouterr().out)
    rows = [
        re.findall(r"^\| ([\d.]+) \|.*\| (-[\d.]+) \| [\d.]+ \|", part, re.MULTILINE)
        for part in (searched, validated, tested)
    ]
    assert [len(part) for part in rows] == [8, 8, 3]
    betas, likelihoods = zip(*((float(beta), float(nats)) for beta, nats in rows[1]), strict=True)
    assert list(betas) == sorted(betas)
    (chosen,) = re.findall(r"^\| ([\d.]+) .*chosen \|$", validated, re.MULTILINE)
    assert dict(rows[1])[chosen] == str(max(likelihoods))
    assert {beta for beta, _ in rows[2]} == {"0", "7840", chosen}
    assert splits == ["val"] * 8 + ["test"] * 3
    assert (tmp_path / "beta_search.png").is_file()


def test_figures_of_a_beta_are_those_of_the_model(fake_data: Path) -> None:
    """By another way: no code at all, whose likelihood is its reconstruction's, to the last nat."""
    data = MNISTDataModule(str(fake_data), batch_size=16)
    data.setup()
    model = LitVAE((1, 28, 28), latent_dim=2).eval()
    for parameter in (*model.encoder.parameters(), *model.decoder.parameters()):
        parameter.data.zero_()
    trainer = Trainer(logger=False, accelerator="cpu", enable_progress_bar=False, enable_model_summary=False)
    figures = beta_search.measure(beta_search.Run(model, data, trainer), "val", Namespace(samples=3, classifier=None))
    nats = 784 * math.log(2)  # of grey one half
    assert tuple(figures[:-1]) == pytest.approx((nats, nats, 0, 0, -nats, 3), rel=1e-4, abs=1e-4)
    assert figures.sure is None
    assert figures.collapsed


def test_a_mean_image_has_the_entropy_of_its_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.tensor([0, 255, 255, 0], dtype=torch.uint8).reshape(4, 1, 1, 1).expand(4, 1, 2, 3)
    data = SimpleNamespace(split=lambda name: (x, None))
    assert beta_search.mean_image_nats(data, "val") == pytest.approx(6 * math.log(2))


def test_collapse_is_named_and_the_picture_shows_every_dot() -> None:
    figures = beta_search.Figures(206.1, 206.0, 0.0, 0.0, -206.1, 199.9, 0.25)
    assert beta_search.row(7840, figures, "chosen").endswith("| -206.1 | 199.9 | 0.250 | posterior collapse, chosen |")
    assert beta_search.row(1, figures._replace(active_units=3.0)).endswith("| 0.250 | |")
    strips = torch.rand(5, 1, 8, 8), torch.rand(8, 1, 8, 8)
    dots = [Dot("beta 0", 800.0, 70.0, strips), Dot("beta 1", 25.0, 80.0), Dot("beta 7840", 0.0, 206.0, strips)]
    dots.append(Dot("beta 100", 0.01, 206.01))
    plane, *rows = draw(dots, torch.rand(5, 1, 8, 8)).axes
    assert sorted(tuple(dot.get_offsets()[0]) for dot in plane.collections) == sorted(
        (dot.kl, dot.reconstruction) for dot in dots
    )
    assert {text.get_text() for text in plane.texts} == {"0", "1", "7840, 100"}
    assert "logarithmic above 1" in plane.get_xlabel()
    assert [axes.get_title("left").split(":")[0] for axes in rows] == ["originals", "beta 7840", "beta 0"]


def test_ways_to_obey_the_label_are_compared_on_validation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Shy:
        """Takes every image for a 3."""

        def classify(self, x: torch.Tensor) -> torch.Tensor:
            return torch.eye(10)[3].expand(len(x), 10)

    monkeypatch.setattr(label_agreement, "load_classifier", lambda path: Shy())
    ways = ["N(0, I), free bits", "N(0, I), label at every layer", "4 Gaussians a class"]
    words = ["--data", "Digits", "--classifier", "any", "--epochs", "1", "--ways", *ways]
    monkeypatch.setattr(sys, "argv", ["label_agreement", *words])
    label_agreement.main()
    said = capsys.readouterr().out
    assert "Digits, 1 epochs; accuracy of the classifier: 0.097" in said
    for way in ways:
        row = next(line for line in said.splitlines() if line.startswith(f"| {way} |"))
        assert 250 < float(row.split("|")[2]) < 600
        assert row.endswith("| 0.100 |")


def test_photos_are_those_of_a_camera_in_size_and_the_same_each_time(tmp_path: Path) -> None:
    assert 50_000 < images.write_photos(tmp_path / "photos", 2) / 2 < 100_000
    for number, photo in enumerate(images.photos(2)):
        assert photo.size == (500, 500)
        photo.save(tmp_path / "again.jpg", quality=90)
        (written,) = (tmp_path / "photos").glob(f"*/{number}.jpg")
        assert written.read_bytes() == (tmp_path / "again.jpg").read_bytes()


def test_decoding_once_is_measured_beside_decoding_every_epoch(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["images", "--images", "5", "--files", "120", "--turns", "2"])
    images.main()
    said = capsys.readouterr().out
    rows = re.findall(r"^\| (.+?) \| ([\d.,]+) \(([\d.,]+) .. ([\d.,]+)\) \|$", said, re.MULTILINE)
    assert [name.split(":")[0] for name, *_ in rows] == [
        "first start, 5 photos",
        "later start, 5 photos",
        "later start, 120 small files",
        "batch of 128 from the map",
        "torchvision, every epoch",
    ]
    for _, *figures in rows:
        middle, least, most = (float(figure.replace(",", "")) for figure in figures)
        assert 0 < least <= middle <= most
    assert re.search(r"On disk: photos 0\.[2-5] MB, decoded 0\.1 MB", said)


def test_the_grid_of_optimizers_goes_on_after_a_kill_and_reports_the_test_split_of_the_chosen(
    fake_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two optimizers, two sizes, two rates, two seeds: 4 runs of the check, 8 of the grid, 2 more seeds of the best."""
    made: list[Run] = []
    killed_at = 6

    def pretend(run: Run, data_dir: str) -> Losses:
        if len(made) == killed_at:
            raise KeyboardInterrupt
        made.append(run)
        held_out = run.lr * run.batch_size if run.optimizer == "Adam" else 1 / (run.lr * run.batch_size)
        return Losses([1.0, 0.5], [held_out] * bool(run.val_fraction), 0.1, 0.001 * run.batch_size, 1.0)

    monkeypatch.setattr(optimizer_grid, "fit", pretend)
    words = ["--optimizers", "Momentum", "Adam", "--batch_sizes", "4", "64", "--rates", "0.1", "0.2", "--seeds", "2"]
    command = ["optimizer_grid", "--data_dir", str(fake_data), "--out", str(tmp_path), *words]
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(KeyboardInterrupt):
        optimizer_grid.main()
    with (tmp_path / "runs.jsonl").open("a") as file:
        file.write('[{"optimizer": "Adam", "lr": 0.1, "bat')  # killed while it wrote
    killed_at = 100
    monkeypatch.setattr(sys, "argv", [*command, "--part", "2/2"])
    optimizer_grid.main()
    assert len(made) == 6 + 3, "every second one of the six that are missing"
    assert not list(tmp_path.glob("*.png"))
    monkeypatch.setattr(sys, "argv", command)
    optimizer_grid.main()
    assert len(made) == len(set(made)) == 14
    said = capsys.readouterr().out
    assert "left out a line that was cut short" in said
    best = said.split("best of each")[1]
    assert re.findall(r"^\| (\w+) \| (\d+) \| ([\d.]+) \|.* ([\d.]+) \+- 0.00 \|$", best, re.MULTILINE) == [
        ("Momentum", "64", "0.2", "6.40"),
        ("Adam", "4", "0.1", "0.40"),
    ]
    assert {path.name for path in tmp_path.glob("*.png")} == {
        "optimizer_grid_train.png",
        "optimizer_grid_validation.png",
    }


def test_a_run_of_the_grid_of_optimizers(fake_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    losses = fit(Run("Momentum", 0.01, 16, epochs=3), str(fake_data))
    assert len(losses.train) == len(losses.val) == 3
    assert losses.train[2] < losses.train[0]
    assert losses.last == losses.val[2] < losses.val[0]
    again = fit(Run("Momentum", 0.01, 16, epochs=3), str(fake_data))
    assert again._replace(seconds=0) == losses._replace(seconds=0)
    without = fit(Run("Momentum", 0.01, 16, epochs=1, val_fraction=0.0), str(fake_data))
    assert without.val == []
    wild = fit(Run("Nesterov", 1e18, 16, epochs=2), str(fake_data))
    assert wild.last == wild.test == math.inf
    assert len(wild.train) < 2


def test_losses_of_a_split_are_means_over_its_images(fake_data: Path) -> None:
    class Sure(torch.nn.Module):
        """Takes every image for a 3, with a probability of one half."""

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return (torch.eye(10)[3] * math.log(9)).expand(len(x), 10)

    data = MNISTDataModule(str(fake_data))
    data.setup()
    loss, accuracy = evaluate(Sure(), data, "test")
    assert accuracy == pytest.approx(0.1)
    assert loss == pytest.approx(0.1 * math.log(2) + 0.9 * math.log(18), rel=1e-6)


@pytest.mark.slow
def test_ppca_beside_scikit_learn(
    fake_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One epoch of each fit: the closed form is what scikit-learn finds, and no fit is above it."""
    words = ["--data_dir", str(fake_data), "--codes", "2", "--epochs", "1", "--out", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", ["ppca", *words])
    ppca.main()
    rows = [line.split("|") for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    nats = {cells[2].strip(): float(cells[3]) for cells in rows[1:]}
    assert nats["PPCA, closed form"] == max(value for name, value in nats.items() if name.startswith("PPCA"))
    assert len(list(tmp_path.glob("ppca_*.png"))) == 3
