"""Boxes and masks from the command line on: trained, tested, predicted, drawn, reported, in other precisions."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from callbacks.box_grid import box_grid
from callbacks.mask_grid import colored, mask_grid
from evaluation.of_places import measure_boxes, measure_masks, overlap
from evaluation.reference import Reference
from lit_generative import export, report, train
from lit_models import load_model
from lit_models.networks import ConvEncoder

SMALL = ["--data.train_size=100", "--data.test_size=20", "--data.image_size=32", "--data.digit_sizes=[16,28]"]
MODELS = {
    "boxes": ["--model=LitBoxRegressor", "--model.backbone=ConvEncoder", "--model.frozen=false", "--data.target=box"],
    "masks": ["--model=LitSegmenter", "--model.network=UNet", "--data.target=digit_mask"],
}
GRIDS = {"boxes": "BoxGrid", "masks": "MaskGrid"}
TURNED = "[{class_path: torchvision.transforms.v2.RandomRotation, init_args: {degrees: 20}}]"


def words(name: str, fake_data: Path, root: Path, *more: str) -> list[str]:
    return [
        "--data=tests.colour_files.SmallCollage",
        *MODELS[name],
        f"--data.data_dir={fake_data}",
        *SMALL,
        f"--trainer.default_root_dir={root}",
        "--trainer.enable_progress_bar=false",
        "--trainer.accelerator=cpu",
        "--trainer.max_epochs=1",
        f"--experiment={name}",
        *more,
    ]


@pytest.mark.parametrize("name", ["boxes", pytest.param("masks", marks=pytest.mark.slow)])
def test_one_command_each(name: str, fake_data: Path, tmp_path: Path) -> None:
    given = words(name, fake_data, tmp_path, f"--trainer.callbacks={GRIDS[name]}")
    train.main(["fit", *given, f"--data.augment={TURNED}"])
    run = tmp_path / name / "version_0"
    given = [f"--config={run}/config.yaml", f"--experiment={name}"]  # which is complete
    assert {path.stem for path in (run / "pictures").iterdir()} == {f"{name}_train_epoch001", f"{name}_val_epoch001"}
    cli = train.main(["test", *given, "--ckpt_path=best"])
    assert {"test/loss", "test/iou"} <= set(cli.trainer.callback_metrics)
    train.main(["predict", *given, "--ckpt_path=best"])
    found = np.load(tmp_path / name / "version_2" / f"{name}.npz")
    assert found[name].shape == ((20, 4) if name == "boxes" else (20, 32, 32))
    assert found["labels"].shape == found[name].shape
    assert found[name].dtype == (np.float32 if name == "boxes" else np.int64)

    report.main([str(run), f"--to={tmp_path / 'report'}", f"--cache_dir={tmp_path / 'cache'}"])
    figures = json.loads((tmp_path / "report" / "report.json").read_text())["models"][0]["figures"]
    measured = figures["iou" if name == "boxes" else "mask_iou"]["value"]
    assert measured == pytest.approx(float(cli.trainer.callback_metrics["test/iou"]), abs=1e-5)
    alone = {"boxes": {"iou", "found", "iou_of_mean"}, "masks": {"mask_iou", "pixel_accuracy"}}
    there = np.unique(found["labels"]) if name == "masks" else []
    alone["masks"] |= {f"{figure}_of_commonest" for figure in alone["masks"]} | {f"mask_iou_{k}" for k in there}
    assert set(figures) == alone[name]
    page = (tmp_path / "report" / "report.html").read_text()
    assert f"<h2>{name.capitalize()}</h2>" in page or name.capitalize() in page


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["bf16-true", "bf16-mixed", "64-true"])
@pytest.mark.parametrize("name", MODELS)
def test_other_precisions_and_batches_of_one(name: str, precision: str, fake_data: Path, tmp_path: Path) -> None:
    more = [f"--trainer.precision={precision}", "--data.batch_size=1", "--trainer.limit_train_batches=4"]
    cli = train.main(["fit", *words(name, fake_data, tmp_path, *more, f"--trainer.callbacks={GRIDS[name]}")])
    assert cli.trainer.callback_metrics["train/loss"].isfinite()
    assert cli.trainer.callback_metrics["train/loss"].dtype in (torch.float32, torch.float64)
    assert len(list((tmp_path / name / "version_0" / "pictures").iterdir())) == 2
    load_model(tmp_path / name / "version_0" / "checkpoints" / "last.ckpt")


def test_the_weights_that_a_run_was_started_from_may_be_gone(fake_data: Path, tmp_path: Path) -> None:
    weights = tmp_path / "encoder.pth"
    torch.save(ConvEncoder((3, 32, 32), 1).state_dict(), weights)
    given = words("boxes", fake_data, tmp_path, f"--model.weights={weights}", "--model.frozen=true")
    train.main(["fit", *given])
    weights.unlink()
    run = tmp_path / "boxes" / "version_0"
    more = [f"--config={run}/config.yaml", "--trainer.callbacks=[]", "--trainer.enable_progress_bar=false"]
    train.main(["test", *more, f"--ckpt_path={run}/checkpoints/best.ckpt"])
    train.main(["fit", *more, "--trainer.max_epochs=2", f"--ckpt_path={run}/checkpoints/last.ckpt"])


def test_a_share_of_the_train_split(fake_data: Path, tmp_path: Path) -> None:
    for name in MODELS:
        cli = train.main(["fit", *words(name, fake_data, tmp_path, "--data.train_fraction=0.5")])
        assert len(cli.datamodule.splits["train"]) == 45


def test_boxes_are_drawn_where_they_are() -> None:
    true, predicted = torch.tensor([[0.25, 0.5, 0.5, 1.0]]), torch.tensor([[0.5, 0.5, 1.0, 1.0]])
    figure = box_grid(torch.zeros(1, 1, 20, 40), true, predicted, columns=4)
    axes = figure.axes[0]
    assert axes.get_title() == "IoU 0.50"
    assert [patch.get_bbox().bounds for patch in axes.patches] == [(-0.5, -0.5, 20, 20), (-0.5, -0.5, 40, 20)]
    assert [patch.get_linestyle() for patch in axes.patches] == ["solid", "--"]
    alone = box_grid(torch.zeros(1, 1, 20, 40), None, predicted, columns=4)
    assert len(alone.axes[0].patches) == 1


def test_masks_are_drawn_in_colours_that_are_told_apart() -> None:
    masks = torch.arange(12).view(1, 3, 4)
    masks[0, 2, 3] = 255
    figure = mask_grid(torch.rand(1, 1, 3, 4), masks, masks, list("abcdefghijk"), columns=2)
    assert len(figure.legends[0].get_texts()) == 11
    table = torch.tensor([patch.get_facecolor()[:3] for patch in figure.legends[0].get_patches()])
    pixels = colored(masks, table).permute(0, 2, 3, 1).reshape(12, 3)
    assert len({tuple(color) for color in pixels.tolist()}) == 12
    assert pixels[0].tolist() == [0, 0, 0]


def test_masks_have_the_colours_that_the_user_named() -> None:
    masks = torch.tensor([[[0, 1]]])
    figure = mask_grid(torch.zeros(1, 3, 1, 2), masks, masks, ["sky", "road"], 2, colors=[(0, 0, 255), (255, 0, 0)])
    drawn = torch.tensor(figure.axes[0].get_images()[0].get_array())  # three rows of a picture and a white line
    assert drawn[2, [0, 1]].tolist() == drawn[4, [0, 1]].tolist() == [[0, 0, 1], [1, 0, 0]]
    assert [patch.get_facecolor() for patch in figure.legends[0].get_patches()] == [(0, 0, 1, 1), (1, 0, 0, 1)]


class _Fixed:
    """Gives what it is told."""

    def __init__(self, answers: Any) -> None:
        self.answers = answers

    def locate(self, x: torch.Tensor) -> torch.Tensor:
        return self.answers[x[:, 0, 0, 0].long()]

    segment = locate


def test_measures_of_boxes_and_masks_by_hand() -> None:
    images = torch.arange(4.0).view(4, 1, 1, 1).expand(4, 1, 2, 2)
    whole = torch.tensor([[0.5, 0.5, 1.0, 1.0]] * 4)
    true = torch.tensor([[0.5, 0.5, 1, 1], [0.25, 0.5, 0.5, 1], [0.25, 0.25, 0.5, 0.5], [0.5, 0.5, 1, 1]])
    assert overlap(whole, true).tolist() == [1, 0.5, 0.25, 1]
    found = measure_boxes(_Fixed(whole), Reference(images, true, images, true))
    assert found["iou"].value == 0.6875
    assert found["found"].value == 0.75
    mean = true.mean(0).expand(4, 4)
    assert found["iou_of_mean"].value == pytest.approx(float(overlap(mean, true).mean()))

    masks = torch.tensor([[[0, 0], [1, 1]], [[0, 0], [1, 255]], [[0, 0], [0, 0]], [[0, 0], [0, 0]]], dtype=torch.uint8)
    predicted = torch.tensor([[[0, 0], [1, 0]], [[0, 0], [1, 1]], [[0, 0], [0, 1]], [[0, 0], [0, 0]]])
    answers = torch.nn.functional.one_hot(predicted, 3).permute(0, 3, 1, 2).float()
    measured = measure_masks(_Fixed(answers), Reference(images, masks, images, masks))
    nothing = torch.full_like(masks, 255)
    half = measure_masks(_Fixed(answers), Reference(images, masks, images, torch.cat([masks[:2], nothing[2:]])))
    assert half["pixel_accuracy"] == (0.875, 0.125, 2)
    with pytest.raises(ValueError, match="no pixel of the test masks is of a class"):
        measure_masks(_Fixed(answers), Reference(images, masks, images, nothing))
    # class 0: 11 of 13 pixels; class 1: 2 of 4; class 2 is nowhere, and the pixel of no class does not count
    assert measured["mask_iou"].value == pytest.approx((11 / 13 + 2 / 4) / 2)
    assert measured["pixel_accuracy"].value == pytest.approx((3 / 4 + 1 + 3 / 4 + 1) / 4)
    assert measured["mask_iou_0"].value == pytest.approx(11 / 13)
    assert measured["mask_iou_1"].value == pytest.approx(2 / 4)
    assert measured["mask_iou_of_commonest"].value == pytest.approx((12 / 15 + 0) / 2)
    assert measured["pixel_accuracy_of_commonest"].value == pytest.approx((2 / 4 + 2 / 3 + 1 + 1) / 4)
    with pytest.raises(ValueError, match="the labels of these data are no boxes"):
        measure_boxes(_Fixed(whole), Reference(images, masks, images, masks))
    with pytest.raises(ValueError, match="the labels of these data are no masks"):
        measure_masks(_Fixed(answers), Reference(images, true, images, true))


def test_a_users_pictures_and_masks(tmp_path: Path) -> None:
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    for number in range(20):
        picture = Image.new("RGB", (40, 40), (200, 200, 200))
        mask = Image.new("RGB", (40, 40), (0, 0, 0))
        for image, color in ((picture, (20, 20, 20)), (mask, (255, 0, 0))):
            image.paste(color, (number, 5, number + 15, 25))
        picture.save(tmp_path / "images" / f"{number}.jpg")
        mask.save(tmp_path / "masks" / f"{number}.png")
    config = tmp_path / "mine.yaml"
    config.write_text(
        f"""
