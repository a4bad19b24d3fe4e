"""From a folder of pictures to samples and a report: `uv run python -m docs.tutorials.own_pictures`."""

# %% [markdown]
# # From a folder of pictures to samples and a report
#
# Two models learn from a folder of pictures, and a report says what each is worth. Run it in the root of the repository:
# `uv run python -m docs.tutorials.own_pictures`, with `FOLDER` after it for a folder or a zip of your own, with classes. Without one
# it makes a small folder of scikit-learn's handwritten digits, so that nothing is downloaded; these take about a minute of one
# CPU core.

# %%
import json
import os
import sys
from pathlib import Path

from PIL import Image
from sklearn.datasets import load_digits

import report
import train

EPOCHS = os.environ.get("TUTORIAL_EPOCHS", "60")  # fewer, and the script is sooner done with worse pictures
RUNS = Path(os.environ.get("TUTORIAL_RUNS", "runs/tutorial"))  # where everything is written
FOLDER = sys.argv[1] if sys.argv[1:] else None  # your own pictures

# %% [markdown]
# ## A folder of pictures
#
# A folder a class, files of any size in it: `digits/3/17.png`. Other layouts, and pictures without classes, are on
# [the page of your own pictures](../pictures.md).

# %%
if FOLDER is None:
    FOLDER = RUNS / "digits"
    digits = load_digits()
    for number, (image, label) in enumerate(zip(digits.images, digits.target, strict=True)):
        path = FOLDER / str(label) / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((image * 255 / 16).astype("uint8")).save(path)  # 8 x 8, grey

# %% [markdown]
# ## Two models
#
# What follows are the words of the command line, `uv run train.py fit --config configs/quickstart.yaml ...`; `train.main`
# takes them too. The first model is a conditional VAE, the second probabilistic PCA, which is what a network has to beat.
# Every picture is decoded once, to 28 x 28 grey pixels; a fifth of them is the test split, by a hash of their names.

# %%
PICTURES = [
    "--data=ImageFolderDataModule",
    f"--data.data_dir={FOLDER}",
    f"--data.cache_dir={RUNS}/decoded",
    "--data.image_size=28",
    "--data.channels=1",
    "--data.test_fraction=0.2",
    f"--trainer.default_root_dir={RUNS}",
    "--trainer.accelerator=cpu",
    "--trainer.enable_progress_bar=false",
]
NAMES = ("vae", "ppca")

for name, words in {
    "vae": ["--config=configs/quickstart.yaml", f"--trainer.max_epochs={EPOCHS}"],
    "ppca": ["--config=configs/ppca_mnist.yaml", "--model.latent_dim=8"],
}.items():
    train.main(["fit", *words, *PICTURES, f"--experiment={name}"])

# %% [markdown]
# Each run has a folder with its pictures. These are the VAE's samples, a row a class, and PPCA's:
#
# | conditional VAE | PPCA of 8 codes |
# |---|---|
# | ![Digits, a row a class](../images/tutorial_vae.png) | ![Blurred digits](../images/tutorial_ppca.png) |
#
# ## A report
#
# Samples, reconstructions, codes and likelihoods of both, on one page. Samples are compared with the test split in the
# features of a classifier; as none is given, one is trained on these pictures first, once. The sizes are small, as the data are.

# %%
folders = [str(sorted((RUNS / name).glob("version_*"), key=lambda path: path.stat().st_mtime)[-1]) for name in NAMES]
sizes = ["--samples=1000", "--neighbours=300", "--copies=300", "--likelihood=100", "--draws=100", "--probe_labels=500"]
page = report.main([*folders, f"--to={RUNS}/report", f"--cache_dir={RUNS}/cache", *sizes])

# %% [markdown]
# `report.html` opens in a browser, without a network. `report.json` has the same numbers:

# %%
findings = json.loads(page.with_name("report.json").read_text(encoding="utf-8"))
for row in findings["references"] + findings["models"]:
    fd, coverage = row["figures"]["fd"], row["figures"]["coverage"]
    print(f"{row['name']:<20} FD {fd['value']:6.2f} +- {fd['error']:.2f}   coverage {coverage['value']:.1%}")

# %% [markdown]
# On the digits it printed this; `real` is one half of the test split beside the other, and the rows between are
# training images, and Gaussians with the mean and covariance of all pixels.
#
# ```text
# real                 FD   3.74 +- 0.95   coverage 97.7%
# training images      FD   1.25 +- 0.18   coverage 97.7%
# Gaussian             FD  13.31 +- 0.38   coverage 21.3%
# Gaussian a class     FD   3.08 +- 0.14   coverage 87.3%
# vae                  FD   4.29 +- 0.21   coverage 89.0%
# ppca                 FD  26.60 +- 0.86   coverage 23.7%
# ```
#
# The VAE covers 89% of the test images' neighbourhoods, PPCA 24%; 97% of the VAE's samples are of the class asked. The distance
# of `real` rests on 174 images, and is larger than that of 1,000 training images: distances of other numbers of images cannot
# be compared. [Reports](../report.md) says what each number misses.
