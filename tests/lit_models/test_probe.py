"""LitProbe and load_model: codes once, encoder untouched, baseline beside it, clear errors."""

from pathlib import Path

import pytest
import torch
from lightning.pytorch import LightningModule
from torch import Tensor

from datamodules import DigitsDataModule
from lit_models import LitClassifier, LitDCGAN, LitProbe, LitVAE, load_classifier, load_model
from tests.lit_models.test_vae import make_trainer

SHAPE = (1, 28, 28)


def save(model: LightningModule, path: Path) -> str:
    trainer = make_trainer(path.parent, enable_checkpointing=False)
    trainer.strategy.connect(model)
    trainer.save_checkpoint(path)
    return str(path)


@pytest.fixture
def vae_ckpt(tmp_path: Path) -> str:
    return save(LitVAE(SHAPE, latent_dim=5, hidden_dims=[16]), tmp_path / "vae.ckpt")


def fit(probe: LitProbe, folder: Path, epochs: int = 2, **options) -> DigitsDataModule:
    data = DigitsDataModule(**options)
    make_trainer(folder, max_epochs=epochs, enable_checkpointing=False).fit(probe, datamodule=data)
    return data


class CountsImages(LitDCGAN):
    """A GAN that counts the images it encodes, and wants to be in eval mode for it."""

    seen = 0

    def encode(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        assert not self.training
        self.seen += len(x)
        return super().encode(x, y)[:, :50]


def test_the_encoder_sees_each_image_once_and_nothing_of_it_moves(tmp_path: Path) -> None:
    encoder = CountsImages(SHAPE)
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    probe = LitProbe(SHAPE, encoder=encoder)
    encoder.seen = 0  # building the probe asked for the width of the codes
    data = fit(probe, tmp_path, epochs=3)
    assert encoder.seen == sum(len(data.splits[split][1]) for split in ("train", "val"))
    for name, value in encoder.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert not any("encoder" in name for name in probe.state_dict())
    assert sum(p.numel() for p in probe.parameters()) == 50 * 10 + 10


def test_codes_are_standardized_by_the_train_split(vae_ckpt: str, tmp_path: Path) -> None:
    probe = LitProbe(SHAPE, encoder_ckpt=vae_ckpt, encoder="random")
    data = fit(probe, tmp_path)
    codes = data.splits["train"][0]
    assert codes.shape[1] == 5
    (head,) = probe.heads
    torch.testing.assert_close(head.mean, codes.mean(0))
    torch.testing.assert_close(head.deviation, codes.std(0, correction=0))


def test_cached_codes_and_images_give_the_same_logits(vae_ckpt: str, tmp_path: Path) -> None:
    probe = LitProbe(SHAPE, encoder_ckpt=vae_ckpt)
    data = fit(probe, tmp_path)
    fresh = DigitsDataModule()
    fresh.setup()
    x = fresh.splits["val"][0][:10].float() / 255
    torch.testing.assert_close(probe(x), probe(data.splits["val"][0][:10]))


def test_the_baseline_is_trained_beside_the_encoder_and_does_not_touch_it(vae_ckpt: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    both = LitProbe(SHAPE, encoder_ckpt=vae_ckpt)
    weights = both.heads[0].linear.state_dict()
    alone = LitProbe(SHAPE, encoder=load_model(vae_ckpt))
    alone.heads[0].linear.load_state_dict(weights)
    fit(both, tmp_path)
    fit(alone, tmp_path)
    torch.testing.assert_close(both.heads[0].linear.weight, alone.heads[0].linear.weight)
    trainer = make_trainer(tmp_path, enable_checkpointing=False)
    (figures,) = trainer.test(both, datamodule=DigitsDataModule(), verbose=False)
    assert {"test/accuracy", "test/baseline_accuracy", "test/loss"} <= set(figures)
    random = LitProbe(SHAPE, encoder_ckpt=vae_ckpt, encoder="random")
    assert len(random.heads) == 1


def test_a_second_probe_does_not_take_the_codes_of_the_first(vae_ckpt: str, tmp_path: Path) -> None:
    data = fit(LitProbe(SHAPE, encoder_ckpt=vae_ckpt), tmp_path)
    other = LitProbe(SHAPE, encoder_ckpt=vae_ckpt)
    with pytest.raises(ValueError, match="holds the codes of another model: make a new one"):
        make_trainer(tmp_path, max_epochs=1, enable_checkpointing=False).fit(other, datamodule=data)


def test_a_probe_loads_from_its_checkpoint(vae_ckpt: str, tmp_path: Path) -> None:
    probe = LitProbe(SHAPE, encoder_ckpt=vae_ckpt, encoder="random")
    data = DigitsDataModule()
    trainer = make_trainer(tmp_path, max_epochs=1, enable_checkpointing=False)
    trainer.fit(probe, datamodule=data)
    trainer.save_checkpoint(tmp_path / "probe.ckpt")
    loaded = LitProbe.load_from_checkpoint(tmp_path / "probe.ckpt", weights_only=True)
    codes = data.splits["val"][0][:5]
    assert torch.equal(probe(codes), loaded(codes))


@pytest.mark.slow
def test_a_trained_encoder_beats_the_mean_class(tmp_path: Path) -> None:
    classifier = LitClassifier(SHAPE)
    make_trainer(tmp_path, max_epochs=5, enable_checkpointing=False).fit(
        classifier, datamodule=DigitsDataModule(batch_size=64)
    )
    probe = LitProbe(SHAPE, encoder=classifier)
    fit(probe, tmp_path, epochs=5)
    (figures,) = make_trainer(tmp_path, enable_checkpointing=False).test(
        probe, datamodule=DigitsDataModule(), verbose=False
    )
    assert figures["test/accuracy"] > 0.9


@pytest.mark.parametrize("cls", [LitVAE, LitDCGAN, LitClassifier])
def test_load_model_knows_the_class(cls: type[LightningModule], tmp_path: Path) -> None:
    torch.manual_seed(7)  # not the seed of the untrained ones
    model = cls(SHAPE)  # type: ignore[call-arg]
    path = save(model, tmp_path / "any.ckpt")
    loaded = load_model(path)
    assert type(loaded) is cls
    assert not loaded.training
    assert not any(parameter.requires_grad for parameter in loaded.parameters())
    for name, value in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value), name
    untrained = load_model(path, trained=False)
    assert any(not torch.equal(a, b) for a, b in zip(untrained.parameters(), model.parameters(), strict=True))
    torch.rand(3)
    again = load_model(path, trained=False)
    assert all(torch.equal(a, b) for a, b in zip(untrained.parameters(), again.parameters(), strict=True))


class Silent(LightningModule):
    """No encode."""


def test_checkpoints_that_a_probe_cannot_use(vae_ckpt: str, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"there is no checkpoint .*nowhere.ckpt: train.py fit writes them"):
        LitProbe(SHAPE, encoder_ckpt=str(tmp_path / "nowhere.ckpt"))
    with pytest.raises(ValueError, match=r"for images of shape \(1, 28, 28\), the data have \(3, 32, 32\)"):
        LitProbe((3, 32, 32), encoder_ckpt=vae_ckpt)
    with pytest.raises(TypeError, match=r"a probe needs a model with encode\(x\), which Silent does not have"):
        LitProbe(SHAPE, encoder=Silent())
    with pytest.raises(ValueError, match="its codes need the very label that a probe is to find"):
        LitProbe(SHAPE, encoder=LitVAE(SHAPE, conditional=True))
    (tmp_path / "half.ckpt").write_bytes(Path(vae_ckpt).read_bytes()[:1000])
    with pytest.raises(ValueError, match=r"half.ckpt is truncated, or not a checkpoint of tensors and plain values"):
        LitProbe(SHAPE, encoder_ckpt=str(tmp_path / "half.ckpt"))
    save(Silent(), tmp_path / "silent.ckpt")
    with pytest.raises(ValueError, match=r"holds no model of this project but None: expected one of \['LitClass"):
        LitProbe(SHAPE, encoder_ckpt=str(tmp_path / "silent.ckpt"))
    with pytest.raises(
        ValueError, match=r"holds a LitVAE, which does not classify: pass a checkpoint of LitClassifier"
    ):
        load_classifier(vae_ckpt)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "no encoder: pass the path of a checkpoint as encoder_ckpt"),
        ({"encoder": "best"}, r"encoder must be one of \['trained', 'random'\], got 'best'"),
        ({"encoder": LitVAE(SHAPE), "encoder_ckpt": "a.ckpt"}, "two encoders: pass either encoder_ckpt='a.ckpt' or"),
        ({"num_classes": 1}, "num_classes must be at least 2, got 1"),
    ],
)
def test_arguments_that_do_not_fit(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LitProbe(SHAPE, **options)