model: {{class_path: LitSegmenter, init_args: {{network: {{class_path: UNet, init_args: {{channels: [4, 8]}}}}}}}}
data:
  class_path: MaskDataModule
  init_args:
    images: {tmp_path}/images
    masks: {tmp_path}/masks
    class_colors: {{background: [0, 0, 0], thing: [255, 0, 0]}}
    image_size: 32
    cache_dir: {tmp_path}/cache
    augment:
      - class_path: torchvision.transforms.v2.RandomAffine
        init_args: {{degrees: 20, translate: [0.1, 0.1]}}
"""
    )
    more = [f"--trainer.default_root_dir={tmp_path}", "--trainer.max_epochs=1", "--trainer.enable_progress_bar=false"]
    cli = train.main(["fit", f"--config={config}", *more, "--trainer.accelerator=cpu"])
    assert cli.model.num_classes == 2
    assert cli.trainer.callback_metrics["val/iou"].isfinite()

    run = tmp_path / "mine" / "version_0"
    train.main(["predict", f"--config={run}/config.yaml", f"--ckpt_path={run}/checkpoints/last.ckpt"])
    with np.load(tmp_path / "mine" / "version_1" / "masks.npz") as file:
        found = dict(file)
    assert found["class_names"].tolist() == ["background", "thing"]
    export.main([str(run), f"--to={tmp_path}/exported", "--formats=safetensors"])
    assert json.loads((tmp_path / "exported" / "config.json").read_text())["class_names"] == ["background", "thing"]
    card = (tmp_path / "exported" / "README.md").read_text()
    assert "(N, 3, 32, 32), going in.\n" in card
    assert "probabilities = model.segment(images)  # (N, 2, H, W)" in card
    data = cli.datamodule
    for name, mask in zip(found["names"], found["labels"], strict=True):
        position = data.listing.files.names.index(name)
        assert np.array_equal(mask, data.tensors["test"][1][position])


def test_boxes_of_a_users_pictures_are_predicted_in_their_pixels(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    rows = ["image_name,x0,y0,x1,y1"]
    for number in range(20):
        Image.new("RGB", (60 + number, 40), (200, 200, 200)).save(tmp_path / "images" / f"{number}.png")
        rows.append(f"{number}.png,{20 + number},5,{35 + number},25")
    (tmp_path / "boxes.csv").write_text("\n".join(rows))
    words = ["--model=LitBoxRegressor", "--model.backbone=ConvEncoder", "--model.frozen=false", "--data=BoxDataModule"]
    words += [f"--data.path={tmp_path}/boxes.csv", f"--data.images={tmp_path}/images", "--data.image_size=32"]
    words += [f"--data.cache_dir={tmp_path}/cache", "--data.batch_size=3", f"--trainer.default_root_dir={tmp_path}"]
    words += ["--trainer.max_epochs=1", "--trainer.enable_progress_bar=false", "--trainer.accelerator=cpu"]
    train.main(["fit", *words])
    train.main(["predict", *words, "--ckpt_path=last"])
    with np.load(tmp_path / "LitBoxRegressor" / "version_1" / "boxes.npz") as file:
        found = dict(file)
    assert found["names"].tolist()
    for name, box, corners in zip(found["names"], found["boxes"], found["corners"], strict=True):
        size = np.array([60 + int(name.partition(".")[0]), 40])
        np.testing.assert_allclose(corners.reshape(2, 2).mean(0), box[:2] * size, rtol=1e-5)
        np.testing.assert_allclose(corners[2:] - corners[:2], box[2:] * size, rtol=1e-4)
