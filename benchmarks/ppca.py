"""Probabilistic PCA and factor analysis on MNIST by every fit, beside scikit-learn's: a table and three pictures.

Trains configs/ppca_mnist.yaml, ppca_mnist_gradient.yaml and factor_analysis_mnist.yaml with each number of codes, on
all 60,000 training images, and measures them on the test split. Log-likelihoods are mean nats per image, densities over
[0, 1] pixels; errors are per pixel, of W z + mu at the posterior mean, before a cut to [0, 1].

scikit-learn's PCA divides its covariance by n - 1 where maximum likelihood divides by n. Its FactorAnalysis has no
floor of psi but 1e-12: its psi is raised to ours before it is scored. It is fitted to 1,568 rows that have the mean and
the covariance of the training images, all that its likelihood depends on: so its exact solver takes seconds.

Run: uv run python -m benchmarks.ppca --data_dir data
"""

import tempfile
from argparse import Namespace
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from benchmarks.options import add_count, check_data, make_parser
from benchmarks.ppca_pictures import Key, draw_curves, draw_reconstructions, draw_samples
from datamodules import MNISTDataModule
from lit_generative import train
from lit_models import LitPPCA
from lit_models.functional.linear_gaussian import LinearGaussian, closed_form, log_density
from lit_models.moments import Covariance, covariance

_CHUNK = 5000
_INK = 0.01  # of a pixel
_GRADIENT = "configs/ppca_mnist_gradient.yaml"
# name, config, words: those of factor analysis have "factor analysis" in their name
WAYS = (
    ("PPCA, closed form", "configs/ppca_mnist.yaml", ()),
    ("PPCA, EM", "configs/ppca_mnist.yaml", ("--model.fit=em", "--trainer.max_epochs=25")),
    ("PPCA, gradient", _GRADIENT, ()),
    ("factor analysis, EM", "configs/factor_analysis_mnist.yaml", ()),
    ("factor analysis, gradient", _GRADIENT, ("--model.noise=diagonal",)),
)
_HEADER = "| K | | train, nats | test, nats | train MSE | test MSE | test MSE after a cut |"


class Run(NamedTuple):
    """A trained model, and the train split's mean log-likelihood after each epoch."""

    model: LitPPCA
    curve: list[float]


class Images(NamedTuple):
    """Both splits, (N, 1, 28, 28) in [0, 1], and the moments of the train split."""

    train: Tensor
    test: Tensor
    moments: Covariance


class LikelihoodAfterEpochs(Callback):
    """The mean log-likelihood of the whole train split after each epoch, exactly.

    Example:
        >>> LikelihoodAfterEpochs().curve
        []
    """

    def __init__(self) -> None:
        self.curve: list[float] = []

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Add an epoch's."""
        x = trainer.datamodule.split("train")[0]  # type: ignore[attr-defined]
        self.curve.append(mean_nats(pl_module.log_likelihood, x))


def mean_nats(log_likelihood: Any, x: Tensor) -> float:
    """Mean of a function of images over bytes or floats (N, ...), in chunks."""
    parts = (part / 255 if part.dtype == torch.uint8 else part for part in x.split(_CHUNK))
    return torch.cat([log_likelihood(part).double() for part in parts]).mean().item()


def fit(latent_dim: int, config: str, words: Sequence[str], options: Namespace) -> Run:
    """Train a config."""
    with tempfile.TemporaryDirectory() as folder:
        where = [f"--data.data_dir={options.data_dir}", f"--trainer.default_root_dir={folder}"]
        quiet = ["--trainer.enable_progress_bar=false", "--trainer.enable_model_summary=false"]
        silent = ["--trainer.logger=false", "--trainer.enable_checkpointing=false"]
        words = [*words, f"--model.latent_dim={latent_dim}", "--trainer.callbacks=null"]
        words += [f"--trainer.max_epochs={options.epochs}"] * bool(options.epochs)
        callback = "--trainer.callbacks=benchmarks.ppca.LikelihoodAfterEpochs"
        cli = train.main(["fit", f"--config={config}", *where, *quiet, *silent, *words, callback])
    recorder = next(each for each in cli.trainer.callbacks if hasattr(each, "curve"))  # type: ignore[attr-defined]
    return Run(cli.model.eval(), recorder.curve)


