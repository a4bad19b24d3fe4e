"""The parts of the page: samples, one picture, a walk between two, Markov chains."""

from collections.abc import Sequence
from typing import Any

import gradio as gr
import torch
from torch import Tensor

from playground.abilities import Abilities
from playground.choosing import Chooser, Chosen
from playground.events import ONE_AT_A_TIME, in_words, picture
from playground.pictures import to_picture
from playground.places import legend, with_box, with_classes

SAMPLES, SAMPLE_COLUMNS = 20, 5
WALK_STEPS = 9
CHAINS, MOMENTS = 5, 6  # chains shown, and how many of the last steps of each
MOST_STEPS = 1000
_EACH = -1  # each class in turn
_GRID, _WALK, _SINGLE = 500, 1000, 280  # widths in pixels


def samples_room(page: gr.Blocks, models: Sequence[Abilities]) -> None:
    """New images of a seed and, for conditional models, a class.

    Example:
        >>> with gr.Blocks() as page:
        ...     samples_room(page, [])
    """
    with gr.Row(equal_height=True):
        seed = gr.Number(0, label="seed", precision=0, elem_id="samples-seed", min_width=120)
        inputs: list[Any] = [seed]
        conditional = [model for model in models if model.conditional]
        if conditional:
            names = max((model.class_names for model in conditional), key=len)
            choices = [("each in turn", _EACH), *((name, number) for number, name in enumerate(names))]
            inputs.append(gr.Dropdown(choices, value=_EACH, label="class", elem_id="samples-class", min_width=120))
        button = gr.Button("New samples", variant="primary", elem_id="samples-new", min_width=120)
    outputs = _beside(models, "samples", "samples")

    def show(number: int | None, label: int = _EACH) -> Any:
        chosen = None if label == _EACH else label
        return _unpacked(
            to_picture(model.sample(SAMPLES, number, chosen), SAMPLE_COLUMNS, _GRID)  # type: ignore[arg-type]
            for model in models
        )

    _advance(button, seed, 1)
    gr.on([page.load, *(control.change for control in inputs)], in_words(show), inputs, outputs, **ONE_AT_A_TIME)


def picture_room(page: gr.Blocks, models: Sequence[Abilities]) -> None:
    """One picture: reconstructed with its error, judged, searched, and with the most active units to move."""
    with gr.Row():
        with gr.Column(scale=1, min_width=240):
            chooser = Chooser(models, "picture", "the picture")
        with gr.Column(scale=3, min_width=300), gr.Row():
            seen = [_SeenBy(model, number) for number, model in enumerate(models)]
    outputs = [output for one in seen for output in one.outputs]

    def show(chosen: Chosen | None) -> list[Any]:
        return [value for one in seen for value in one.values(chosen)]

    def first() -> Any:
        return _unpacked([chooser.first_picture(), *show(chooser.start)])

    chooser.on_change(show, outputs)
    page.load(in_words(first), None, [chooser.shown, *outputs], **ONE_AT_A_TIME)
    for one in seen:
        one.listen(chooser)


