"""Ways to make a conditional VAE obey its label, side by side on the validation split.

Trains the network of configs/cvae_fashion_mnist.yaml, 784-400-20, in each way: N(0, I) as prior of every class, the
same with a warm-up of the KL term, with free bits, and with the label joined at every layer; then a learned prior for
each class, one Gaussian or a mixture. Adam 2e-3 annealed by a cosine, batches of 128.

Prints for each way the validation loss, in nats per image, and the agreement: the share of 2,000 samples, equally many
of each class asked, that a classifier takes for the class asked. The classifier's accuracy on the validation images
stands above.

Run: uv run python -m benchmarks.label_agreement --data_dir data --data KMNIST --classifier CHECKPOINT
"""

from argparse import Namespace
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from lightning.pytorch import Trainer, seed_everything
from torch import Tensor, nn

import datamodules
from benchmarks.options import add_count, check_data, make_parser
from lit_models import LitVAE, load_classifier
from lit_models.networks import Decoder, Encoder, MLPDecoder, MLPEncoder

DATA = "MNIST", "KMNIST", "FashionMNIST", "Digits"
_SAMPLES = 2000
_FREE_BITS = 0.25  # nats of each unit that cost nothing


class LabelledEncoder(Encoder):
    """One hidden layer of 400, the label joined to the pixels and to the hidden layer."""

    def __init__(self, image_shape: Sequence[int], out_dim: int, condition_dim: int = 0) -> None:
        super().__init__()
        self.body = MLPEncoder(image_shape, 400, condition_dim, hidden_dims=[])
        self.head = nn.Linear(400 + condition_dim, out_dim)

    def features(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """See `Encoder.features`."""
        assert condition is not None
        return torch.cat([self.body(x, condition).relu(), condition], 1)


class LabelledDecoder(Decoder):
    """One hidden layer of 400, the label joined to the code and to the hidden layer."""

    def __init__(self, in_dim: int, image_shape: Sequence[int], condition_dim: int = 0) -> None:
        super().__init__()
        self.body = nn.Linear(in_dim + condition_dim, 400)
        self.logits = MLPDecoder(400, image_shape, condition_dim, hidden_dims=[])

    def forward(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        """See `Decoder.forward`."""
        assert condition is not None
        return self.logits(self.body(torch.cat([z, condition], 1)).relu(), condition)


class FreeBitsVAE(LitVAE):
    """In training the KL of a unit, averaged over the batch, costs what it has above a quarter of a nat.

    Source: D. P. Kingma et al., "Improved variational inference with inverse autoregressive flow", NeurIPS 2016.
    """

    def step(self, x: Tensor, y: Tensor | None, stage: str) -> Tensor:
        """See `LitVAE.step`."""
        loss = super().step(x, y, stage)
        if stage != "train":
            return loss
        mu, log_variance = self.posterior(x, y)
        kl = self.prior.unit_kl(mu, log_variance, y).mean(0)  # (N, D) -> (D,)
        return loss - kl.sum() + kl.clamp_min(_FREE_BITS).sum()


def _vae(encoder: Any = MLPEncoder, decoder: Any = MLPDecoder, kind: type[LitVAE] = LitVAE, **options: Any) -> Any:
    return partial(kind, (1, 28, 28), 20, encoder, decoder, conditional=True, **options)


WAYS: dict[str, Callable[..., LitVAE]] = {
    "N(0, I)": _vae(),
    "N(0, I), KL warm-up over half of the epochs": _vae(),
    "N(0, I), free bits": _vae(kind=FreeBitsVAE),
    "N(0, I), label at every layer": _vae(LabelledEncoder, LabelledDecoder),
    "one Gaussian a class": _vae(prior="mixture", num_components=1),
    "4 Gaussians a class": _vae(prior="mixture", num_components=4),
    "16 Gaussians a class": _vae(prior="mixture", num_components=16),
    "64 Gaussians a class": _vae(prior="mixture", num_components=64),
    "256 Gaussians a class": _vae(prior="mixture", num_components=256),
}


def fit(way: str, options: Namespace) -> tuple[LitVAE, float]:
    """Train in one way; the model and its last validation loss, in nats per image."""
    seed_everything(0, verbose=False)
    model = WAYS[way](
        beta_warmup_epochs=options.epochs // 2 if "warm-up" in way else 0,
        optimizer=partial(torch.optim.Adam, lr=2e-3, fused=True),
        lr_scheduler=partial(torch.optim.lr_scheduler.CosineAnnealingLR, T_max=options.epochs),
    )
    trainer = Trainer(
        max_epochs=options.epochs,
        num_sanity_val_steps=0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(model, make_data(options))
    return model.eval(), float(trainer.callback_metrics["val/loss"])


def make_data(options: Namespace) -> Any:
    """The data module asked for."""
    return getattr(datamodules, f"{options.data}DataModule")(options.data_dir, batch_size=128)


@torch.no_grad()
def agreement(model: LitVAE, classifier: Any) -> float:
    """Share of samples that the classifier takes for the class asked."""
    torch.manual_seed(1)
    y = torch.arange(_SAMPLES) % model.num_classes
    found = [classifier.classify(model.sample(len(part), part)).argmax(1) for part in y.split(500)]
    return (torch.cat(found) == y).float().mean().item()


@torch.no_grad()
def accuracy(classifier: Any, options: Namespace) -> float:
    """The classifier's, on the validation images."""
    data = make_data(options)
    data.setup()
    images, y = data.split("val")
    found = [classifier.classify(part.float() / 255).argmax(1) for part in images.split(500)]
    return (torch.cat(found) == y).float().mean().item()


def main() -> None:
    """Train in each way, and print a row each."""
    parser = make_parser(__doc__)
    parser.add_argument("--data", default="KMNIST", choices=DATA, help="data set")
    parser.add_argument("--classifier", required=True, help="checkpoint of a classifier of the same data set")
    parser.add_argument(
        "--ways", nargs="+", default=list(WAYS), choices=list(WAYS), metavar="WAY", help="; ".join(WAYS)
    )
    add_count(parser, "--epochs", 20, 1, "epochs of each way")
    options = parser.parse_args()
    check_data(parser, options.data_dir, [options.data] if options.data != "Digits" else [])
    classifier = load_classifier(options.classifier)
    print(f"{options.data}, {options.epochs} epochs; accuracy of the classifier: {accuracy(classifier, options):.3f}\n")
    print("| way | val/loss | agreement |\n|---|---|---|")
    for way in options.ways:
        model, loss = fit(way, options)
        print(f"| {way} | {loss:.2f} | {agreement(model, classifier):.3f} |", flush=True)


if __name__ == "__main__":
    main()
