"""Training as coursework notebooks have it: per-image ToTensor, a DataLoader, a plain loop, plain Adam, loss.item().

Each function trains some epochs of at most `steps` batches, by the clock.
"""

from collections.abc import Callable
from itertools import islice, pairwise

import torch
from sklearn.manifold import TSNE
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy, cross_entropy, one_hot, relu, softplus
from torch.utils.data import DataLoader, Dataset, Subset
from torchvision.datasets import KMNIST, MNIST, FashionMNIST
from torchvision.transforms import ToTensor

from benchmarks.bare import untrained_vae
from benchmarks.turns import Clock, Setting
from lit_models.networks import DCGANDiscriminator, DCGANGenerator


def train(
    dataset: Dataset, step: Callable[[Tensor, Tensor], float], setting: Setting, clock: Clock, batch_size: int = 128
) -> None:
    """All epochs; `step` takes images and labels on the device and returns its loss."""
    loader = DataLoader(dataset, batch_size=batch_size, shuffle=True)
    for _ in range(setting.epochs):
        clock.start()
        total = 0.0
        for x, y in islice(loader, setting.steps):
            total += step(x.to(setting.device), y.to(setting.device))
        clock.stop()


class VAE(nn.Module):
    """784-400-20, as in the coursework; images in [0, 1], (N, 784), and one-hot labels (N, K) or none."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(784 + classes, 400)
        self.mu = nn.Linear(400, 20)
        self.log_variance = nn.Linear(400, 20)
        self.back = nn.Linear(20 + classes, 400)
        self.out = nn.Linear(400, 784)

    def forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Reconstruction (N, 784) in [0, 1], mean and log-variance (N, 20)."""
        hidden = relu(self.hidden(torch.cat([x, y], 1)))
        mu, log_variance = self.mu(hidden), self.log_variance(hidden)
        z = mu + torch.exp(0.5 * log_variance) * torch.randn_like(mu)
        return torch.sigmoid(self.out(relu(self.back(torch.cat([z, y], 1))))), mu, log_variance


def vae(setting: Setting, clock: Clock, conditional: bool) -> None:
    """The VAE on 48,000 images of Fashion-MNIST."""
    classes = 10 if conditional else 0
    model = VAE(classes).to(setting.device)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

    def step(x: Tensor, y: Tensor) -> float:
        x = x.view(-1, 784)
        labels = one_hot(y, 10).float() if conditional else x[:, :0]
        optimizer.zero_grad()
        reconstruction, mu, log_variance = model(x, labels)
        bce = binary_cross_entropy(reconstruction, x, reduction="sum")
        kl = -0.5 * torch.sum(1 + log_variance - mu.pow(2) - log_variance.exp())
        loss = (bce + kl) / len(x)
        loss.backward()
        optimizer.step()
        return loss.item()

    dataset = Subset(FashionMNIST(setting.data_dir, transform=ToTensor()), range(48_000))
    train(dataset, step, setting, clock)


def autoencoder(setting: Setting, clock: Clock) -> None:
    """784-256-64-32 and back on 55,000 images of MNIST, in batches of 64."""
    sizes = [784, 256, 64, 32, 64, 256, 784]
    layers: list[nn.Module] = []
    for fan_in, fan_out in pairwise(sizes):
        layers += [nn.Linear(fan_in, fan_out), nn.Identity() if fan_out == 32 else nn.ReLU()]
    model = nn.Sequential(*layers[:-1], nn.Sigmoid()).to(setting.device)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

    def step(x: Tensor, y: Tensor) -> float:
        x = x.view(-1, 784)
        optimizer.zero_grad()
        loss = binary_cross_entropy(model(x), x)
        loss.backward()
        optimizer.step()
        return loss.item()

    train(Subset(MNIST(setting.data_dir, transform=ToTensor()), range(55_000)), step, setting, clock, batch_size=64)


class RBM(nn.Module):
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


def rbm(setting: Setting, clock: Clock, hidden_dim: int) -> None:
    """CD-5 on 60,000 images of KMNIST."""
    model = RBM(hidden_dim).to(setting.device)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

    def step(x: Tensor, y: Tensor) -> float:
        v = x.view(-1, 784)
        v = (v - v.mean()) / v.std()
        loss = (model.free_energy(v) - model.free_energy(model.contrast(v, steps=5))).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    train(KMNIST(setting.data_dir, transform=ToTensor()), step, setting, clock)


def dcgan(setting: Setting, clock: Clock) -> None:
    """Both players on 57,000 images of MNIST; the networks are this project's."""
    discriminator = DCGANDiscriminator((1, 28, 28)).to(setting.device)
    generator = DCGANGenerator(100, (1, 28, 28)).to(setting.device)
    optimizer_d = torch.optim.Adam(discriminator.parameters(), lr=2e-4, betas=(0.5, 0.999))
    optimizer_g = torch.optim.Adam(generator.parameters(), lr=2e-4, betas=(0.5, 0.999))

    def step(x: Tensor, y: Tensor) -> float:
        generated = generator(torch.randn(len(x), 100, device=setting.device)).tanh()
        loss_d = softplus(-discriminator(2 * x - 1)).mean() + softplus(discriminator(generated.detach())).mean()
        optimizer_d.zero_grad()
        loss_d.backward()
        optimizer_d.step()
        loss_g = -softplus(discriminator(generated)).mean()
        optimizer_g.zero_grad()
        loss_g.backward()
        optimizer_g.step()
        return loss_d.item() + loss_g.item()

    dataset = Subset(MNIST(setting.data_dir, transform=ToTensor()), range(57_000))
    train(dataset, step, setting, clock)


def probe(setting: Setting, clock: Clock) -> None:
    """A linear layer on a discriminator's features of 6,000 images, which every epoch computes anew."""
    encoder = DCGANDiscriminator((1, 28, 28)).to(setting.device).eval()
    layer = nn.Linear(8192, 10).to(setting.device)
    optimizer = torch.optim.Adam(layer.parameters(), lr=1e-3)

    def step(x: Tensor, y: Tensor) -> float:
        with torch.no_grad():
            features = encoder.features(2 * x - 1)
        loss = cross_entropy(layer(features), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    dataset = Subset(MNIST(setting.data_dir, transform=ToTensor()), range(6_000))
    train(dataset, step, setting, clock)


def tsne(setting: Setting, clock: Clock) -> None:
    """scikit-learn's t-SNE with its defaults, of the codes that a DataLoader's images have."""
    encode = untrained_vae().encode
    dataset = FashionMNIST(setting.data_dir, train=False, transform=ToTensor())
    for _ in range(setting.epochs):
        clock.start()
        codes = torch.cat([encode(x).detach() for x, _ in DataLoader(dataset, batch_size=128)])
        TSNE(random_state=0).fit_transform(codes.numpy())
        clock.stop()
