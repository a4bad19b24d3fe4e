"""The box regressor: boxes and losses, a backbone that stays as it is or is trained, weights from files."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset
from torchvision import models
from torchvision.ops import box_iou, generalized_box_iou

from lit_models import LitBoxRegressor, LitClassifier, load_model
from lit_models.functional.boxes import box_loss, paired_iou, to_corners
from lit_models.networks import ConvEncoder, MapClassifier, MLPEncoder
from lit_models.networks.backbone import Backbone, ImageNetScale
from lit_models.pretrained import load_pretrained

SMALL = partial(MapClassifier, channels=[4, 8], strides=[2, 2], head_channels=[8], hidden_dims=[8], pool_after=1)
SHAPE = (3, 16, 16)


def boxes(n: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    size = 0.1 + 0.5 * torch.rand(n, 2, generator=generator, dtype=dtype)
    return torch.cat([size / 2 + (1 - size) * torch.rand(n, 2, generator=generator, dtype=dtype), size], 1)


def squares(n: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Dark images with a bright box each."""
    places = boxes(n, seed)
    x0, y0, x1, y1 = (to_corners(places) * SHAPE[1]).unbind(1)
    at = torch.arange(SHAPE[1]) + 0.5
    inside = ((at > x0[:, None]) & (at < x1[:, None]))[:, None, :] & ((at > y0[:, None]) & (at < y1[:, None]))[
        :, :, None
    ]
    return 0.1 + 0.8 * inside[:, None].float().expand(-1, 3, -1, -1), places


def model(**options: Any) -> LitBoxRegressor:
    torch.manual_seed(0)
    return LitBoxRegressor(SHAPE, **({"backbone": SMALL, "pool": 4, "hidden_dims": [16]} | options))


def fit(module: LitBoxRegressor, folder: Path, epochs: int = 2, n: int = 32, images: Any = None) -> Trainer:
    loader = DataLoader(TensorDataset(*(images or squares(n))), batch_size=8)
    trainer = Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        logger=False,
        default_root_dir=folder,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
    )
    trainer.fit(module, loader, DataLoader(TensorDataset(*squares(16, 1)), batch_size=8))
    return trainer


def test_overlap_and_losses_are_torchvisions() -> None:
    one, other = boxes(600, 0, torch.float64), boxes(600, 1, torch.float64)
    torch.testing.assert_close(paired_iou(one, other), box_iou(to_corners(one), to_corners(other)).diagonal())
    torch.testing.assert_close(paired_iou(one, one), torch.ones(600, dtype=torch.float64))
    giou = generalized_box_iou(to_corners(one), to_corners(other)).diagonal()
    torch.testing.assert_close(box_loss(one, other, "giou", (16, 16)), 1 - giou.mean(), atol=1e-6, rtol=0)
    assert float(box_loss(one, one, "smooth_l1", (16, 16))) == 0
    # half a pixel of width alone: 0.5 * 0.5^2 of one number in four
    wider = one + torch.tensor([0, 0, 0.5 / 32, 0], dtype=torch.float64)
    torch.testing.assert_close(box_loss(wider, one, "smooth_l1", (16, 32)).item(), 0.125 / 4)


def test_a_box_has_the_same_values_at_every_resolution() -> None:
    one, other = boxes(50, 0), boxes(50, 1)
    assert box_loss(one, other, "giou", (16, 16)) == box_loss(one, other, "giou", (640, 640))


@pytest.mark.parametrize("loss", ["smooth_l1", "giou"])
def test_every_trained_parameter_gets_a_gradient(loss: Any) -> None:
    for frozen in (True, False):
        module = model(frozen=frozen, loss=loss)
        module.step(*squares(8), "train").backward()
        missing = [name for name, p in module.named_parameters() if p.requires_grad and p.grad is None]
        assert not missing
        assert frozen == all(p.grad is None for p in module.backbone.parameters())


