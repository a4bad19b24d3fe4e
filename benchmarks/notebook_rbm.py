"""The RBM's training epoch as the coursework has it: per-image ToTensor, a DataLoader, CD-5 in a plain loop, Adam."""

import time

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus
from torch.utils.data import DataLoader
from torchvision.datasets import KMNIST
from torchvision.transforms import ToTensor


class NotebookRBM(nn.Module):
    """784 real visible units with sigma 1, `hidden_dim` binary hidden ones."""

    def __init__(self, hidden_dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(0.01 * torch.randn(784, hidden_dim))
        self.visible_bias = nn.Parameter(torch.zeros(784))
        self.hidden_bias = nn.Parameter(torch.zeros(hidden_dim))

    def free_energy(self, v: Tensor) -> Tensor:
        """(N, 784) to (N,)."""
        quadratic = 0.5 * ((v - self.visible_bias) ** 2).sum(1)
        return quadratic - softplus(v @ self.weight + self.hidden_bias).sum(1)

    @torch.no_grad()
    def contrast(self, v: Tensor, steps: int) -> Tensor:
        """The end of Gibbs chains from v, (N, 784)."""
        for _ in range(steps):
            hidden = torch.bernoulli(torch.sigmoid(v @ self.weight + self.hidden_bias))
            v = torch.normal(self.visible_bias + hidden @ self.weight.t(), 1.0)
        return v


def epoch_seconds(data_dir: str, epochs: int, hidden_dim: int) -> list[float]:
    """Train for some epochs on 60,000 images in batches of 128; seconds of each."""
    loader = DataLoader(KMNIST(data_dir, transform=ToTensor()), batch_size=128, shuffle=True)
    model = NotebookRBM(hidden_dim)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    seconds = []
    for _ in range(epochs):
        start = time.perf_counter()
        total = 0.0
        for x, _ in loader:
            v = x.view(-1, 784)
            v = (v - v.mean()) / v.std()
            loss = (model.free_energy(v) - model.free_energy(model.contrast(v, steps=5))).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item()
        seconds.append(time.perf_counter() - start)
    return seconds
