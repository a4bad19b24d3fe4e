"""A resumed run ends with the weights of the uninterrupted one, to the bit, whatever the model and the moment."""

from pathlib import Path

import pytest
import torch

from lit_generative import train

ADAM = "torch.optim.Adam"
WIDTHS = ["--model.encoder.hidden_dims=[8]", "--model.decoder.hidden_dims=[8]"]
DIGITS = "{class_path: DigitsDataModule, init_args: {batch_size: 32}}"
MODELS = {
    "vae": ["--model=LitVAE", *WIDTHS, "--model.lr_scheduler=CosineAnnealingLR"],
    "cvae": ["--model=LitVAE", *WIDTHS, "--model.conditional=true"],
    "gan": [
        "--model=LitGAN",
        "--model.generator=ConvDecoder",
        "--model.generator.channels=[8, 4]",
        "--model.generator.norm=torch.nn.BatchNorm2d",
        "--data.batch_size=8",
        "--model.ema_decay=0.9",
        "--model.lr_scheduler_d=CosineAnnealingLR",
        "--model.lr_scheduler_d.T_max=3",
    ],
    "rbm": ["--model=LitRBM", "--model.sigma=per_pixel", "--model.chains=persistent", "--model.num_chains=16"],
    "factor analysis": ["--model=LitPPCA", "--model.latent_dim=4", "--model.noise=diagonal", "--model.fit=em"],
    "ppca": ["--model=LitPPCA", "--model.latent_dim=4", "--model.fit=gradient"],
    "probe": ["--model=LitProbe", "--model.optimizer.lr=0.01", "--data=EncodedDataModule", f"--data.data={DIGITS}"],
}
COLLAGE = ["--data=tests.colour_files.SmallCollage", "--data.data_dir={data}", "--data.batch_size=16"]
COLLAGE += ["--data.train_size=100", "--data.test_size=20", "--data.image_size=32", "--data.digit_sizes=[16,28]"]
COLLAGE += ["--data.augment=[torchvision.transforms.v2.RandomHorizontalFlip]"]
SMALL = "{class_path: MapClassifier, init_args: {head_channels: [8], hidden_dims: [8], pool_after: 1}}"
MODELS["boxes"] = ["--model=LitBoxRegressor", f"--model.backbone={SMALL}", "--model.frozen=false", *COLLAGE]
MODELS["boxes"] += ["--model.dropout=0.3", "--model.hidden_dims=[8]"]
MODELS["masks"] = ["--model=LitSegmenter", "--model.network=lit_models.networks.UNet", *COLLAGE, "--data.target=mask"]
MODELS["masks"] += ["--model.network.channels=[4, 8]"]
HEAD = "{class_path: ConvHead, init_args: {maps: [5, 2, 2], channels: [6, 8], hidden_dims: [8], pool_after: 1}}"
MODELS["convolutional probe"] = [*MODELS["probe"], f"--model.head={HEAD}"]
MODELS["vae"].append("--model.lr_scheduler.T_max=3")


def fit(root: Path, name: str, *words: str) -> Path:
    """Train for 3 epochs, with a checkpoint every 2 steps; the run's folder of checkpoints."""
    checkpoints = "{class_path: RunCheckpoint, init_args: {every_n_train_steps: 2, save_top_k: -1}}"
    digits = [] if any(word.startswith("--data=") for word in words) else ["--data=DigitsDataModule"]
    usual = [
        *digits,
        *["--data.batch_size=32"] * len(digits),
        "--trainer.limit_train_batches=5",
        "--trainer.max_epochs=3",
        f"--trainer.callbacks=[{checkpoints}]",
        f"--trainer.default_root_dir={root}",
        "--trainer.enable_progress_bar=false",
        "--trainer.enable_model_summary=false",
        "--trainer.accelerator=cpu",
        "--trainer.log_every_n_steps=1",
    ]
    train.main(["fit", *usual, *words, f"--experiment={name}"])
    return root / name / "version_0" / "checkpoints"


def weights(checkpoint: Path) -> dict[str, torch.Tensor]:
    return torch.load(checkpoint, weights_only=True)["state_dict"]


def step_of(checkpoint: Path) -> int:
    return int(checkpoint.stem.rpartition("=")[2])


def assert_equal(wanted: dict[str, torch.Tensor], found: dict[str, torch.Tensor], how: str) -> None:
    for name, value in wanted.items():
        assert torch.equal(value, found[name]), f"{name}, {how}"


# the state after the step is what a resumed run goes on from
@pytest.mark.filterwarnings("ignore:Using ModelCheckpoint with manual optimization and every_n_train_steps")
@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS)
def test_resume_is_exact(model: str, fake_data: Path, tmp_path: Path) -> None:
    """From the last batch of an epoch (step 10), from the middle of one, and after a resume from a run resumed."""
    words = [word.replace("{data}", str(fake_data)) for word in MODELS[model]]
    if "probe" in model:
        encoder = fit(tmp_path, "encoder", *MODELS["vae"]) / "last.ckpt"
        words = [*words, "--data.encoder=lit_models.load_model", f"--data.encoder.checkpoint={encoder}"]
    whole = fit(tmp_path, "whole", *words)
    wanted = weights(whole / "last.ckpt")
    for step in (8, 10) if model == "gan" else (4, 8, 10, 12):  # its runs are slow
        (checkpoint,) = whole.glob(f"epoch=*-step={step}.ckpt")
        resumed = fit(tmp_path, f"from_{step}", *words, f"--ckpt_path={checkpoint}")
        found = weights(resumed / "last.ckpt")
        assert_equal(wanted, found, f"resumed from step {step}")
        # the run did go on, and not begin anew: equal seeds would bring it to the same end
        assert min(map(step_of, resumed.glob("epoch=*-step=*.ckpt"))) > step
    (checkpoint,) = (tmp_path / "from_10").glob("version_0/checkpoints/epoch=*-step=12.ckpt")
    again = fit(tmp_path, "again", *words, f"--ckpt_path={checkpoint}")
    assert_equal(wanted, weights(again / "last.ckpt"), "resumed from step 12 of the run resumed from step 10")