def test_boxes_are_in_the_unit_square_and_corners_do_not_cross() -> None:
    module = model(frozen=False).eval()
    nn.init.normal_(module.head[-1].weight, std=5.0)
    found = module.locate(torch.rand(64, *SHAPE))
    assert ((found >= 0) & (found <= 1)).all()
    corners = to_corners(found)
    assert (corners[:, :2] <= corners[:, 2:]).all()


def test_a_frozen_backbone_keeps_weights_and_statistics(tmp_path: Path) -> None:
    module = model(weights=str(_classifier(tmp_path)))
    before = {name: value.clone() for name, value in module.backbone.state_dict().items()}
    head = module.head[-1].weight.clone()
    fit(module, tmp_path)
    assert any("running_mean" in name for name in before)
    assert all(torch.equal(value, before[name]) for name, value in module.backbone.state_dict().items())
    assert not torch.equal(module.head[-1].weight, head)
    module.train()
    assert not any(part.training for part in module.backbone.modules())
    assert module.head.training


def test_a_loaded_model_trained_further_keeps_its_frozen_backbone(tmp_path: Path) -> None:
    module = model(weights=str(_classifier(tmp_path)))
    fit(module, tmp_path, epochs=1).save_checkpoint(tmp_path / "boxes.ckpt")
    for wake in (lambda loaded: loaded.requires_grad_(True), lambda loaded: loaded.unfreeze()):
        again = wake(load_model(tmp_path / "boxes.ckpt"))
        before = {name: value.clone() for name, value in again.backbone.state_dict().items()}
        head = again.head[-1].weight.clone()
        fit(again, tmp_path, epochs=1)  # no warning of random weights
        assert all(torch.equal(value, before[name]) for name, value in again.backbone.state_dict().items())
        assert not torch.equal(again.head[-1].weight, head)
    with pytest.raises(ValueError, match=r"this model is frozen, as load_model gives it: call model.requires_grad_"):
        fit(load_model(tmp_path / "boxes.ckpt"), tmp_path, epochs=1)


def test_boxes_that_a_trainer_rounds_to_16_bits(tmp_path: Path) -> None:
    module = model(frozen=False).to(torch.bfloat16)
    x, _ = squares(4)
    at_the_edge = torch.tensor([[0.8163, 0.8163, 0.3674, 0.3674]] * 4).to(torch.bfloat16)
    module.check_values(*module.read_batch((x.to(torch.bfloat16), at_the_edge)))


def test_batch_norm_on_one_value_is_said_in_words(tmp_path: Path) -> None:
    module = LitBoxRegressor(SHAPE, "resnet18", frozen=False)
    with pytest.raises(ValueError, match=r"batch norm cannot be trained on this batch of 1, .*--data.drop_last true"):
        fit(module, tmp_path, images=squares(1))


def test_weights_of_another_scale_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match=r"IMAGENET1K_FEATURES of vgg16 were trained on images with mean \(0.48"):
        load_pretrained(nn.Identity(), "IMAGENET1K_FEATURES", "vgg16")


def test_a_backbone_that_is_trained_on(tmp_path: Path) -> None:
    module = model(weights=str(_classifier(tmp_path)), frozen=False)
    before = {name: value.clone() for name, value in module.backbone.state_dict().items()}
    fit(module, tmp_path)
    after = module.backbone.state_dict()
    changed = {name for name, value in before.items() if not torch.equal(value, after[name])}
    assert {name for name in before if "weight" in name or "running" in name} <= changed


def test_the_scheduler_steps_each_epoch(tmp_path: Path) -> None:
    module = model(
        frozen=False,
        optimizer=partial(torch.optim.Adam, lr=1.0),
        lr_scheduler=partial(torch.optim.lr_scheduler.StepLR, step_size=2, gamma=0.5),
    )
    with pytest.warns(UserWarning, match="train/iou is .* in epoch"):  # at that rate it dies
        trainer = fit(module, tmp_path, epochs=4)
    assert trainer.optimizers[0].param_groups[0]["lr"] == 0.25


