"""The barest loops: tensors in memory, fused Adam, this project's networks and maths, no framework, no figures.

Each function trains some epochs of at most `steps` batches of 128 and returns the seconds of each.
"""

import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, one_hot

from datamodules import FashionMNISTDataModule, ImageDataModule, KMNISTDataModule, MNISTDataModule
from lit_models import LitDCGAN, LitProbe, LitRBM, LitVAE
from lit_models.functional.adversarial import discriminator_loss, generator_loss
from lit_models.functional.elbo import bernoulli_nll, reparameterize, standard_normal_kl
from lit_models.functional.rbm import free_energy, gibbs_chain, hidden_logits


def train(
    data: ImageDataModule, step: Callable[[Tensor, Tensor], None], device: str, epochs: int, steps: int
) -> list[float]:
    """Seconds of each epoch over a data module's train split; `step` takes floats in [0, 1], or codes, and labels."""
    images, labels = (part.to(device) for part in data.splits["train"])
    seconds = []
    for _ in range(epochs):
        start = time.perf_counter()
        for index in torch.randperm(len(images), device=device).split(128)[:steps]:
            x = images[index]
            step(x if x.is_floating_point() else x.float().div_(255), labels[index])
        if device == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    return seconds


def _set_up(
    kind: type[ImageDataModule], data_dir: str, val_fraction: float, train_fraction: float = 1
) -> ImageDataModule:
    data = kind(data_dir, batch_size=128, val_fraction=val_fraction, train_fraction=train_fraction)
    data.setup()
    return data


def vae(data_dir: str, device: str, epochs: int, steps: int, conditional: bool, bfloat16: bool = False) -> list[float]:
    """The VAE on Fashion-MNIST."""
    model = LitVAE((1, 28, 28), num_classes=10, latent_dim=20, hidden_dims=[400], conditional=conditional).to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)

    def step(x: Tensor, y: Tensor) -> None:
        condition = one_hot(y, 10).float() if conditional else None
        with torch.autocast(device, torch.bfloat16, enabled=bfloat16):
            mu, log_variance = model.encoder(x, condition)
            logits = model.decoder(reparameterize(mu, log_variance), condition)
            loss = bernoulli_nll(logits, x).mean() + standard_normal_kl(mu, log_variance).mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return train(_set_up(FashionMNISTDataModule, data_dir, 0.2), step, device, epochs, steps)


def rbm(data_dir: str, device: str, epochs: int, steps: int, hidden_dim: int) -> list[float]:
    """CD-5 on KMNIST."""
    data = _set_up(KMNISTDataModule, data_dir, 0.0)
    model = LitRBM((1, 28, 28), hidden_dim=hidden_dim)
    model.standardize(part.float() / 255 for part in data.splits["train"][0].split(1000))
    model.to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)

    def step(x: Tensor, y: Tensor) -> None:
        parameters, v = model.parameters_of_rbm(), model.scale(x)
        logits = hidden_logits(parameters, v)
        chain, _ = gibbs_chain(parameters, logits.detach(), 5)
        loss = (free_energy(parameters, v, logits) - free_energy(parameters, chain)).mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return train(data, step, device, epochs, steps)


def dcgan(data_dir: str, device: str, epochs: int, steps: int, bfloat16: bool = False) -> list[float]:
    """Both players on MNIST."""
    model = LitDCGAN((1, 28, 28)).to(device)
    discriminator, generator = model.discriminator, model.generator
    options = {"lr": 2e-4, "betas": (0.5, 0.999), "fused": True}
    optimizer_d = torch.optim.Adam(discriminator.parameters(), **options)  # type: ignore[arg-type]
    optimizer_g = torch.optim.Adam(generator.parameters(), **options)  # type: ignore[arg-type]

    def step(x: Tensor, y: Tensor) -> None:
        with torch.autocast(device, torch.bfloat16, enabled=bfloat16):
            generated = generator(torch.randn(len(x), 100, device=device))
            logits = discriminator(2 * x - 1).float(), discriminator(generated.detach()).float()
            loss = discriminator_loss(*logits, "minimax")
        loss.backward()
        optimizer_d.step()
        optimizer_d.zero_grad()
        discriminator.requires_grad_(False)
        with torch.autocast(device, torch.bfloat16, enabled=bfloat16):
            loss = generator_loss(discriminator(generated).float(), "minimax")
        loss.backward()
        optimizer_g.step()
        optimizer_g.zero_grad()
        discriminator.requires_grad_(True)

    return train(_set_up(MNISTDataModule, data_dir, 0.05), step, device, epochs, steps)


def probe(data_dir: str, device: str, epochs: int, steps: int) -> list[float]:
    """A linear layer on an untrained discriminator's features of 6,000 images, computed once."""
    data = _set_up(MNISTDataModule, data_dir, 0.0, train_fraction=0.1)
    encoder = LitDCGAN((1, 28, 28)).eval().to(device)
    model = LitProbe((1, 28, 28), encoder=encoder)
    data.encode_images("train", lambda x: model.codes(x.to(device)).cpu(), owner=model)
    head: nn.Module = model.heads[0].to(device)
    optimizer = torch.optim.AdamW(head.parameters(), lr=1e-3, weight_decay=1.0, fused=True)

    def step(x: Tensor, y: Tensor) -> None:
        cross_entropy(head(x), y, label_smoothing=0.1).backward()
        optimizer.step()
        optimizer.zero_grad()

    return train(data, step, device, epochs, steps)
