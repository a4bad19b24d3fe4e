"""Every kind of model on colour images of 32x32, through the command line, with the pictures that it can give."""

from pathlib import Path

import pytest

from lit_generative import train

GAN = [
    "--model=LitGAN",
    "--model.conditional=true",
    "--model.generator=ConvDecoder",
    "--model.generator.channels=[8,4]",
]
GAN += ["--model.discriminator=ConvEncoder", "--model.discriminator.channels=[4,8]"]
VAE = ["--model=LitVAE", "--model.conditional=true", "--model.likelihood=gaussian"]
AUTOENCODER = ["--model=LitAutoencoder", "--model.noise_std=0.2", "--model.decoder.hidden_dims=[]"]
RBM = ["--model=LitRBM", "--model.hidden_dim=8"]
# model and its options; data; precision; callbacks and the names of their pictures
RUNS: dict[str, tuple[list[str], str, str, dict[str, str]]] = {
    "vae": (
        VAE,
        "SVHN",
        "64-true",
        {"Interpolation": "interpolations", "LatentTraversal": "traversals", "SampleGrid": "samples"},
    ),
    "autoencoder": (
        AUTOENCODER,
        "CIFAR10",
        "bf16-mixed",
        {"DenoisingGrid": "denoising", "Dictionary": "dictionary", "ReconstructionGrid": "reconstructions_val"},
    ),
    "rbm": (RBM, "SVHN", "32-true", {"ChainStrips": "chains", "FilterGrid": "filters"}),
    "gan": (GAN, "SVHN", "bf16-mixed", {"SampleGrid": "samples", "LatentTSNE": "tsne_mean"}),
    "classifier": (["--model=LitClassifier"], "CIFAR10", "32-true", {"ConfusionMatrix": "confusion"}),
}


@pytest.mark.parametrize(
    "name", ["vae", *(pytest.param(name, marks=pytest.mark.slow) for name in RUNS if name != "vae")]
)
def test_colour(name: str, fake_data: Path, tmp_path: Path) -> None:
    model, data, precision, callbacks = RUNS[name]
    words = [*model, f"--data=tests.colour_files.Small{data}", f"--data.data_dir={fake_data}", "--data.batch_size=16"]
    words += [f"--trainer.callbacks+=callbacks.{callback}" for callback in callbacks]
    words += ["--trainer.max_epochs=1", "--trainer.limit_train_batches=2", f"--trainer.precision={precision}"]
    words += ["--trainer.accelerator=cpu", "--trainer.enable_progress_bar=false"]
    train.main(["fit", *words, f"--trainer.default_root_dir={tmp_path}"])
    drawn = {path.stem.removesuffix("_epoch001") for path in tmp_path.glob("*/*/pictures/*.png")}
    assert drawn >= set(callbacks.values())