def _classifier(folder: Path) -> Path:
    """A checkpoint of a classifier whose batch norms have seen images."""
    torch.manual_seed(1)
    classifier = LitClassifier(SHAPE, 5, encoder=SMALL)
    for _ in range(3):
        classifier(torch.rand(8, *SHAPE))
    trainer = Trainer(logger=False, accelerator="cpu", enable_checkpointing=False, enable_progress_bar=False)
    trainer.strategy.connect(classifier)
    trainer.save_checkpoint(folder / "classifier.ckpt")
    return folder / "classifier.ckpt"


def test_weights_of_a_classifiers_checkpoint_and_of_state_dicts(tmp_path: Path) -> None:
    path = _classifier(tmp_path)
    encoder = load_model(path).encoder
    torch.save(encoder.state_dict(), tmp_path / "plain.pth")
    for weights in (path, tmp_path / "plain.pth"):
        module = model(weights=str(weights)).eval()
        x = torch.rand(4, *SHAPE)
        # all layers up to the last maps: without averaging, its hidden layer and its logits
        torch.testing.assert_close(module.backbone(x), encoder.body.body[:4](encoder.maps(x)))


def test_a_checkpoint_holds_the_weights_and_is_loaded_without_their_file(tmp_path: Path) -> None:
    path = _classifier(tmp_path)
    module = model(weights=str(path))
    assert module.hparams["weights"] == str(path)
    fit(module, tmp_path)
    module.trainer.save_checkpoint(tmp_path / "boxes.ckpt")
    path.unlink()
    again = load_model(tmp_path / "boxes.ckpt")
    x = torch.rand(4, *SHAPE)
    assert torch.equal(again.locate(x), module.eval().locate(x))
    assert again.recipe["init_args"]["weights"] is None
    fresh = again.untrained()
    assert not torch.equal(fresh.locate(x), again.locate(x))


def test_a_networks_own_weights_by_name_are_downloaded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = models.resnet18()
    for parameter in network.parameters():
        nn.init.constant_(parameter, 0.01)
    kinds = models.get_model_weights("resnet18")
    monkeypatch.setattr(kinds.IMAGENET1K_V1.__class__, "get_state_dict", lambda *a, **k: network.state_dict())
    module = LitBoxRegressor((3, 64, 64), "resnet18", weights="IMAGENET1K_V1")
    assert all((parameter == 0.01).all() for parameter in module.backbone.parameters())

    def offline(*arguments: Any, **options: Any) -> None:
        raise OSError("no network")

    monkeypatch.setattr(kinds.IMAGENET1K_V1.__class__, "get_state_dict", offline)
    with pytest.raises(
        FileNotFoundError, match=r"IMAGENET1K_V1 of resnet18 could not be downloaded from https.*resnet18"
    ):
        LitBoxRegressor((3, 64, 64), "resnet18", weights="IMAGENET1K_V1")


def test_weights_that_cannot_be_used(tmp_path: Path) -> None:
    path = _classifier(tmp_path)
    with pytest.raises(
        ValueError, match=r"classifier.ckpt holds the weights of another network: 5 of 9 differ \(encoder.body"
    ):
        model(weights=str(path), backbone=partial(SMALL, head_channels=[16]))
    torch.save(models.resnet18().state_dict(), tmp_path / "resnet18.pth")
    with pytest.raises(
        ValueError, match=r"resnet18.pth holds the weights of another network: .* not there.* and .* more"
    ):
        LitBoxRegressor((3, 64, 64), "resnet34", weights=str(tmp_path / "resnet18.pth"))
    with pytest.raises(ValueError, match=r"no weights 'IMAGENET' for resnet18: choose from IMAGENET1K_V1"):
        LitBoxRegressor((3, 64, 64), "resnet18", weights="IMAGENET")
    with pytest.raises(ValueError, match="torchvision has weights for its own networks only"):
        model(weights="IMAGENET1K_V1")
    with pytest.raises(FileNotFoundError, match=r"there is no file .*none.pth"):
        model(weights=str(tmp_path / "none.pth"))
    (tmp_path / "cut.pth").write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ValueError, match=r"cut.pth is truncated"):
        model(weights=str(tmp_path / "cut.pth"))
    torch.save({"epoch": 3}, tmp_path / "none.pt")
    with pytest.raises(ValueError, match="holds no network's weights"):
        model(weights=str(tmp_path / "none.pt"))


