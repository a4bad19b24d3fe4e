"""A new model in fifty lines, a Bernoulli RBM: `uv run python -m docs.tutorials.new_model`."""

# %% [markdown]
# # A new model in fifty lines
#
# The project has an RBM of real pixels. This one has binary pixels v and binary hidden units h (Smolensky, 1986; Hinton, 2002):
#
# $$p(v, h) = \frac{1}{Z} \exp\big(b^\top v + a^\top h + h^\top W v\big),$$
#
# $$F(v) = -b^\top v - \sum_j \log\Big(1 + e^{a_j + (W v)_j}\Big)$$
#
# F is the free energy: p(v) = exp(-F(v)) / Z. Given v the hidden units are independent, and given h the pixels are. So the model
# answers all three verbs: `encode` gives p(h = 1 | v), `reconstruct` goes there and back, `sample` runs a Markov chain.
#
# Run it in the root of the repository: `uv run python -m docs.tutorials.new_model`. It takes less than a minute of one CPU core.

# %%
import os
from functools import partial
from math import prod

import torch
from lightning import Trainer, seed_everything
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from torch import nn
from torch.nn.functional import softplus

from callbacks import Interpolation, ReconstructionGrid, SampleGrid
from datamodules import DigitsDataModule
from evaluation import pca_errors, probe_accuracy
from lit_models.base import BaseModule
from lit_models.metrics import EpochMeans

EPOCHS = int(os.environ.get("TUTORIAL_EPOCHS", "150"))  # fewer, and the script is sooner done with a worse model
RUNS = os.environ.get("TUTORIAL_RUNS", "runs/tutorial")  # where pictures go

# %% [markdown]
# ## The model
#
# `step` returns the loss of a batch: the free energy of the data less that of 64 Markov chains, which go on by `cd_steps` Gibbs steps
# at every batch (persistent contrastive divergence; Tieleman, 2008). The chains count as constants, so the gradient is the
# difference of two means, as that of the likelihood is. A buffer goes into checkpoints; what `figures` get is logged.


# %%
class BernoulliRBM(BaseModule):
    """RBM of binary pixels and binary hidden units, trained by persistent contrastive divergence."""

    def __init__(
        self,
        image_shape,
        hidden_dim: int = 128,
        cd_steps: int = 5,
        optimizer: OptimizerCallable = torch.optim.Adam,
        lr_scheduler: LRSchedulerCallable | None = None,
    ):
        super().__init__(optimizer, lr_scheduler)
        self.image_shape, self.cd_steps = tuple(image_shape), cd_steps
        self.weight = nn.Parameter(0.01 * torch.randn(hidden_dim, prod(image_shape)))
        self.hidden_bias = nn.Parameter(torch.zeros(hidden_dim))
        self.visible_bias = nn.Parameter(torch.zeros(prod(image_shape)))
        self.register_buffer("chains", torch.rand(64, *image_shape).round())
        self.add_figures(means=EpochMeans(["loss", "mse"]))

    def encode(self, x, y=None):
        return torch.sigmoid(x.flatten(1) @ self.weight.T + self.hidden_bias)  # (N, C, H, W) -> (N, hidden_dim)

    def decode(self, h, y=None):
        return torch.sigmoid(h @ self.weight + self.visible_bias).unflatten(1, self.image_shape)

    def reconstruct(self, x, y=None):
        return self.decode(self.encode(x))

    def sample(self, n, y=None):
        coins = torch.rand(n, *self.image_shape, device=self.device).round()
        return self.reconstruct(self.gibbs(coins, 1000))

    @torch.no_grad()
    def gibbs(self, v, steps):
        for _ in range(steps):
            v = torch.bernoulli(self.decode(torch.bernoulli(self.encode(v))))
        return v

    def free_energy(self, x):
        v = x.flatten(1)
        return -v @ self.visible_bias - softplus(v @ self.weight.T + self.hidden_bias).sum(1)

    def step(self, x, y, stage):
        if stage == "train":
            self.chains.copy_(self.gibbs(self.chains, self.cd_steps))
        loss = self.free_energy(x).mean() - self.free_energy(self.chains).mean()
        mse = (self.reconstruct(x) - x).square().mean().detach()
        self.figures(stage)["means"].update([loss, mse], len(x))
        return loss


