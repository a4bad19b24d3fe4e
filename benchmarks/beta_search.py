"""Search for the weight beta of a VAE's KL term on MNIST's validation split: a table and a rate-distortion picture.

Trains configs/beta_vae_mnist.yaml at the betas that the coursework asks for, at a grid by steps of ten, and at thirds
of such a step around the grid's best.

The figure that chooses is the importance-weighted log-likelihood of the validation images, in nats per image. Losses of
two betas cannot be compared, since each weighs its terms in its own way; the reconstruction alone would choose beta 0,
and the KL alone an infinite one. The likelihood depends on prior and decoder alone, which are what new images are made
with: neither beta nor the encoder occurs in it. Draws from the encoder estimate it, in expectation from below; how well
they fit is the effective sample size (ESS) beside it: near 1 the estimate is far too low, so that of two betas with
nearly the same figure the one with the lower ESS needs more draws (--samples) before it is turned down. The share of
samples that a classifier is sure of does not choose: it is highest where all samples are one grey blot.

The test split is looked at once the choice is made, for the betas named and the one chosen.

Run: uv run python -m benchmarks.beta_search --data_dir data
"""

import tempfile
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy

from benchmarks.options import add_count, check_data, make_parser
from benchmarks.rate_distortion import Dot, draw
from lit_generative import train
from lit_models import LitVAE, load_classifier

CONFIG = "configs/beta_vae_mnist.yaml"
NAMED = (0.0, 1.0, 3.92, 10.0, 7840.0)
GRID = (0.01, 0.1, 1.0, 10.0, 100.0)
_SAMPLES = 2000  # images that the classifier looks at
_SURE = 0.9
_HEADER = "| beta | reconstruction | of the mean code | KL | active units | log-likelihood | ESS | sure samples | |"


class Figures(NamedTuple):
    """What one split says of one beta; nats per image, but for the counts and the share."""

    reconstruction: float  # of one draw of the code
    mean_reconstruction: float  # of the posterior's mean, as the coursework has it
    kl: float
    active_units: float
    log_likelihood: float
    effective_sample_size: float  # median over images
    sure: float | None  # share of samples

    @property
    def collapsed(self) -> bool:
        """Posterior collapse: no unit of the code depends on the image."""
        return self.active_units == 0


class Run(NamedTuple):
    """A trained model and its data."""

    model: LitVAE
    data: Any
    trainer: Any


def fit(beta: float, options: Namespace) -> Run:
    """Train the config with this beta."""
    with tempfile.TemporaryDirectory() as folder:
        where = [f"--data.data_dir={options.data_dir}", f"--trainer.default_root_dir={folder}"]
        quiet = ["--trainer.enable_progress_bar=false", "--trainer.enable_model_summary=false"]
        silent = ["--trainer.callbacks=null", "--trainer.logger=false", "--trainer.enable_checkpointing=false"]
        length = [f"--model.beta={beta}", f"--trainer.max_epochs={options.epochs}"]
        cli = train.main(["fit", f"--config={CONFIG}", *where, *quiet, *silent, *length])
    return Run(cli.model.eval(), cli.datamodule, cli.trainer)


@torch.no_grad()
def measure(run: Run, split: str, options: Namespace) -> Figures:
    """All figures of a split, "val" or "test"; the same noise for each beta."""
    evaluate = run.trainer.validate if split == "val" else run.trainer.test
    (logged,) = evaluate(run.model, datamodule=run.data, verbose=False)
    model, x = run.model.eval(), images(run.data, split)
    torch.manual_seed(0)
    estimates = [model.log_likelihood(part, samples=options.samples) for part in x.split(500)]
    means = [mean_reconstruction(model, part) for part in x.split(500)]
    return Figures(
        logged[f"{split}/reconstruction"],
        torch.cat(means).mean().item(),
        logged[f"{split}/kl"],
        logged[f"{split}/active_units"],
        torch.cat([estimate.log_likelihood for estimate in estimates]).mean().item(),
        torch.cat([estimate.effective_sample_size for estimate in estimates]).median().item(),
        sure_share(model, options.classifier),
    )


def images(data: Any, split: str) -> Tensor:
    """All images of a split, (N, C, H, W) in [0, 1]."""
    return data.split(split)[0].float() / 255


def mean_reconstruction(model: LitVAE, x: Tensor) -> Tensor:
    """Cross-entropy of what the posterior mean decodes to, (N,) nats per image: the coursework's reconstruction."""
    return binary_cross_entropy(model.reconstruct(x), x, reduction="none").flatten(1).sum(1)


def mean_image_nats(data: Any, split: str) -> float:
    """Cross-entropy of a split's images where each pixel is the train split's mean: what no code at all gives."""
    mean, x = images(data, "train").mean(0), images(data, split)
    return binary_cross_entropy(mean.expand_as(x), x, reduction="none").flatten(1).sum(1).mean().item()


def sure_share(model: LitVAE, classifier: Any) -> float | None:
    """Share of samples whose most probable class has more than 0.9; None without a classifier."""
    if classifier is None:
        return None
    torch.manual_seed(1)
    with torch.no_grad():
        return (classifier.classify(model.sample(_SAMPLES)).max(1).values > _SURE).float().mean().item()


