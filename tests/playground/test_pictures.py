"""Files of all kinds to images, and images to pictures."""

import struct
import zlib
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.testing import assert_close

from playground.examples import Examples, read_examples
from playground.pictures import PictureError, fit, read_picture, to_picture

SVG = b'<?xml version="1.0"?>\n<!-- a drawing -->\n<svg xmlns="http://www.w3.org/2000/svg" width="4" height="4"/>'


def saved(image: Image.Image, kind: str = "PNG", **settings: Any) -> bytes:
    file = BytesIO()
    image.save(file, kind, **settings)
    return file.getvalue()


def halves(size: tuple[int, int] = (40, 40)) -> Image.Image:
    """Red at the left, blue at the right."""
    image = Image.new("RGB", size, (255, 0, 0))
    image.paste((0, 0, 255), (size[0] // 2, 0, *size))
    return image


def test_a_picture_of_the_size_keeps_its_pixels() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (28, 28), dtype=np.uint8)
    image = read_picture(saved(Image.fromarray(pixels)), (1, 28, 28))
    assert image.dtype == torch.float32
    assert_close(image[0, 0], torch.from_numpy(pixels) / 255)
    assert_close(read_picture(saved(Image.fromarray(pixels)), (1, 28, 28), negative=True), 1 - image)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM"])
def test_formats(kind: str) -> None:
    image = read_picture(saved(halves(), kind), (3, 8, 8))
    assert_close(image[0, :, 4, 0], torch.tensor([1.0, 0.0, 0.0]), atol=0.05, rtol=0)
    assert_close(image[0, :, 4, 7], torch.tensor([0.0, 0.0, 1.0]), atol=0.05, rtol=0)


def test_a_large_photo_is_cut_to_its_middle() -> None:
    image = Image.new("RGB", (4000, 3000), (0, 0, 0))
    image.paste((255, 255, 255), (480, 0, 3520, 3000))  # the middle square
    assert float(read_picture(saved(image, "JPEG"), (3, 32, 32)).min()) > 0.9


def test_the_middle_has_the_aspect_ratio_of_the_model() -> None:
    image = Image.new("L", (100, 100), 0)
    image.paste(255, (0, 25, 100, 75))
    assert float(read_picture(saved(image), (1, 8, 16)).min()) > 0.9
    assert read_picture(saved(Image.new("L", (3, 2000))), (1, 8, 8)).shape == (1, 1, 8, 8)


def test_a_phone_photo_is_turned_upright() -> None:
    exif = Image.Exif()
    exif[274] = 6  # turn by 90 degrees clockwise: what was left comes up
    image = read_picture(saved(halves(), "JPEG", exif=exif), (3, 8, 8))
    assert image[0, 0, 0].mean() > 0.9
    assert image[0, 2, 7].mean() > 0.9


@pytest.mark.parametrize("background", [0, 255])
def test_transparency_lies_on_the_background(background: int) -> None:
    data = saved(Image.new("RGBA", (10, 10), (255, 0, 0, 0)))
    assert_close(read_picture(data, (1, 5, 5), background), torch.full((1, 1, 5, 5), background / 255))


def test_16_bits_count_by_their_upper_8() -> None:
    pixels = np.full((8, 8), 128 << 8, dtype=np.uint16)
    pixels[0] = 65535
    image = read_picture(saved(Image.fromarray(pixels)), (1, 8, 8))
    assert image[0, 0, 1, 0] == 128 / 255
    assert image[0, 0, 0, 0] == 1


def test_an_animation_shows_its_first_frame() -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    data = saved(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert_close(read_picture(data, (3, 8, 8))[0, :, 0, 0], torch.tensor([1.0, 0.0, 0.0]), atol=0.02, rtol=0)


def huge_png(side: int) -> bytes:
    """A header that promises more pixels than there are."""
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(b"\0")), (b"IEND", b""))
    chunks = [
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in parts
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", r"the file is empty \(0 bytes\): choose a JPEG, PNG"),
        (b"Dear diary,\nno picture here. \xc3\xa4\n", "is no picture, whatever its name: it is text. Choose a JPEG"),
        (
            b"\x7fELF\x00\x01\x02\xff\xfe",
            "is no picture, whatever its name: it is of a kind that this page does not read",
        ),
        (SVG, "is an SVG drawing, which has no pixels: export it as PNG"),
        (b"<svg/>", "is an SVG drawing"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "is a HEIC, AVIF or video file.*save the picture as JPEG or PNG"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "is no picture, whatever its name: it is text"),
        (saved(halves())[:70], r"is damaged or cut off \(.*\): save the picture again as PNG or JPEG"),
        (saved(halves((400, 400)), "JPEG")[:700], "is damaged or cut off"),
        (huge_png(12_000), "has more than 89,478,485 pixels: make it smaller"),
        (huge_png(60_000), "has more than 89,478,485 pixels: make it smaller"),
        (saved(Image.new("F", (8, 8), 0.5), "TIFF"), "has 32-bit pixels of unknown range: save it with 8 or 16 bits"),
        (saved(Image.new("I", (8, 8), 5), "TIFF"), "has 32-bit pixels of unknown range"),
    ],
)
def test_other_files_are_refused_in_words(data: bytes, words: str) -> None:
    with pytest.raises(PictureError, match=words):
        read_picture(data, (1, 8, 8))


