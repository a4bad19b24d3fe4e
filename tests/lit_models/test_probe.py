"""LitProbe on the codes of a frozen model: scale, baseline beside it, checkpoints, clear errors."""

from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from datamodules import DigitsDataModule, EncodedDataModule
from lit_models import LitClassifier, LitProbe, LitVAE, load_model
from lit_models.networks import ConvHead, Head, StandardizedLinear
from tests.lit_models.test_loading import save
from tests.lit_models.test_vae import make_trainer, mlps

SHAPE = (1, 28, 28)


@pytest.fixture
def vae() -> LitVAE:
    return LitVAE(SHAPE, latent_dim=5, **mlps([16])).eval().requires_grad_(False)


def encoded(vae: LitVAE, baseline: bool = True) -> EncodedDataModule:
    return EncodedDataModule(DigitsDataModule(), vae, baseline=baseline)


def fit(probe: LitProbe, data: EncodedDataModule, folder: Path, epochs: int = 2) -> LitProbe:
    make_trainer(folder, max_epochs=epochs, enable_checkpointing=False).fit(probe, datamodule=data)
    return probe


def test_codes_are_standardized_by_the_train_split(vae: LitVAE, tmp_path: Path) -> None:
    data = encoded(vae, baseline=False)
    probe = fit(LitProbe(data.input_shape), data, tmp_path)
    codes = data.split("train")[0]
    assert codes.shape[1:] == (5,)
    (head,) = probe.heads
    torch.testing.assert_close(head.mean, codes.mean(0))
    torch.testing.assert_close(head.deviation, codes.std(0, correction=0))


def test_a_code_that_never_changes_is_only_centred() -> None:
    probe = LitProbe((2,))
    probe.fit_scale([torch.tensor([[0.3, 1.0], [0.3, 3.0]])])
    torch.testing.assert_close(probe.heads[0].deviation, torch.ones(2))
    torch.testing.assert_close(probe.heads[0].mean, torch.tensor([0.3, 2.0]))


def test_the_baseline_is_trained_beside_the_encoder_and_does_not_touch_it(vae: LitVAE, tmp_path: Path) -> None:
    both = LitProbe((2, 5))
    alone = LitProbe((5,))
    alone.heads[0].linear.load_state_dict(both.heads[0].linear.state_dict())
    fit(both, encoded(vae), tmp_path)
    fit(alone, encoded(vae, baseline=False), tmp_path)
    torch.testing.assert_close(both.heads[0].linear.weight, alone.heads[0].linear.weight)
    assert not torch.equal(both.heads[0].linear.weight, both.heads[1].linear.weight)
    trainer = make_trainer(tmp_path, enable_checkpointing=False)
    (figures,) = trainer.test(both, datamodule=encoded(vae), verbose=False)
    assert {"test/accuracy", "test/baseline_accuracy", "test/loss"} <= set(figures)


def test_a_probe_loads_from_its_checkpoint(vae: LitVAE, tmp_path: Path) -> None:
    data = encoded(vae)
    probe = LitProbe(data.input_shape)
    trainer = make_trainer(tmp_path, max_epochs=1, enable_checkpointing=False)
    trainer.fit(probe, datamodule=data)
    trainer.save_checkpoint(tmp_path / "probe.ckpt")
    loaded = LitProbe.load_from_checkpoint(tmp_path / "probe.ckpt")
    codes = data.split("val")[0][:5]
    assert torch.equal(probe(codes), loaded(codes))
    assert not any("encoder" in name for name in probe.state_dict())


CONV = partial(ConvHead, maps=(5, 1, 1), channels=(6, 7), hidden_dims=(8, 4), pool_after=1)


def test_the_default_head_is_a_linear_layer_with_the_weights_of_torchs() -> None:
    torch.manual_seed(0)
    probe = LitProbe((2, 5), 3)
    torch.manual_seed(0)
    first, second = nn.Linear(5, 3), nn.Linear(5, 3)
    for head, layer in zip(probe.heads, (first, second), strict=True):
        assert torch.equal(head.linear.weight, layer.weight)
        assert torch.equal(head.linear.bias, layer.bias)
    probe.fit_scale([torch.rand(20, 2, 5)])
    codes = torch.rand(7, 5)
    expected = first((codes - probe.heads[0].mean) / probe.heads[0].deviation)
    assert torch.equal(probe(codes), expected)


