"""The VAE's training epoch as a notebook has it: per-image ToTensor, a DataLoader, a plain loop, plain Adam."""

import time

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy, relu
from torch.utils.data import DataLoader, random_split
from torchvision.datasets import FashionMNIST
from torchvision.transforms import ToTensor


class NotebookVAE(nn.Module):
    """784-400-20, as in the coursework; images in [0, 1], (N, 1, 28, 28)."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(784, 400)
        self.mu = nn.Linear(400, 20)
        self.log_variance = nn.Linear(400, 20)
        self.back = nn.Linear(20, 400)
        self.out = nn.Linear(400, 784)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Reconstruction (N, 784) in [0, 1], mean and log-variance (N, 20)."""
        hidden = relu(self.hidden(x.view(-1, 784)))
        mu, log_variance = self.mu(hidden), self.log_variance(hidden)
        z = mu + torch.exp(0.5 * log_variance) * torch.randn_like(mu)
        return torch.sigmoid(self.out(relu(self.back(z)))), mu, log_variance


def epoch_seconds(data_dir: str, epochs: int) -> list[float]:
    """Train for some epochs on 48,000 images in batches of 128; seconds of each."""
    dataset = FashionMNIST(data_dir, transform=ToTensor())
    train, _ = random_split(dataset, [48_000, 12_000], torch.Generator().manual_seed(0))
    loader = DataLoader(train, batch_size=128, shuffle=True)
    model = NotebookVAE()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    seconds = []
    for _ in range(epochs):
        start = time.perf_counter()
        total = 0.0
        for x, _ in loader:
            optimizer.zero_grad()
            reconstruction, mu, log_variance = model(x)
            bce = binary_cross_entropy(reconstruction, x.view(-1, 784), reduction="sum")
            kl = -0.5 * torch.sum(1 + log_variance - mu.pow(2) - log_variance.exp())
            loss = (bce + kl) / len(x)
            loss.backward()
            total += loss.item()
            optimizer.step()
        seconds.append(time.perf_counter() - start)
    return seconds
