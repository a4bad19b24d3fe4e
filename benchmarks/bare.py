"""The barest loops: tensors in memory, fused Adam, this project's networks and maths, no framework, no figures.

Each function trains some epochs of at most `steps` batches, by the clock.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from sklearn.manifold import TSNE
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, one_hot

from benchmarks.turns import Clock, Setting
from datamodules import (
    EncodedDataModule,
    FashionMNISTDataModule,
    ImageDataModule,
    KMNISTDataModule,
    MNISTDataModule,
    TensorDataModule,
)
from lit_models import LitAutoencoder, LitGAN, LitProbe, LitRBM, LitVAE
from lit_models.functional.adversarial import discriminator_loss, generator_loss
from lit_models.functional.elbo import bernoulli_nll, reparameterize, standard_normal_kl
from lit_models.functional.rbm import free_energy, gibbs_chain, hidden_logits
from lit_models.networks import MLPDecoder, MLPEncoder


def train(
    data: TensorDataModule,
    step: Callable[[Tensor, Tensor], None],
    setting: Setting,
    clock: Clock,
    batch_size: int = 128,
) -> None:
    """All epochs over a data module's train split; `step` takes floats in [0, 1], or codes, and labels."""
    images, labels = (part.to(setting.device) for part in data.split("train"))
    for _ in range(setting.epochs):
        clock.start()
        for index in torch.randperm(len(images), device=setting.device).split(batch_size)[: setting.steps]:
            x = images.index_select(0, index)
            step(x if x.is_floating_point() else x.float().div_(255), labels.index_select(0, index))
        clock.stop()


def _set_up(
    kind: type[ImageDataModule], data_dir: str, val_fraction: float, train_fraction: float = 1
) -> ImageDataModule:
    data = kind(data_dir, batch_size=128, val_fraction=val_fraction, train_fraction=train_fraction)
    data.setup()
    return data


def vae(setting: Setting, clock: Clock, conditional: bool, bfloat16: bool = False) -> None:
    """The VAE on Fashion-MNIST."""
    model = LitVAE((1, 28, 28), conditional=conditional).to(setting.device)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)

    def step(x: Tensor, y: Tensor) -> None:
        condition = one_hot(y, 10).float() if conditional else None
        with torch.autocast(setting.device, torch.bfloat16, enabled=bfloat16):
            mu, log_variance = model.encoder(x, condition).chunk(2, 1)
            logits = model.decoder(reparameterize(mu, log_variance), condition)
            loss = bernoulli_nll(logits, x).mean() + standard_normal_kl(mu, log_variance).mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    train(_set_up(FashionMNISTDataModule, setting.data_dir, 0.2), step, setting, clock)


def autoencoder(setting: Setting, clock: Clock) -> None:
    """784-256-64-32 and back on MNIST, in batches of 64."""
    encoder, decoder = partial(MLPEncoder, hidden_dims=[256, 64]), partial(MLPDecoder, hidden_dims=[64, 256])
    model = LitAutoencoder((1, 28, 28), 32, encoder, decoder).to(setting.device)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)

    def step(x: Tensor, y: Tensor) -> None:
        loss = bernoulli_nll(model.decoder(model.encoder(x)), x).mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    train(_set_up(MNISTDataModule, setting.data_dir, 0.0833), step, setting, clock, batch_size=64)


def rbm(setting: Setting, clock: Clock, hidden_dim: int) -> None:
    """CD-5 on KMNIST."""
    data = _set_up(KMNISTDataModule, setting.data_dir, 0.0)
    model = LitRBM((1, 28, 28), hidden_dim=hidden_dim)
    model.fit_scale(part.float() / 255 for part in data.split("train")[0].split(1000))
    model.to(setting.device)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)

    def step(x: Tensor, y: Tensor) -> None:
        parameters, v = model.rbm, model.scale(x)
        logits = hidden_logits(parameters, v)
        chain, _ = gibbs_chain(parameters, logits.detach(), 5)
        loss = (free_energy(parameters, v, logits) - free_energy(parameters, chain)).mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    train(data, step, setting, clock)


def dcgan(setting: Setting, clock: Clock, bfloat16: bool = False) -> None:
    """Both players on MNIST."""
    model = LitGAN((1, 28, 28)).to(setting.device)
    discriminator, generator = model.discriminator, model.generator
    options = {"lr": 2e-4, "betas": (0.5, 0.999), "fused": True}
    optimizer_d = torch.optim.Adam(discriminator.parameters(), **options)  # type: ignore[arg-type]
    optimizer_g = torch.optim.Adam(generator.parameters(), **options)  # type: ignore[arg-type]

    def step(x: Tensor, y: Tensor) -> None:
        with torch.autocast(setting.device, torch.bfloat16, enabled=bfloat16):
            generated = generator(torch.randn(len(x), 100, device=setting.device)).tanh()
            logits = discriminator(2 * x - 1).float(), discriminator(generated.detach()).float()
            loss = discriminator_loss(*logits, "minimax")
        loss.backward()
        optimizer_d.step()
        optimizer_d.zero_grad()
        discriminator.requires_grad_(False)
        with torch.autocast(setting.device, torch.bfloat16, enabled=bfloat16):
            loss = generator_loss(discriminator(generated).float(), "minimax")
        loss.backward()
        optimizer_g.step()
        optimizer_g.zero_grad()
        discriminator.requires_grad_(True)

    train(_set_up(MNISTDataModule, setting.data_dir, 0.05), step, setting, clock)


def probe(setting: Setting, clock: Clock) -> None:
    """A linear layer on an untrained discriminator's features of 6,000 images, computed once."""
    data = _set_up(MNISTDataModule, setting.data_dir, 0.0, train_fraction=0.1)
    codes = EncodedDataModule(data, LitGAN((1, 28, 28)).eval().to(setting.device), baseline=False)
    codes.setup()
    model = LitProbe(codes.input_shape)
    model.fit_scale([codes.split("train")[0]])
    head: nn.Module = model.to(setting.device).heads[0]
    optimizer = torch.optim.AdamW(head.parameters(), lr=1e-3, weight_decay=1.0, fused=True)

    def step(x: Tensor, y: Tensor) -> None:
        cross_entropy(head(x), y, label_smoothing=0.1).backward()
        optimizer.step()
        optimizer.zero_grad()

    train(codes, step, setting, clock)


def untrained_vae() -> LitVAE:
    """A VAE with random weights from a fixed seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return LitVAE((1, 28, 28))


@torch.no_grad()
def codes(data_dir: str) -> np.ndarray:
    """Codes of Fashion-MNIST's test split by `untrained_vae`, (10000, 20)."""
    data = _set_up(FashionMNISTDataModule, data_dir, 0.0)
    return untrained_vae().encode(data.split("test")[0].float() / 255).numpy()


def tsne(setting: Setting, clock: Clock) -> None:
    """scikit-learn's t-SNE of codes that are there already."""
    x = codes(setting.data_dir)
    for _ in range(setting.epochs):
        clock.start()
        TSNE(init="pca", random_state=0).fit_transform(x)
        clock.stop()
