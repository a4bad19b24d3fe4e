"""A denoising autoencoder beside the best linear denoiser, on MNIST's test split.

The linear one is Wiener's: the posterior mean of x given x + noise, for the train split's mean and covariance, in
closed form. Errors are mean squared errors per pixel against the clean image, in [0, 1] units. A model's images are cut
to [0, 1], so each other error is given after the same cut too.

Run: uv run python -m benchmarks.denoising --data_dir data --ckpt_path PATH
"""

import torch
from torch import Tensor

from benchmarks.options import check_data, make_parser
from datamodules import MNISTDataModule
from lit_models import LitAutoencoder, load_model


def wiener(train: Tensor, noisy: Tensor, noise_std: float) -> Tensor:
    """The best linear reconstruction of images (N, D) with white noise, by the moments of clean images (M, D).

    Source: N. Wiener, "Extrapolation, interpolation, and smoothing of stationary time series", 1949, for vectors.

    Example:
        >>> clean = torch.tensor([[0.0], [1.0]]).double()
        >>> wiener(clean, torch.tensor([[0.5], [2.5]]).double(), noise_std=0.5)  # noise and images have one variance
        tensor([[0.5000],
                [1.5000]], dtype=torch.float64)
    """
    mean = train.mean(0)
    covariance = (train - mean).T @ (train - mean) / len(train)  # (D, D)
    noise = noise_std**2 * torch.eye(len(covariance), dtype=train.dtype)
    return mean + (noisy - mean) @ torch.linalg.solve(covariance + noise, covariance)


def mse(images: Tensor, clean: Tensor) -> float:
    """Mean squared error per pixel."""
    return float((images - clean).square().mean())


@torch.no_grad()
def main() -> None:
    """Print a row a denoiser, and the share of the model's codes that are not zero."""
    parser = make_parser(__doc__)
    parser.add_argument("--ckpt_path", required=True, help="checkpoint of a LitAutoencoder with noise_std")
    parser.add_argument("--seed", type=int, default=0, help="of the noise")
    options = parser.parse_args()
    check_data(parser, options.data_dir, ["MNIST"])
    model = load_model(options.ckpt_path)
    if not (isinstance(model, LitAutoencoder) and model.noise_std > 0):
        parser.error(f"--ckpt_path must hold a LitAutoencoder with noise_std above 0, got a {type(model).__name__}")
    data = MNISTDataModule(options.data_dir, val_fraction=0.0)
    data.setup()
    train, clean = (data.split(split)[0].float() / 255 for split in ("train", "test"))
    torch.manual_seed(options.seed)
    noisy = model.corrupt(clean)
    linear = wiener(train.flatten(1).double(), noisy.flatten(1).double(), model.noise_std).view_as(noisy)
    parts = noisy.split(1000)
    denoised = torch.cat([model.reconstruct(part) for part in parts])
    print(f"{len(clean):,} test images, noise of standard deviation {model.noise_std} (seed {options.seed})\n")
    print("| | MSE | after a cut to [0, 1] |\n|---|---|---|")
    for name, images in (("noisy", noisy), ("Wiener", linear), ("model", denoised)):
        print(f"| {name} | {mse(images, clean):.5f} | {mse(images.clamp(0, 1), clean):.5f} |")
    for name, batches in (("clean", clean.split(1000)), ("noisy", parts)):
        share = torch.cat([model.encode(part).ne(0).float().mean(1) for part in batches]).mean()
        print(f"\ncodes of {name} images that are not zero: {share:.2%}", end="")
    print()


if __name__ == "__main__":
    main()
