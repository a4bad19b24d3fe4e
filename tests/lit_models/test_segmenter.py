"""The segmenter: pixels of no class, torchvision's networks, weights of other classes."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

from lit_models import LitSegmenter, load_model
from lit_models.networks import UNet

SHAPE = (3, 16, 16)
SMALL = partial(UNet, channels=[8, 16])


def model(**options: Any) -> LitSegmenter:
    torch.manual_seed(0)
    return LitSegmenter(SHAPE, **({"num_classes": 3, "network": SMALL} | options))


def stripes(n: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Images whose pixels tell their class by their colour, with noise, and their masks."""
    generator = torch.Generator().manual_seed(seed)
    masks = torch.randint(3, (n, 4, 1), generator=generator).repeat_interleave(4, 1).expand(-1, -1, 16).contiguous()
    images = nn.functional.one_hot(masks, 3).permute(0, 3, 1, 2).float() * 0.5
    return images + 0.3 * torch.rand(images.shape, generator=generator), masks


def fit(module: LitSegmenter, folder: Path, epochs: int = 1, n: int = 16, **options: Any) -> Trainer:
    trainer = Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        logger=False,
        default_root_dir=folder,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        **options,
    )
    loaders = (DataLoader(TensorDataset(*stripes(size, size)), batch_size=8) for size in (n, 24))
    trainer.fit(module, *loaders)
    return trainer


def test_the_loss_is_a_mean_over_counted_pixels_and_then_over_images() -> None:
    module = model().double().eval()
    x, y = stripes(4)
    x = x.double()
    y[0, :8] = 255
    y[1] = 255  # an image in which nothing counts
    nats = cross_entropy(module(x), y, reduction="none", ignore_index=255)
    wanted = torch.stack([nats[0, 8:].mean(), torch.zeros((), dtype=torch.float64), nats[2].mean(), nats[3].mean()])
    torch.testing.assert_close(module.step(x, y, "val"), wanted.mean())
    logged = module.figures("val")["means"].compute()["loss"]
    torch.testing.assert_close(logged, wanted.mean().float())
    # however the batches are cut
    other = model().double().eval()
    for part in (slice(0, 1), slice(1, 4)):
        other.step(x[part], y[part], "val")
    torch.testing.assert_close(other.figures("val")["means"].compute()["loss"], logged)
    torch.testing.assert_close(other.figures("val")["iou"].compute(), module.figures("val")["iou"].compute())


def test_ignored_pixels_give_no_gradient_and_change_no_figure() -> None:
    module, (x, y) = model(), stripes(4)
    y[:, 8:] = 255
    logits = torch.randn(4, 3, 16, 16, requires_grad=True)
    module.network = nn.Identity()
    module.forward = lambda images: logits  # type: ignore[method-assign]
    module.step(x, y, "test").backward()
    assert (logits.grad[:, :, 8:] == 0).all()
    assert (logits.grad[:, :, :8] != 0).any()
    right = logits[:, :, :8].argmax(1)
    shared = torch.stack([((right == k) & (y[:, :8] == k)).sum() for k in range(3)])
    either = torch.stack([((right == k) | (y[:, :8] == k)).sum() for k in range(3)])
    torch.testing.assert_close(module.figures("test")["iou"].compute(), (shared / either).mean())


def test_classes_that_are_nowhere_do_not_count_in_the_mean() -> None:
    module, (x, y) = model(num_classes=9), stripes(4)
    perfect = nn.functional.one_hot(y, 9).permute(0, 3, 1, 2).float()
    module.forward = lambda images: perfect  # type: ignore[method-assign]
    module.step(x, y, "val")
    assert module.figures("val")["iou"].compute() == 1


def test_every_parameter_gets_a_gradient() -> None:
    module = model()
    module.step(*stripes(4), "train").backward()
    assert not [name for name, parameter in module.named_parameters() if parameter.grad is None]


def test_probabilities_of_each_pixel() -> None:
    found = model().eval().segment(torch.rand(5, *SHAPE))
    assert found.shape == (5, 3, 16, 16)
    torch.testing.assert_close(found.sum(1), torch.ones(5, 16, 16))