# %% [markdown]
# Those are fifty lines, and no list has to be told of the class. The loss is no likelihood: it is the difference of two free
# energies, and need not fall as the model gets better.
#
# ## Training and pictures
#
# scikit-learn's digits, with each pixel drawn as 0 or 1 by its grey value, afresh in each epoch.

# %%
seed_everything(0)
data = DigitsDataModule(batch_size=64, binarize=True)
data.setup()
model = BernoulliRBM(
    data.image_shape,
    optimizer=partial(torch.optim.Adam, lr=3e-3),
    lr_scheduler=partial(torch.optim.lr_scheduler.CosineAnnealingLR, T_max=EPOCHS),
)
pictures = [SampleGrid(4, 10, EPOCHS), ReconstructionGrid(every_n_epochs=EPOCHS), Interpolation(every_n_epochs=EPOCHS)]
trainer = Trainer(
    max_epochs=EPOCHS, accelerator="cpu", callbacks=pictures, default_root_dir=RUNS, enable_progress_bar=False
)
trainer.fit(model, data)
print({name: round(value.item(), 4) for name, value in trainer.callback_metrics.items()})

# %% [markdown]
# Samples after a thousand Gibbs steps from coins:
#
# ![Forty grey digits; most can be read](../images/tutorial_rbm_samples.png)
#
# Held-out images, and what the model makes of them:
#
# ![Digits of black and white dots, and smooth grey digits below them](../images/tutorial_rbm_reconstructions.png)
#
# ## What it learned
#
# Measures are functions on tensors. A logistic regression reads the class from codes, from the untrained model's codes and from
# pixels; the error of reconstructions stands beside that of PCA with as many numbers.

# %%
model.eval()
(train_images, train_labels), (test_images, test_labels) = (data.split(name) for name in ("train", "test"))
train_x, test_x = train_images / 255, test_images / 255  # bytes to [0, 1]
with torch.no_grad():
    for name, encode in {
        "codes": model.encode,
        "codes, untrained": model.untrained().encode,
        "pixels": lambda x: x.flatten(1),
    }.items():
        accuracy = probe_accuracy(encode(train_x), train_labels, encode(test_x), test_labels)
        print(f"{name:<17} {accuracy:.1%} of the test images right")
    error = (model.reconstruct(test_x) - test_x).square().mean()
print(f"squared error per pixel {error:.4f}, of PCA with as many numbers {pca_errors(train_x, test_x, 128).mean():.4f}")

# %% [markdown]
# It printed this; with the 360 test images a share of 97% has a standard error of about 0.9%.
#
# ```text
# codes             97.5% of the test images right
# codes, untrained  83.0% of the test images right
# pixels            96.4% of the test images right
# squared error per pixel 0.0986, of PCA with as many numbers 0.0644
# ```
#
# The codes tell digits apart as well as pixels do. Both errors are of images of drawn dots: PCA comes nearer to them, and the RBM gives smooth digits.
#
# ## On the command line
#
# With its imports in a file of its own, `bernoulli.py`, the class takes the place of any model:
#
# ```bash
# uv run train.py fit --model bernoulli.BernoulliRBM --model.hidden_dim 256 --model.optimizer torch.optim.Adam --model.optimizer.lr 3e-3 \
#     --data MNISTDataModule --data.binarize true --trainer.max_epochs 20 --trainer.callbacks+=SampleGrid
# ```
#
# The run has a folder, checkpoints that resume, and `load_model(path, trusted=["bernoulli"])` makes the model again.
# [Your own model](../own_model.md) lists what each method brings.