def test_a_frozen_backbone_of_random_weights_is_said(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="the frozen backbone has random weights, and is never trained"):
        fit(model(), tmp_path, epochs=1)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "maps"),
    [("resnet18", (512, 2, 2)), ("mobilenet_v3_small", (576, 2, 2)), ("efficientnet_b0", (1280, 2, 2))],
)
def test_maps_of_torchvisions_networks(name: str, maps: tuple[int, int, int]) -> None:
    backbone = Backbone((3, 64, 64), name)
    assert backbone.maps == maps
    assert backbone.training
    assert not any(key.startswith(("body.fc", "body.classifier")) for key in backbone.state_dict())


def test_images_are_brought_to_imagenets_scale() -> None:
    x = torch.rand(2, 3, 8, 8, dtype=torch.float64)
    wanted = (x - torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)) / torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    torch.testing.assert_close(ImageNetScale()(x), wanted)
    torch.testing.assert_close(ImageNetScale()(x[:, :1]), ImageNetScale()(x[:, :1].expand(-1, 3, -1, -1)))
    assert isinstance(Backbone(SHAPE, SMALL).scale, nn.Identity)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"backbone": "resnet17"}, "torchvision.models has no network 'resnet17': choose one such as resnet"),
        pytest.param({"backbone": "vit_b_16"}, "vit_b_16 has no maps that keep places", marks=pytest.mark.slow),
        ({"backbone": MLPEncoder}, "MLPEncoder has no maps that keep places"),
        ({"loss": "l2"}, "loss must be one of"),
        ({"pool": 0}, "pool must be a whole number, at least 1"),
        ({"dropout": 1.0}, r"dropout must be in \[0, 1\)"),
        ({"hidden_dims": [0]}, "hidden_dims must be a list of whole numbers"),
    ],
)
def test_arguments_that_cannot_be(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        model(**options)
    with pytest.raises(ValueError, match="resnet18 takes images of 3 channels, or of 1"):
        LitBoxRegressor((4, 64, 64), "resnet18")


def test_batches_that_do_not_fit() -> None:
    module, (x, y) = model(frozen=False), squares(4)
    with pytest.raises(
        ValueError, match=r"needs one box \(cx, cy, w, h\) an image, numbers of shape \(4, 4\), got torch.i"
    ):
        module.read_batch((x, torch.zeros(4, dtype=torch.int64)))
    with pytest.raises(ValueError, match="got NoneType"):
        module.read_batch([x])
    for wrong in (y * 16, torch.cat([y[:, :2], 0 * y[:, 2:]], 1), y - 0.6):
        with pytest.raises(ValueError, match=r"boxes must be .* as fractions of the image, inside it"):
            module.check_values(x, wrong)
    assert module.read_batch({"image": x, "label": y.double()})[1].dtype == torch.float64
    assert module.predict_step([x], 0)[0].shape == (4, 4)


def test_grey_images_and_other_encoders() -> None:
    assert LitBoxRegressor((1, 64, 64), "resnet18").eval().locate(torch.rand(2, 1, 64, 64)).shape == (2, 4)
    assert model(backbone=ConvEncoder).locate(torch.rand(2, *SHAPE)).shape == (2, 4)


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["smooth_l1", "giou"])
def test_it_learns_where_boxes_are(tmp_path: Path, loss: Any) -> None:
    module = model(frozen=False, loss=loss, optimizer=partial(torch.optim.Adam, lr=3e-3))
    trainer = fit(module, tmp_path, epochs=30, n=256)
    middle = torch.tensor([[0.5, 0.5, 0.4, 0.4]]).expand(16, -1)
    guess = float(paired_iou(middle, squares(16, 1)[1]).mean())
    assert guess < 0.4
    assert float(trainer.callback_metrics["val/iou"]) > 0.6