def finer(best: float) -> list[float]:
    """Thirds of a step of ten on both sides of the grid's best.

    Example:
        >>> finer(1.0)
        [0.215, 0.464, 2.15, 4.64]
    """
    return [float(f"{best * 10 ** (third / 3):.3g}") for third in (-2, -1, 1, 2)]


def row(beta: float, figures: Figures, note: str = "") -> str:
    """A row of the table.

    Example:
        >>> row(7840.0, Figures(206.0, 206.0, 1e-6, 0.0, -206.0, 200.0, None))
        '| 7840 | 206.0 | 206.0 | 0.0 | 0 | -206.0 | 200.0 | | posterior collapse |'
    """
    sure = "" if figures.sure is None else f"{figures.sure:.3f} "
    notes = ", ".join(["posterior collapse"] * figures.collapsed + [note] * bool(note))
    return (
        f"| {beta:g} | {figures.reconstruction:.1f} | {figures.mean_reconstruction:.1f} | {figures.kl:.1f} | "
        f"{figures.active_units:.0f} | {figures.log_likelihood:.1f} | {figures.effective_sample_size:.1f} | {sure}| "
        f"{notes}{' ' * bool(notes)}|"
    )


def search(options: Namespace) -> tuple[dict[float, Run], dict[float, Figures], float]:
    """Train and measure every beta; also the best of them by the validation images' log-likelihood."""
    runs: dict[float, Run] = {}
    found: dict[float, Figures] = {}

    def try_all(betas: Iterable[float]) -> None:
        for beta in betas:
            if beta not in found:
                runs[beta] = fit(beta, options)
                found[beta] = measure(runs[beta], "val", options)
                print(row(beta, found[beta]), flush=True)

    def best_of(betas: Iterable[float]) -> float:
        return max(betas, key=lambda beta: found[beta].log_likelihood)

    print(f"validation split, {options.epochs} epochs, {options.samples} draws\n{_header()}")
    try_all(sorted({*options.betas, *options.grid}))
    try_all(finer(best_of(options.grid)))
    return runs, found, best_of(found)


def report(runs: dict[float, Run], found: dict[float, Figures], chosen: float, options: Namespace) -> None:
    """Print both tables and draw the picture."""
    data = runs[chosen].data
    print(f"\nvalidation split, sorted; the mean image has {mean_image_nats(data, 'val'):.1f} nats\n{_header()}")
    for beta in sorted(found):
        print(row(beta, found[beta], "chosen" * (beta == chosen)))
    shown = sorted({*options.betas, chosen})
    print(f"\ntest split; the mean image has {mean_image_nats(data, 'test'):.1f} nats\n{_header()}")
    for beta in shown:
        print(row(beta, measure(runs[beta], "test", options), "chosen" * (beta == chosen)), flush=True)
    dots = [dot(beta, runs[beta], found[beta], beta == chosen, beta in shown) for beta in sorted(found)]
    path = Path(options.out, "beta_search.png")
    path.parent.mkdir(parents=True, exist_ok=True)
    draw(dots, images(data, "val")[:5]).savefig(path, dpi=100)
    print(f"\npicture: {path}")


@torch.no_grad()
def dot(beta: float, run: Run, figures: Figures, chosen: bool, with_images: bool) -> Dot:
    """The dot of one beta; reconstructions of the first validation images, and samples, where they are shown."""
    torch.manual_seed(0)
    strips = (run.model.reconstruct(images(run.data, "val")[:5]), run.model.sample(8)) if with_images else None
    words = f"beta {beta:g}" + ", chosen" * chosen + ", posterior collapse" * figures.collapsed
    return Dot(words, figures.kl, figures.reconstruction, strips)


def _header() -> str:
    return f"{_HEADER}\n{'|---' * (_HEADER.count('|') - 1)}|"


def parse() -> Namespace:
    """The command line."""
    parser = make_parser(__doc__)
    _add_betas(parser, "--betas", NAMED, 0, "betas to be measured whatever the search finds")
    _add_betas(parser, "--grid", GRID, 1e-9, "betas of the search's first round")
    add_count(parser, "--epochs", 10, 1, "epochs of each beta")
    add_count(parser, "--samples", 200, 1, "draws of the code for the log-likelihood of an image")
    parser.add_argument("--classifier", help="checkpoint of a classifier that looks at samples")
    parser.add_argument("--out", default="runs/beta_search", help="folder of the picture")
    options = parser.parse_args()
    check_data(parser, options.data_dir, ["MNIST"])
    options.classifier = options.classifier and load_classifier(options.classifier)
    return options


def _add_betas(parser: ArgumentParser, name: str, default: tuple[float, ...], least: float, meaning: str) -> None:
    def beta(word: str) -> float:
        try:
            value = float(word)
        except ValueError:
            value = -1.0
        if not least <= value < float("inf"):
            raise ArgumentTypeError(f"must be finite numbers, at least {least:g}, got {word}")
        return value

    parser.add_argument(name, type=beta, nargs="+", default=default, help=meaning)


def main() -> None:
    """Search, print and draw."""
    options = parse()
    report(*search(options), options)


if __name__ == "__main__":
    main()
