"""The page in a real browser: what is on it, what it shows, and what it answers to odd uploads and quick clicks."""

import base64
import os
import time
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import numpy as np
import pytest
import torch
from PIL import Image

from datamodules import DigitsDataModule
from lit_models import LitClassifier, LitGAN, LitRBM, LitVAE
from playground.abilities import Abilities
from playground.examples import Examples
from playground.pictures import to_picture
from playground.rooms import CHAINS, MOMENTS, SAMPLE_COLUMNS, SAMPLES, WALK_STEPS
from tests.playground.models import Finder, OnlySamples
from tests.processes import free_port

gr = pytest.importorskip("gradio", reason="the page needs the demo extra: uv run --extra demo pytest -m slow")
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is in the dev group")

pytestmark = pytest.mark.slow
CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
SHAPE = (1, 28, 28)
SECONDS = 60_000  # in milliseconds: how long a picture may take on a busy machine


def digits() -> Examples:
    data = DigitsDataModule()
    data.setup()
    return Examples(*data.split("test"), class_names=data.class_names)


@pytest.fixture(scope="module")
def models() -> list[Abilities]:
    """A conditional VAE and an RBM, untrained, on the digits."""
    torch.manual_seed(0)
    examples = digits()
    rbm = LitRBM(SHAPE, hidden_dim=8)
    torch.nn.init.normal_(rbm.weight, std=0.3)
    rbm.fit_scale([examples.first(200)])
    cvae = LitVAE(SHAPE, latent_dim=4, conditional=True)
    for parameter in cvae.parameters():
        parameter.data.mul_(2)  # so that an untrained model's pictures differ
    return [Abilities("cvae", cvae.eval(), examples), Abilities("rbm", rbm.eval(), examples)]


@pytest.fixture(scope="module")
def address(models: list[Abilities], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One server for all tests."""
    from playground.page import build_page, open_page

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(tmp_path_factory.mktemp("gradio")))
        page = build_page([(model.name, model.model, model.examples) for model in models])
        yield open_page(page, port=free_port(), wait=False)
        page.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if not Path(CHROMIUM).is_file():
        pytest.skip(f"there is no browser {CHROMIUM}: install chromium, or name one in the environment as CHROMIUM")
    with playwright.sync_playwright() as driver:
        flags = ["--headless", "--no-sandbox", "--disable-gpu"]
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield browser
        browser.close()


class Visit:
    """One visitor's page, with what its console said and whom it asked."""

    def __init__(self, browser: Any, address: str, **settings: Any) -> None:
        self.page = browser.new_page(**settings)
        self.said: list[str] = []
        self.hosts: set[str] = set()
        self.page.on("console", lambda message: self.said.append(message.text) if message.type == "error" else None)
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.hosts.add(urlparse(request.url).netloc))
        self.page.goto(address)
        self.page.wait_for_selector("#samples-0 img", timeout=SECONDS)

    def open(self, tab: str) -> None:
        self.page.get_by_role("tab", name=tab, exact=True).click()

    def pixels(self, name: str) -> np.ndarray:
        """A picture as the page has it."""
        self.page.wait_for_selector(f"#{name} img", timeout=SECONDS)
        url = self.page.get_attribute(f"#{name} img", "src")
        if url.startswith("data:"):
            return np.asarray(Image.open(BytesIO(base64.b64decode(url.partition(",")[2]))).convert("L"))
        return np.asarray(Image.open(BytesIO(self.page.request.get(url).body())).convert("L"))

    def shows(self, name: str, expected: Image.Image) -> None:
        """Wait until a picture is the expected one, pixel for pixel."""
        wanted = np.asarray(expected)
        until = time.monotonic() + SECONDS / 1000
        while not np.array_equal(self.pixels(name), wanted):
            assert time.monotonic() < until, f"{name} is not what torch makes"
            self.page.wait_for_timeout(50)

    def says(self, name: str, words: str) -> None:
        playwright.expect(self.page.locator(f"#{name}")).to_contain_text(words, timeout=SECONDS)

    def upload(self, name: str, path: Path) -> None:
        self.page.set_input_files(f"#{name}-file input[type=file]", path)

    def type(self, name: str, value: object) -> None:
        self.page.fill(f"#{name} input", str(value))


