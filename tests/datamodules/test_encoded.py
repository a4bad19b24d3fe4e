"""Codes of another data module: what they are, what they leave alone, what is refused."""

from pathlib import Path

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.cli import LightningCLI
from torch import Tensor, nn

from datamodules import DigitsDataModule, EncodedDataModule, MNISTDataModule, TensorDataModule


class Encoder(LightningModule):
    """Random projections, and twice as large ones as its untrained twin."""

    def __init__(
        self, scale: float = 1.0, image_shape: tuple[int, ...] = (1, 28, 28), conditional: bool = False
    ) -> None:
        super().__init__()
        self.image_shape = image_shape
        self.conditional = conditional
        self.layer = nn.Sequential(nn.Flatten(), nn.Linear(784, 6), nn.Dropout())
        with torch.no_grad():
            self.layer[1].weight.copy_(scale * torch.linspace(-1, 1, 784 * 6).reshape(6, 784))
        self.seen = 0

    def encode(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        assert not self.training
        assert not torch.is_grad_enabled()
        self.seen += len(x)
        return self.layer(x)

    def untrained(self) -> "Encoder":
        return Encoder(2.0)


def load_encoder(checkpoint: str) -> LightningModule:
    """Stands in for `lit_models.load_model`."""
    assert checkpoint == "some.ckpt"
    return Encoder()


@pytest.mark.parametrize("baseline", [False, True])
def test_codes_are_the_encoders_and_computed_once(baseline: bool) -> None:
    encoder, data = Encoder(), DigitsDataModule(batch_size=64, split_seed=2)
    codes = EncodedDataModule(data, encoder, baseline)
    assert codes.input_shape == ((2, 6) if baseline else (6,))
    assert (codes.num_classes, codes.class_names, codes.batch_size) == (10, data.class_names, 64)
    codes.setup("fit")
    encoder.seen = 0
    for split in ("train", "val", "val"):
        held, labels = codes.split(split)
        images, expected = data.split(split)
        assert torch.equal(labels, expected)
        with torch.no_grad():
            wanted = [model.encode(images / 255) for model in codes.encoders]
        encoder.seen -= len(images)
        torch.testing.assert_close(held, torch.stack(wanted, 1) if baseline else wanted[0])
    # each once, and the test split not at all
    assert encoder.seen == len(data.splits["train"]) + len(data.splits["val"])
    assert data.split("train")[0].dtype == torch.uint8


def test_batches_in_a_run() -> None:
    class Learns(LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(6, 10)

        def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
            codes, labels = batch
            assert codes.shape == (32, 2, 6)
            return nn.functional.cross_entropy(self.head(codes[:, 0]), labels)

        def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None: ...

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.parameters(), lr=0.0)

    trainer = Trainer(
        max_epochs=1, limit_train_batches=3, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, accelerator="cpu", limit_val_batches=0,
    )  # fmt: skip
    codes = EncodedDataModule(DigitsDataModule(batch_size=32), Encoder())
    trainer.fit(Learns(), datamodule=codes)
    assert set(trainer.lightning_module.state_dict()) == {"head.weight", "head.bias"}


def test_an_encoder_without_a_twin_has_no_baseline(caplog: pytest.LogCaptureFixture) -> None:
    class Single(Encoder):
        untrained = property()  # type: ignore[assignment]

    with caplog.at_level("INFO"):
        codes = EncodedDataModule(DigitsDataModule(), Single())
    assert codes.input_shape == (6,)
    assert "Single has no untrained(): its codes are without a baseline" in caplog.text


def test_the_baseline_has_a_seed_of_its_own() -> None:
    class Seeded(Encoder):
        def untrained(self, seed: int = 0) -> Encoder:
            return Encoder(2.0 + seed)

    data = DigitsDataModule()
    for seed in (0, 3):
        codes = EncodedDataModule(data, Seeded(), baseline_seed=seed)
        assert torch.equal(codes.encoders[1].layer[1].weight, Encoder(2.0 + seed).layer[1].weight)
    # an encoder whose twin has no seed
    assert EncodedDataModule(data, Encoder()).input_shape == (2, 6)


def test_no_validation_split_and_an_unknown_one() -> None:
    codes = EncodedDataModule(DigitsDataModule(val_fraction=0), Encoder())
    codes.setup()
    assert codes.val_dataloader() == []
    assert codes.split("val")[0].shape == (0, 2, 6)
    with pytest.raises(ValueError, match="unknown split 'valid'"):
        codes.split("valid")


def test_what_cannot_be_encoded() -> None:
    data = DigitsDataModule()
    with pytest.raises(TypeError, match=r"needs an encoder with encode\(x\), which LightningModule does not have"):
        EncodedDataModule(data, LightningModule())
    with pytest.raises(ValueError, match="the encoder, a Encoder, is conditional: its codes need the very label"):
        EncodedDataModule(data, Encoder(conditional=True))
    with pytest.raises(ValueError, match=r"for images of shape \(3, 28, 28\), the data have \(1, 28, 28\)"):
        EncodedDataModule(data, Encoder(image_shape=(3, 28, 28)))


def test_from_a_config_and_the_command_line(fake_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["train.py"])
    config = tmp_path / "config.yaml"
    config.write_text(f"""
        data:
          class_path: datamodules.EncodedDataModule
          init_args:
            encoder:
              class_path: tests.datamodules.test_encoded.load_encoder
              init_args: {{checkpoint: other.ckpt}}
            data:
              class_path: datamodules.MNISTDataModule
              init_args: {{data_dir: {fake_data}, download: false}}
    """)
    words = ["--data.encoder.checkpoint", "some.ckpt", "--data.data.split_seed", "1"]
    cli = LightningCLI(
        Encoder, TensorDataModule, subclass_mode_data=True, run=False, args=[f"--config={config}", *words],
        seed_everything_default=False, save_config_callback=None,
        trainer_defaults={"logger": False, "accelerator": "cpu"},
    )  # fmt: skip
    assert isinstance(cli.datamodule.data, MNISTDataModule)
    assert cli.datamodule.data.split_seed == cli.datamodule.split_seed == 1
    cli.datamodule.setup()
    assert cli.datamodule.split("test")[0].shape == (50, 2, 6)