class _SeenBy:
    """What one model makes of the picture."""

    def __init__(self, model: Abilities, number: int) -> None:
        self.model = model
        self.number = number
        self.sliders: list[gr.Slider] = []
        self.outputs: list[Any] = []
        with gr.Column(min_width=280):
            gr.Markdown(f"### {model.name}")
            with gr.Row():
                if model.can_reconstruct:
                    self.outputs.append(picture("reconstruction", f"reconstruction-{number}"))
                if model.can_classify:
                    words = "what the model thinks it is"
                    self.outputs.append(gr.Label(label=words, num_top_classes=5, elem_id=f"classes-{number}"))
                if model.can_locate:
                    self.outputs.append(picture("the box that the model finds", f"box-{number}"))
                if model.can_segment:
                    self.outputs.append(picture("the class of each pixel", f"mask-{number}"))
                if model.units:
                    self.moved = picture("with its units moved", f"moved-{number}")
                    self.outputs.append(self.moved)
            if model.can_reconstruct:
                self.outputs.append(gr.Markdown(elem_id=f"error-{number}"))
            if model.can_locate:
                self.outputs.append(gr.Markdown(elem_id=f"box-words-{number}"))
            if model.can_segment:
                self.outputs.append(gr.HTML(elem_id=f"legend-{number}", padding=False))
            if model.units:
                self._make_sliders()

    def values(self, chosen: Chosen | None) -> list[Any]:
        """What `outputs` show."""
        if chosen is None:
            return [gr.skip()] * len(self.outputs)
        x, label = self._seen(chosen)
        values: list[Any] = []
        words = []
        if self.model.can_reconstruct:
            seen, error = self.model.reconstruct(x, label)
            values.append(to_picture(seen, width=_SINGLE))
            words.append(f"error of the reconstruction: {error:.5f} (mean squared, per pixel; black to white is 1)")
        if self.model.can_classify:
            values.append(self.model.classify(x))
        if self.model.can_locate:
            box = self.model.locate(x)
            values.append(with_box(x, box, _SINGLE))
            words.append("centre ({:.2f}, {:.2f}), width {:.2f}, height {:.2f}, in shares of the picture".format(*box))
        if self.model.can_segment:
            classes, names = self.model.segment(x)
            values.append(with_classes(x, classes, _SINGLE))
            words.append(legend(classes, names))
        positions = self.model.positions(x, label) if self.model.units else []
        if self.model.units:
            values.append(to_picture(self.model.move(x, positions, label), width=_SINGLE))
        return values + words + positions

    def listen(self, chooser: Chooser) -> None:
        """Have the sliders and the reset button answer."""
        if not self.sliders:
            return

        def move(chosen: Chosen | None, *positions: float) -> Any:
            if chosen is None:
                return gr.skip()
            x, label = self._seen(chosen)
            return to_picture(self.model.move(x, positions, label), width=_SINGLE)

        def reset(chosen: Chosen | None) -> Any:
            if chosen is None:
                return [gr.skip()] * (1 + len(self.sliders))
            positions = self.model.positions(*self._seen(chosen))
            return [move(chosen, *positions), *positions]

        taken = [chooser.chosen, *self.sliders]
        gr.on([slider.input for slider in self.sliders], in_words(move), taken, self.moved, **ONE_AT_A_TIME)
        self.button.click(in_words(reset), chooser.chosen, [self.moved, *self.sliders], **ONE_AT_A_TIME)

    def _seen(self, chosen: Chosen) -> tuple[Tensor, int | None]:
        """The picture as this model sees it, and its class."""
        x = chosen.images[self.number]
        assert x is not None  # a model that sees no pictures is not in this part
        return x, chosen.label

    def _make_sliders(self) -> None:
        gr.Markdown(
            f"The {len(self.model.units)} most active units of its code (in brackets: {self.model.activity}), in "
            "standard deviations from each unit's mean:"
        )
        with gr.Row(elem_classes="sliders"):
            for place, unit in enumerate(self.model.units):
                name = f"unit-{self.number}-{place}"
                slider = gr.Slider(
                    unit.least, unit.most, 0, step=0.01, label=unit.words, elem_id=name, min_width=220, buttons=[]
                )
                self.sliders.append(slider)
        self.button = gr.Button("Reset to the picture's own code", elem_id=f"reset-{self.number}", size="sm")
        self.outputs += self.sliders