@pytest.fixture
def visit(browser: Any, address: str) -> Iterator[Visit]:
    """A visitor for each test, so that none finds what another has left on the page, whatever their order."""
    visit = Visit(browser, address)
    yield visit
    visit.page.close()
    assert visit.said == []


def grid(model: Abilities, seed: int, label: int | None = None) -> Image.Image:
    return to_picture(model.sample(SAMPLES, seed, label), SAMPLE_COLUMNS, 500)


def test_the_page_asks_nobody_else_and_says_no_error(visit: Visit, address: str) -> None:
    for tab in ("Picture", "Walk", "Chains", "Samples"):
        visit.open(tab)
        visit.page.wait_for_timeout(300)
    assert visit.hosts == {urlparse(address).netloc}


def test_boxes_and_masks_are_drawn_into_the_picture() -> None:
    from playground.choosing import Chosen
    from playground.rooms import _SeenBy

    x = torch.tensor([[[[0.0, 1.0], [1.0, 1.0]]]])
    with gr.Blocks():
        seen = _SeenBy(Abilities("finder", Finder(), Examples(x, class_names=["<b>light", "dark"])), 0)
    box, mask, words, legend = seen.values(Chosen((x,)))
    assert len(seen.outputs) == 4
    assert box.getpixel((0, box.height // 2)) == (255, 0, 0)
    assert box.getpixel((0, 0)) == (0, 0, 0)
    assert mask.getpixel((0, 0)) != mask.getpixel((mask.width - 1, 0)) == (128, 128, 128)
    assert words.startswith("centre (0.50, 0.50), width 1.00, height 0.00")
    assert "&lt;b&gt;light 75.0%" in legend
    assert "dark 25.0%" in legend


def test_samples_are_those_of_seed_and_class(visit: Visit, models: list[Abilities]) -> None:
    visit.open("Samples")
    for number, model in enumerate(models):
        visit.shows(f"samples-{number}", grid(model, 0))
    visit.type("samples-seed", 12)
    visit.shows("samples-0", grid(models[0], 12))
    visit.page.click("#samples-class input")
    visit.page.get_by_role("option", name="7", exact=True).click()
    visit.shows("samples-0", grid(models[0], 12, 7))
    visit.shows("samples-1", grid(models[1], 12))


def each_in_turn(visit: Visit) -> None:
    visit.page.click("#samples-class input")
    visit.page.get_by_role("option", name="each in turn", exact=True).click()


def seed_at_rest(visit: Visit) -> int:
    """The seed that the page has, once it has not changed for a moment."""
    seeds = [-1, 0]
    while seeds[-2] != seeds[-1]:
        visit.page.wait_for_timeout(300)
        seeds.append(int(visit.page.input_value("#samples-seed input")))
    return seeds[-1]


def test_twenty_quick_clicks(visit: Visit, models: list[Abilities]) -> None:
    visit.open("Samples")
    each_in_turn(visit)
    visit.type("samples-seed", 100)
    visit.shows("samples-0", grid(models[0], 100))
    for _ in range(20):
        visit.page.click("#samples-new", no_wait_after=True)
    seed = seed_at_rest(visit)
    assert 110 < seed <= 120  # the browser may take two clicks for one
    for number, model in enumerate(models):
        visit.shows(f"samples-{number}", grid(model, seed))


def test_a_test_image_is_reconstructed_with_its_error(visit: Visit, models: list[Abilities]) -> None:
    visit.open("Picture")
    visit.type("picture-number", 5)
    for number, model in enumerate(models):
        assert model.examples is not None
        x, label = model.examples[5], model.examples.label(5)
        seen, error = model.reconstruct(x, label)
        visit.shows(f"reconstruction-{number}", to_picture(seen, width=280))
        visit.says(f"error-{number}", f"{error:.5f}")
    visit.type("picture-number", 5000)
    visit.says("picture-note", "there is no test image 5000: choose a number from 0 to 358")


def test_a_slider_moves_its_unit_and_reset_takes_it_back(visit: Visit, models: list[Abilities]) -> None:
    visit.open("Picture")
    visit.type("picture-number", 11)
    for number, model in enumerate(models):
        assert model.examples is not None
        x, label = model.examples[11], model.examples.label(11)
        own = model.positions(x, label)
        visit.shows(f"moved-{number}", to_picture(model.move(x, own, label), width=280))
        target = model.units[0].most if own[0] != model.units[0].most else model.units[0].least
        visit.page.locator(f"#unit-{number}-0 input[type=range]").fill(str(target))
        moved = to_picture(model.move(x, [target, *own[1:]], label), width=280)
        assert not np.array_equal(np.asarray(moved), visit.pixels(f"reconstruction-{number}"))
        visit.shows(f"moved-{number}", moved)
        visit.page.click(f"#reset-{number}")
        visit.shows(f"moved-{number}", to_picture(model.move(x, own, label), width=280))


def test_a_drag_ends_at_its_last_place(visit: Visit, models: list[Abilities]) -> None:
    visit.open("Picture")
    model = models[0]
    assert model.examples is not None
    x, label = model.examples[12], model.examples.label(12)
    own = model.positions(x, label)
    visit.type("picture-number", 12)
    visit.shows("moved-0", to_picture(model.move(x, own, label), width=280))
    slider = visit.page.locator("#unit-0-1 input[type=range]")
    for step in range(30):
        slider.fill(str(round(-1.5 + 0.1 * step, 2)))
    visit.shows("moved-0", to_picture(model.move(x, [own[0], 1.4, *own[2:]], label), width=280))


def test_uploads(visit: Visit, models: list[Abilities], tmp_path: Path) -> None:
    photo = Image.fromarray(np.linspace(0, 255, 4000 * 3000).astype(np.uint8).reshape(3000, 4000)).convert("RGB")
    photo.save(tmp_path / "photo.jpg", quality=80)
    (tmp_path / "text.png").write_text("no picture at all")
    (tmp_path / "drawing.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>')
    visit.open("Picture")
    visit.type("picture-number", 13)
    assert models[0].examples is not None
    visit.shows("picture-chosen", to_picture(models[0].examples[13], width=200))
    before = visit.pixels("picture-chosen")
    visit.upload("picture", tmp_path / "text.png")
    visit.says("picture-note", "the file is no picture, whatever its name: it is text")
    assert np.array_equal(before, visit.pixels("picture-chosen"))  # the picture before stays
    visit.page.click("#picture-file button[aria-label*=emove], #picture-file button[aria-label=Clear]")
    visit.upload("picture", tmp_path / "drawing.svg")
    visit.says("picture-note", "the file is an SVG drawing, which has no pixels: export it as PNG")
    visit.page.click("#picture-file button[aria-label*=emove], #picture-file button[aria-label=Clear]")
    visit.upload("picture", tmp_path / "photo.jpg")
    playwright.expect(visit.page.locator("#picture-note")).not_to_contain_text("SVG", timeout=SECONDS)
    from playground.pictures import read_picture

    x = read_picture((tmp_path / "photo.jpg").read_bytes(), SHAPE, models[0].examples.background)
    visit.shows("picture-chosen", to_picture(x, width=200))
    label = models[0].examples.label(13)
    visit.shows("reconstruction-0", to_picture(models[0].reconstruct(x, label)[0], width=280))
    visit.page.check("#picture-negative input")
    visit.shows("picture-chosen", to_picture(1 - x, width=200))


def test_a_walk(visit: Visit, models: list[Abilities]) -> None:
    visit.open("Walk")
    visit.type("from-number", 3)
    visit.type("to-number", 8)
    for number, model in enumerate(models):
        assert model.examples is not None
        walk = model.walk(model.examples[3], model.examples[8], WALK_STEPS, model.examples.label(3))
        visit.shows(f"walk-{number}", to_picture(walk, WALK_STEPS, 1000))


def test_a_chain_step_by_step(visit: Visit, models: list[Abilities]) -> None:
    visit.open("Chains")
    visit.says("chain-words", "step 1")
    for more in (10, 1, 1):
        visit.page.click(f"#chain-{more}")
    visit.says("chain-words", "steps 8 to 13")
    chains = models[1].run_chains(CHAINS, 13, MOMENTS, 0)
    visit.shows("chain-0", to_picture(chains.flatten(0, 1), MOMENTS, 500))


def test_a_wrong_seed_is_answered_in_words(visit: Visit) -> None:
    visit.open("Samples")
    visit.type("samples-seed", -5)
    playwright.expect(visit.page.get_by_text("seed must be a whole number from 0")).to_be_visible(timeout=SECONDS)


def test_two_visitors_do_not_meet(browser: Any, visit: Visit, address: str, models: list[Abilities]) -> None:
    other = Visit(browser, address)
    for one, number in ((visit, 4), (other, 9)):
        one.open("Picture")
        one.type("picture-number", number)
    for one, number in ((visit, 4), (other, 9)):
        assert models[0].examples is not None
        x, label = models[0].examples[number], models[0].examples.label(number)
        one.shows("reconstruction-0", to_picture(models[0].reconstruct(x, label)[0], width=280))
    other.page.close()


@pytest.mark.parametrize("width", [400, 1400])
def test_nothing_is_wider_than_the_window(browser: Any, address: str, width: int) -> None:
    visit = Visit(browser, address, viewport={"width": width, "height": 900}, color_scheme="dark")
    for tab in ("Picture", "Walk", "Chains"):
        visit.open(tab)
        visit.page.wait_for_timeout(200)
        assert visit.page.evaluate("document.documentElement.scrollWidth") <= width, tab
    visit.page.close()


def controls(page: Any) -> set[str]:
    return {block.elem_id for block in page.blocks.values() if getattr(block, "elem_id", None)}


def test_what_a_model_cannot_do_is_not_on_its_page() -> None:
    from playground.page import build_page

    examples = digits()
    gan = controls(build_page([("gan", LitGAN(SHAPE).eval(), examples)]))
    assert gan == {"samples-seed", "samples-new", "samples-0"}
    own = controls(build_page([("own", OnlySamples(), None)]))
    assert own == gan
    classifier = controls(build_page([("classifier", LitClassifier(SHAPE).eval(), examples)]))
    assert "classes-0" in classifier
    assert not classifier & {"reconstruction-0", "moved-0", "walk-0", "samples-0", "picture-class"}
    vae = controls(build_page([("vae", LitVAE(SHAPE, latent_dim=2).eval(), None)]))
    assert "picture-file" in vae
    assert not vae & {"picture-number", "picture-class", "samples-class", "chain-0"}
    both = controls(build_page([("gan", LitGAN(SHAPE).eval(), examples), ("vae", LitVAE(SHAPE).eval(), None)]))
    assert {"samples-1", "reconstruction-0"} <= both
    assert "reconstruction-1" not in both


def test_a_page_without_test_images_says_so() -> None:
    from playground.page import build_page

    page = build_page([("vae", LitVAE(SHAPE, latent_dim=2).eval(), None)])
    notes = [block.value for block in page.blocks.values() if getattr(block, "elem_id", None) == "picture-note"]
    assert notes == ["There are no test images here: this picture is the model's own, until you choose one of yours."]


def test_no_model_is_refused() -> None:
    from playground.page import build_page

    with pytest.raises(ValueError, match=r"models must be at least one \(name, model, examples\), got none"):
        build_page([])