@torch.no_grad()
def mse(model: LitPPCA, x: Tensor) -> tuple[float, float]:
    """Mean squared error per pixel of W z + mu at the posterior mean, and of the same after a cut to [0, 1]."""
    weight, mean, _ = model.gaussian
    errors = []
    for part in x.split(_CHUNK):
        restored = mean + model.encode(part) @ weight.T
        errors.append([(image - part.flatten(1)).square().sum() for image in (restored, restored.clamp(0, 1))])
    before, after = torch.tensor(errors, dtype=torch.float64).sum(0) / x.numel()
    return float(before), float(after)


def row(latent_dim: int, name: str, nats: Sequence[float], errors: Sequence[float] = ()) -> str:
    """A row of the table.

    Example:
        >>> row(2, "PPCA, EM", [12.3456, 14.3621], [0.05595, 0.0553, 0.0541])
        '| 2 | PPCA, EM | 12.346 | 14.362 | .05595 | .05530 | .05410 |'
    """
    cells = [f"{value:.3f}" for value in nats] + [f"{value:.5f}".removeprefix("0") for value in errors]
    return f"| {latent_dim} | {name} | " + " | ".join([*cells, *[""] * (5 - len(cells))]) + " |"


def pca_rows(latent_dim: int, images: Images) -> list[str]:
    """scikit-learn's PCA, our density at its parameters, and the errors of projections on its components."""
    from sklearn.decomposition import PCA

    flat, test = (x.flatten(1).double() for x in (images.train, images.test))
    pca = PCA(latent_dim).fit(flat.numpy())
    scores = [pca.score(x.numpy()) for x in (flat, test)]
    n = images.moments.images
    unbiased = closed_form(images.moments.mean, images.moments.covariance * n / (n - 1), latent_dim, 1e-12)
    ours = [mean_nats(partial(_double_density, unbiased), x) for x in (flat, test)]
    components = torch.from_numpy(pca.components_)
    errors = []
    for x in (flat, test):
        centred = x - images.moments.mean
        errors.append((centred - centred @ components.T @ components).square().mean().item())
    return [
        row(latent_dim, "scikit-learn's PCA.score; the PCA floor", scores, errors),
        row(latent_dim, "ours of the covariance divided by n - 1", ours),
    ]


def factor_analysis_of_sklearn(latent_dim: int, moments: Covariance, min_variance: float) -> LinearGaussian:
    """What scikit-learn's FactorAnalysis finds for data of these moments, with psi raised to the floor."""
    from sklearn.decomposition import FactorAnalysis

    values, vectors = torch.linalg.eigh(moments.covariance)
    root = vectors * (values.clamp(min=0) * len(values)).sqrt() @ vectors.T
    rows = torch.cat([root, -root])  # their mean is 0, their covariance that of the images
    found = FactorAnalysis(latent_dim, tol=1e-4, max_iter=5000, svd_method="lapack").fit(rows.numpy())
    variance = torch.from_numpy(found.noise_variance_).clamp(min=min_variance)
    return LinearGaussian(torch.from_numpy(found.components_.T.copy()), moments.mean, variance)


def factor_analysis_row(latent_dim: int, images: Images, min_variance: float) -> tuple[str, float]:
    """The row of scikit-learn's factor analysis, and the train split's nats."""
    model = factor_analysis_of_sklearn(latent_dim, images.moments, min_variance)
    nats = [mean_nats(partial(_double_density, model), x) for x in (images.train, images.test)]
    return row(latent_dim, "scikit-learn's FactorAnalysis, same floor", nats), nats[0]