def walk_room(page: gr.Blocks, models: Sequence[Abilities]) -> None:
    """Images on the straight line between the codes of two pictures."""
    with gr.Row():
        with gr.Column(min_width=240):
            start = Chooser(models, "from", "from")
        with gr.Column(min_width=240):
            end = Chooser(models, "to", "to", first=_other(models), asks_class=False)
    outputs = _beside(models, "walk", "the walk", stacked=True)

    def show(first: Chosen | None, last: Chosen | None) -> list[Any]:
        if first is None or last is None:
            return [gr.skip()] * len(models)
        ends = zip(first.images, last.images, strict=True)
        walks = (
            model.walk(one, other, WALK_STEPS, first.label)  # type: ignore[arg-type]  # all of them see pictures
            for model, (one, other) in zip(models, ends, strict=True)
        )
        return [to_picture(walk, WALK_STEPS, _WALK) for walk in walks]

    def opened() -> list[Any]:
        return [start.first_picture(), end.first_picture(), *show(start.start, end.start)]

    start.on_change(show, outputs, [end.chosen])
    end.on_change(lambda last, first: show(first, last), outputs, [start.chosen])
    page.load(in_words(opened), None, [start.shown, end.shown, *outputs], **ONE_AT_A_TIME)


def chain_room(page: gr.Blocks, models: Sequence[Abilities]) -> None:
    """Markov chains from noise, step by step."""
    with gr.Row():
        seed = gr.Number(0, label="seed", precision=0, elem_id="chain-seed", min_width=100)
        steps = gr.Slider(1, MOST_STEPS, 1, step=1, label="Gibbs steps", elem_id="chain-steps", buttons=[], scale=3)
    with gr.Row():
        for more in (1, 10, 100):
            button = gr.Button(f"{more} step{'s' * (more > 1)} on", elem_id=f"chain-{more}", min_width=90)
            _advance(button, steps, more, MOST_STEPS)
        again = gr.Button("From the start", elem_id="chain-start", min_width=90)
        again.click(None, None, steps, js="() => 1", api_visibility="private")
    words = gr.Markdown(elem_id="chain-words")
    outputs = _beside(models, "chain", "chains, a row each")

    def show(number: int | None, step: int) -> list[Any]:
        pictures = [
            to_picture(_in_places(model.run_chains(CHAINS, int(step), MOMENTS, number)), MOMENTS, _GRID)  # type: ignore[arg-type]
            for model in models
        ]
        first = max(1, int(step) - MOMENTS + 1)
        seen = f"steps {first} to {step}" if step > 1 else "step 1"
        return [f"{CHAINS} chains from noise, a row each; columns: {seen}, as means before the last draw.", *pictures]

    gr.on([page.load, seed.change, steps.change], in_words(show), [seed, steps], [words, *outputs], **ONE_AT_A_TIME)


def _in_places(chains: Tensor) -> Tensor:
    """Chains (n, T, C, H, W) as images row by row, with grey ones where T is less than MOMENTS."""
    missing = chains.new_full((len(chains), MOMENTS - chains.shape[1], *chains.shape[2:]), 128 / 255)
    return torch.cat([chains, missing], 1).flatten(0, 1)


def _beside(models: Sequence[Abilities], name: str, label: str, stacked: bool = False) -> list[gr.Image]:
    """A picture for each model, side by side or below one another."""
    with gr.Column() if stacked else gr.Row():
        return [picture(f"{label}: {model.name}", f"{name}-{number}") for number, model in enumerate(models)]


def _advance(button: gr.Button, number: Any, by: int, most: int | None = None) -> None:
    """Have a button raise a number, in the browser alone."""
    raised = f"(value) => (value ?? 0) + {by}" if most is None else f"(value) => Math.min({most}, value + {by})"
    button.click(None, number, number, js=raised, trigger_mode="multiple", api_visibility="private")


def _unpacked(values: Any) -> Any:
    """One value alone for one output, a list for several."""
    listed = list(values)
    return listed[0] if len(listed) == 1 else listed


def _other(models: Sequence[Abilities]) -> int:
    """Number of a test image to walk to: of one class where models are conditional, of two where not."""
    examples = next((model.examples for model in models if model.examples is not None), None)
    if examples is None or examples.labels is None:
        return 1
    same = any(model.conditional for model in models)
    found = (examples.labels[1:] == examples.labels[0]) == same
    return int(found.int().argmax()) + 1