@pytest.mark.slow
@pytest.mark.parametrize("enlarge", [1, 2])
def test_torchvisions_networks(enlarge: int) -> None:
    module = LitSegmenter((3, 32, 32), 4, network="lraspp_mobilenet_v3_large", enlarge=enlarge).eval()
    assert module.segment(torch.rand(2, 3, 32, 32)).shape == (2, 4, 32, 32)
    assert LitSegmenter((1, 32, 32), 4).eval().segment(torch.rand(2, 1, 32, 32)).shape == (2, 4, 32, 32)


def test_weights_of_other_classes_start_the_last_layer_anew(tmp_path: Path) -> None:
    source = UNet(SHAPE, 7, channels=[8, 16])
    torch.save(source.state_dict(), tmp_path / "seven.pth")
    module = model(weights=str(tmp_path / "seven.pth"))
    assert torch.equal(module.network.down[0][0].weight, source.down[0][0].weight)
    assert module.network.head.weight.shape[0] == 3
    with pytest.raises(ValueError, match=r"seven.pth holds the weights of another network"):
        model(weights=str(tmp_path / "seven.pth"), network=partial(UNet, channels=[8, 8]))
    other = LitSegmenter((3, 32, 32), 21).network
    torch.save(other.state_dict(), tmp_path / "voc.pth")
    kept = LitSegmenter((3, 32, 32), 4, weights=str(tmp_path / "voc.pth")).network
    assert torch.equal(kept.classifier.cbr[0].weight, other.classifier.cbr[0].weight)


def test_a_checkpoint_makes_the_model_again(tmp_path: Path) -> None:
    module = model()
    fit(module, tmp_path).save_checkpoint(tmp_path / "masks.ckpt")
    again = load_model(tmp_path / "masks.ckpt")
    x = torch.rand(4, *SHAPE)
    assert torch.equal(again.segment(x), module.eval().segment(x))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_classes": 1}, "num_classes must be a whole number, at least 2, got 1: use data with masks"),
        ({"enlarge": 0}, "enlarge must be a whole number, at least 1"),
        ({"ignore_index": 2}, "ignore_index must be no class, 0 .. 2, got 2"),
        ({"network": "fcn_resnet49"}, "torchvision.models.segmentation has no network 'fcn_resnet49'.*fcn_resnet50"),
        ({"network": "resnet18"}, "torchvision.models.segmentation has no network 'resnet18'"),
        ({"network": partial(UNet, channels=[])}, "channels"),
        ({"network": partial(UNet, channels=[4] * 6)}, "6 levels need height and width divisible by 32, got 16 x 16"),
        (
            {"network": lambda shape, classes: nn.Conv2d(3, 5, 1)},
            r"network must give \(1, 3, 16, 16\) for one image, got",
        ),
    ],
)
def test_arguments_that_cannot_be(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        model(**options)
    with pytest.raises(TypeError, match="network must be a factory"):
        model(network=3)
    with pytest.raises(ValueError, match="takes images of 3 channels, or of 1"):
        LitSegmenter((4, 32, 32), 3)


def test_batches_that_do_not_fit() -> None:
    module, (x, y) = model(), stripes(4)
    for wrong in (y.float(), y[:, :8], None, y[:2]):
        with pytest.raises(
            ValueError, match=r"needs masks of class indices, whole numbers of shape \(4, 16, 16\), got"
        ):
            module.read_batch((x, wrong))
    with pytest.raises(ValueError, match=r"masks must hold classes 0 .. 2, or 255 .*, got 0 .. 4"):
        module.check_values(x, y * 2)
    module.check_values(x, y.masked_fill(y == 2, 255))
    assert module.read_batch((x, y.to(torch.uint8)))[1].dtype == torch.int64
    assert module.predict_step([x], 0)[0].shape == (4, 16, 16)


@pytest.mark.slow
def test_it_learns_which_pixels_are_which(tmp_path: Path) -> None:
    module = model(optimizer=partial(torch.optim.Adam, lr=1e-2))
    trainer = fit(module, tmp_path, epochs=10, n=64)
    assert float(trainer.callback_metrics["val/iou"]) > 0.95
