"""The DCGAN's step in the barest loop: the same networks, losses and optimizers, batches in memory, no framework."""

import time

import torch
from torch import Tensor

from lit_models.functional.adversarial import discriminator_loss, generator_loss
from lit_models.networks.dcgan import Discriminator, Generator


def step_seconds(images: Tensor, steps: int, warmup: int) -> list[float]:
    """Train on random batches of 128; seconds of each step after the warm-up.

    Args:
        images: (N, 1, 28, 28) bytes.
        steps: steps to time.
        warmup: steps before them.
    """
    torch.manual_seed(0)
    discriminator, generator = Discriminator((1, 28, 28), dropout=0.3), Generator((1, 28, 28), latent_dim=100)
    optimizer_d = torch.optim.Adam(discriminator.parameters(), lr=2e-4, betas=(0.5, 0.999), fused=True)
    optimizer_g = torch.optim.Adam(generator.parameters(), lr=2e-4, betas=(0.5, 0.999), fused=True)
    seconds = []
    for _ in range(warmup + steps):
        start = time.perf_counter()
        x = images[torch.randint(len(images), (128,))].float().div_(255)
        with torch.autocast("cpu", torch.bfloat16):
            generated = generator(torch.randn(len(x), 100))
            logits = discriminator(2 * x - 1).float(), discriminator(generated.detach()).float()
            loss = discriminator_loss(*logits, "minimax")
        loss.backward()
        optimizer_d.step()
        optimizer_d.zero_grad()
        discriminator.requires_grad_(False)
        with torch.autocast("cpu", torch.bfloat16):
            loss = generator_loss(discriminator(generated).float(), "minimax")
        loss.backward()
        optimizer_g.step()
        optimizer_g.zero_grad()
        discriminator.requires_grad_(True)
        seconds.append(time.perf_counter() - start)
    return seconds[warmup:]