def spread(model: LitPPCA, x: Tensor) -> str:
    """How a mean log-likelihood comes about: quantiles over images, and what pixels at the floor of psi do to it."""
    nats = torch.cat([model.log_likelihood(part) for part in x.split(_CHUNK)]).double()
    low, first, middle, high = nats.quantile(torch.tensor([0.0, 0.01, 0.5, 1.0]).double()).tolist()
    rest = nats.sort().values[len(nats) // 100 :].mean()
    still = model.gaussian.variance <= 1.001 * model.min_variance
    surprised = ((x.flatten(1) - model.mean)[:, still].abs() > _INK).any(1)
    return (
        f"K = {model.latent_dim}: lowest {low:.0f}, 1% {first:.0f}, median {middle:.0f}, highest {high:.0f}; mean "
        f"{nats.mean():.0f}, without the lowest 1% {rest:.0f}; {int((nats < 0).sum())} images below 0. "
        f"{int(still.sum())} pixels at the floor; {int(surprised.sum())} images have ink there, "
        f"{nats[surprised].mean():.0f} nats on average"
    )


def codeless_rows(images: Images, min_variance: float) -> list[str]:
    """What the noise alone is worth: both models without codes."""
    moments, rows = images.moments, []
    variances = moments.covariance.diagonal()
    for name, variance in (("PPCA", variances.mean().expand_as(variances)), ("factor analysis", variances)):
        model = LinearGaussian(variances.new_zeros(len(variances), 1), moments.mean, variance.clamp(min=min_variance))
        density = partial(_double_density, model)
        rows.append(row(0, f"{name}, without codes", [mean_nats(density, x) for x in (images.train, images.test)]))
    return rows


def _double_density(model: LinearGaussian, x: Tensor) -> Tensor:
    return log_density(model, x.flatten(1).double())


def measure(options: Namespace) -> tuple[dict[Key, Run], dict[Key, float], Images]:
    """Train all, and print the table; the runs, the best train log-likelihoods known, and the images."""
    runs: dict[Key, Run] = {}
    optima: dict[Key, float] = {}
    images = read(options.data_dir)
    print(f"{_HEADER}\n{'|---' * (_HEADER.count('|') - 1)}|")
    print(*codeless_rows(images, LitPPCA((1, 28, 28)).min_variance), sep="\n")
    for latent_dim in options.codes:
        for name, config, words in WAYS:
            run = runs[latent_dim, name] = fit(latent_dim, config, words, options)
            nats = [mean_nats(run.model.log_likelihood, x) for x in (images.train, images.test)]
            (train_mse, _), test_mse = mse(run.model, images.train), mse(run.model, images.test)
            print(row(latent_dim, name, nats, [train_mse, *test_mse]), flush=True)
        print(*pca_rows(latent_dim, images), sep="\n")
        floor = runs[latent_dim, "factor analysis, EM"].model.min_variance
        words_of_row, optima[latent_dim, "factor analysis"] = factor_analysis_row(latent_dim, images, floor)
        print(words_of_row, flush=True)
        optima[latent_dim, "PPCA"] = runs[latent_dim, "PPCA, closed form"].curve[-1]
    return runs, optima, images


def read(data_dir: str) -> Images:
    """The official splits."""
    data = MNISTDataModule(data_dir, val_fraction=0.0)
    data.setup()
    train_images, test_images = (data.split(name)[0] / 255 for name in ("train", "test"))
    return Images(train_images, test_images, covariance(train_images.split(_CHUNK)))


def main() -> None:
    """Train, print and draw."""
    parser = make_parser(__doc__)
    add_count(parser, "--codes", [2, 4, 8, 32], 1, "K, numbers of codes")
    add_count(parser, "--epochs", 0, 0, "epochs of each fit; 0 for those of the configs")
    parser.add_argument("--out", default="runs/ppca", help="folder of the pictures")
    options = parser.parse_args()
    check_data(parser, options.data_dir, ["MNIST"])
    runs, optima, images = measure(options)
    print("\nfactor analysis by EM, log-likelihoods of the test images in nats")
    for latent_dim in options.codes:
        print(spread(runs[latent_dim, "factor analysis, EM"].model, images.test))
    models = {key: run.model for key, run in runs.items()}
    out = Path(options.out)
    out.mkdir(parents=True, exist_ok=True)
    draw_samples(models, options.codes).savefig(out / "ppca_samples.png", dpi=100)
    draw_reconstructions(models, options.codes, images.test[:5]).savefig(out / "ppca_reconstructions.png", dpi=100)
    curves = {key: run.curve for key, run in runs.items()}
    draw_curves(curves, optima, options.codes).savefig(out / "ppca_curves.png", dpi=100)
    print(f"\npictures: {out}")


if __name__ == "__main__":
    main()