@pytest.mark.parametrize("shape", [(2, 8, 8), (28, 28)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"image_shape must be \(1, H, W\) or \(3, H, W\), grey or colour, to be seen"):
        read_picture(saved(halves()), shape)


def test_images_are_fitted_to_another_model() -> None:
    colour = torch.rand(2, 3, 12, 20)
    assert fit(colour, (1, 8, 8)).shape == (2, 1, 8, 8)
    grey = torch.rand(2, 1, 8, 8)
    assert_close(fit(grey, (3, 8, 8)), grey.expand(2, 3, 8, 8))
    assert_close(fit(fit(grey, (3, 8, 8)), (1, 8, 8)), grey)


def test_a_picture_shows_each_pixel_as_a_square() -> None:
    images = torch.tensor([0.0, 1.0, 0.5]).view(3, 1, 1, 1).expand(3, 1, 2, 2)
    picture = np.asarray(to_picture(images, columns=2, width=20))
    assert picture.shape == (20, 20)  # 2 + 1 + 2 pixels, four times as large
    assert (picture[:8, :8] == 0).all()
    assert (picture[:8, 12:] == 255).all()
    assert (picture[12:, :8] == 128).all()
    assert (picture[8:12] == 128).all()  # the line between


def test_a_picture_of_one_image_is_the_image() -> None:
    image = torch.randint(0, 256, (1, 3, 8, 8)) / 255
    assert_close(read_picture(saved(to_picture(image, width=1)), (3, 8, 8)), image)


def test_images_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match=r"hold values that are not finite numbers.*take an earlier checkpoint"):
        to_picture(torch.full((1, 1, 2, 2), float("nan")))


def test_examples_are_read_from_a_file(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 1, 8, 8), dtype=np.uint8)
    np.savez(tmp_path / "a.npz", images=images, labels=np.array([2, 0, 1]), class_names=np.array(["a", "b", "c"]))
    examples = read_examples(tmp_path / "a.npz")
    assert_close(examples[1], torch.from_numpy(images[1:2]) / 255)
    assert (examples.label(0), examples.class_names) == (2, ("a", "b", "c"))
    np.savez(tmp_path / "b.npz", images=images)
    assert read_examples(tmp_path / "b.npz").label(0) is None


def test_the_background_is_that_of_the_rims() -> None:
    image = torch.zeros(2, 1, 8, 8)
    image[:, :, 1:7, 1:7] = 1
    assert Examples(image).background == 0
    assert Examples(1 - image).background == 255


def test_other_examples_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"there is no file .*nowhere.npz: pass an .npz with images"):
        read_examples(tmp_path / "nowhere.npz")
    (tmp_path / "text.npz").write_text("hello")
    with pytest.raises(ValueError, match=r"text.npz is no .npz file of arrays"):
        read_examples(tmp_path / "text.npz")
    (tmp_path / "cut.npz").write_bytes(b"PK\x03\x04cut")
    with pytest.raises(ValueError, match=r"cut.npz is no .npz file of arrays"):
        read_examples(tmp_path / "cut.npz")
    np.save(tmp_path / "one.npy", np.zeros(3))
    with pytest.raises(ValueError, match=r"one.npy is no .npz file of arrays"):
        read_examples(tmp_path / "one.npy")
    np.savez(tmp_path / "floats.npz", images=np.zeros((1, 1, 8, 8)))
    with pytest.raises(
        ValueError, match=r"must hold images, bytes \(uint8\) of shape \(N, C, H, W\), it holds images float64"
    ):
        read_examples(tmp_path / "floats.npz")
    with pytest.raises(ValueError, match=r"images must be \(N, C, H, W\) with N at least 1, got shape \(0, 1, 8, 8\)"):
        Examples(torch.zeros(0, 1, 8, 8))
    with pytest.raises(ValueError, match="labels must be 2 whole numbers, one for each image"):
        Examples(torch.zeros(2, 1, 8, 8), torch.zeros(3, dtype=torch.long))