def test_checkpoints_from_before_heads_were_an_argument(tmp_path: Path) -> None:
    probe = LitProbe((5,), label_smoothing=0.1)
    path = save(probe, tmp_path / "probe.ckpt")
    content = torch.load(path, weights_only=True)
    del content["recipe"]["init_args"]["head"]
    torch.save(content, path)
    heads = {f"heads.0.{name}" for name in ("mean", "deviation", "fitted", "linear.weight", "linear.bias")}
    assert heads == {name for name in content["state_dict"] if name.startswith("heads.")}
    codes = torch.rand(3, 5)
    assert torch.equal(load_model(path)(codes), probe.eval()(codes))


def test_another_head_is_trained_on_both_rows_and_loaded_again(vae: LitVAE, tmp_path: Path) -> None:
    data = encoded(vae)
    probe = LitProbe(data.input_shape, head=CONV)
    before = {name: value.clone() for name, value in probe.named_parameters()}
    fit(probe, data, tmp_path, epochs=1)
    assert all(not torch.equal(value, before[name]) for name, value in probe.named_parameters())
    codes = data.split("train")[0]
    for head, own in zip(probe.heads, codes.unbind(1), strict=True):
        assert isinstance(head, ConvHead)
        torch.testing.assert_close(head.standardize(own).mean(0), torch.zeros(5), atol=1e-4, rtol=0)
    loaded = load_model(save(probe, tmp_path / "probe.ckpt"))
    assert torch.equal(loaded(codes[:9]), probe.eval()(codes[:9]))


@pytest.mark.parametrize("precision", ["bf16-mixed", "bf16-true", "64-true"])
@pytest.mark.parametrize("head", [StandardizedLinear, CONV])
def test_heads_in_any_precision(head: partial, precision: str, vae: LitVAE, tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path, max_epochs=1, enable_checkpointing=False, precision=precision)
    trainer.fit(LitProbe((2, 5), head=head), datamodule=encoded(vae))
    assert trainer.callback_metrics["val/baseline_accuracy"] >= 0


def more_classes(in_dim: int, num_classes: int) -> Head:
    return StandardizedLinear(in_dim, num_classes + 1)


@pytest.mark.parametrize(
    ("head", "error", "message"),
    [
        (StandardizedLinear(5, 10), TypeError, "head must be a factory, .* that makes a Head, got StandardizedLinear"),
        ("ConvHead", TypeError, "head must be a factory, .* got str"),
        (nn.Linear, TypeError, "head must make a lit_models.networks.head.Head, got Linear: derive it from Head"),
        (more_classes, ValueError, r"head must give \(1, 10\) for one code, .* got \(1, 11\)"),
        (ConvHead, ValueError, "in_dim must be 2016, the number of values in 126 maps of 4 x 4, got 5"),
    ],
)
# Lightning's advice on modules among arguments, before ours is said
@pytest.mark.filterwarnings("ignore:Attribute 'head' is an instance of `nn.Module`")
def test_what_is_no_head(head, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        LitProbe((5,), head=head)


@pytest.mark.slow
def test_a_trained_encoder_beats_the_mean_class(tmp_path: Path) -> None:
    classifier = LitClassifier(SHAPE)
    digits = DigitsDataModule(batch_size=64)
    make_trainer(tmp_path, max_epochs=3, enable_checkpointing=False).fit(classifier, datamodule=digits)
    data = EncodedDataModule(DigitsDataModule(), classifier)
    probe = fit(LitProbe(data.input_shape), data, tmp_path, epochs=5)
    trainer = make_trainer(tmp_path, enable_checkpointing=False)
    (figures,) = trainer.test(probe, datamodule=data, verbose=False)
    assert figures["test/accuracy"] > 0.9


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"input_shape": (1, 28, 28)}, r"\(D,\), or \(2, D\) .* got \(1, 28, 28\): give a probe codes, as datamodules"),
        ({"input_shape": (3, 5)}, r"input_shape must be \(D,\), or \(2, D\)"),
        ({"input_shape": (0,)}, "input_shape's D must be a whole number, at least 1, got 0"),
        ({"num_classes": 1}, "num_classes must be a whole number, at least 2, got 1"),
    ],
)
def test_arguments_that_do_not_fit(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LitProbe(**({"input_shape": (5,)} | options))


@pytest.mark.parametrize("codes", [torch.rand(4, 6), torch.rand(4, 2, 5), torch.zeros(4, 5, dtype=torch.uint8)])
def test_codes_of_another_shape(codes: Tensor) -> None:
    with pytest.raises(ValueError, match=r"codes of shape .* do not fit a probe for floats of \(N, 5\): encode images"):
        LitProbe((5,)).read_batch((codes, torch.zeros(4, dtype=torch.int64)))
