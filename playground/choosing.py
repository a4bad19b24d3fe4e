"""Choosing a picture: a test image by its number, or a file of one's own."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gradio as gr
from torch import Tensor

from playground.abilities import Abilities
from playground.events import ONE_AT_A_TIME, in_words, picture
from playground.pictures import PictureError, fit, read_picture, to_picture

_SEEN = 200  # width in pixels of the picture that was chosen


@dataclass(frozen=True)
class Chosen:
    """A picture as each model sees it, (1, C, H, W) each, and its class; None where a model or a class is missing.

    The class is kept here, on the server, and not read from the control: of two quick changes the second would send
    what the control showed before the first was answered.

    Example:
        >>> Chosen((torch.zeros(1, 1, 8, 8), None)).images[1] is None
        True
    """

    images: tuple[Tensor | None, ...]
    label: int | None = None

    @property
    def shown(self) -> Tensor:
        """What the page shows: the picture of the first model that sees it."""
        return next(image for image in self.images if image is not None)


class Chooser:
    """The controls to choose a picture with, and the picture itself.

    Args:
        models: the same picture goes to all of them.
        name: begins the names of the controls on the page.
        title: what the picture is for.
        first: number of the test image, or seed of the sample, to start with.
        asks_class: whether a class is asked for, which conditional models need.

    Example:
        >>> from lightning.pytorch import LightningModule
        >>> class Mirror(LightningModule):
        ...     image_shape = (1, 8, 8)
        ...     def reconstruct(self, x, y=None):
        ...         return x
        >>> with gr.Blocks():
        ...     chooser = Chooser([Abilities("mirror", Mirror())], "picture", "A picture")
        >>> chooser.start is None  # nothing to start with: no test images, and no samples
        True
    """

    def __init__(
        self, models: Sequence[Abilities], name: str, title: str, first: int = 0, asks_class: bool = True
    ) -> None:
        self.models = models
        self.examples = next((model.examples for model in models if model.examples is not None), None)
        self.background = 255 if self.examples is None else self.examples.background
        self.start = self._start(first)
        self.chosen = gr.State(self.start)
        self.shown = picture(title, f"{name}-chosen")
        self.number: gr.Number | None = None
        if self.examples is not None:
            words = f"test image, 0 to {len(self.examples) - 1:,}"
            start = min(first, len(self.examples) - 1)
            self.number = gr.Number(start, label=words, precision=0, elem_id=f"{name}-number")
        conditional = [model for model in models if model.conditional]
        self.label: gr.Dropdown | None = None
        if conditional and asks_class:
            names = max((model.class_names for model in conditional), key=len)
            choices = [(name, number) for number, name in enumerate(names)]
            self.label = gr.Dropdown(
                choices, value=0 if self.start is None else self.start.label, label="its class", elem_id=f"{name}-class"
            )
        self.file = gr.File(label="your picture", type="filepath", height=140, elem_id=f"{name}-file")
        self.negative = gr.Checkbox(False, label="turn your picture's light into dark", elem_id=f"{name}-negative")
        self.note = gr.Markdown(self._first_note(), elem_id=f"{name}-note", elem_classes="note")

    def on_change(self, show: Callable[..., list[Any]], outputs: Sequence[Any], others: Sequence[Any] = ()) -> None:
        """Have `show(chosen, *values of others)` fill `outputs` whenever picture or class change."""
        own = [self.chosen, self.shown, self.note] + ([self.label] if self.label is not None else [])
        everything = [*own, *outputs]

        def answer(chosen: Chosen, others: tuple[Any, ...]) -> list[Any]:
            labels = [chosen.label] if self.label is not None else []
            return [chosen, to_picture(chosen.shown, width=_SEEN), "", *labels, *show(chosen, *others)]

        def refused(error: PictureError) -> list[Any]:
            return [gr.skip(), gr.skip(), str(error)] + [gr.skip()] * (len(everything) - 3)

        def by_number(number: int | None, *others: Any) -> list[Any]:
            try:
                return answer(self._numbered(number), others)
            except PictureError as error:
                return refused(error)

        def by_file(before: Chosen | None, path: str | None, negative: bool, *others: Any) -> list[Any]:
            if path is None:
                return [gr.skip()] * len(everything)
            try:
                return answer(self._read(path, negative, before), others)
            except PictureError as error:
                return refused(error)

        def by_class(before: Chosen | None, label: int, *others: Any) -> list[Any]:
            if before is None:
                return [gr.skip()] * (1 + len(outputs))
            chosen = replace(before, label=label)
            return [chosen, *show(chosen, *others)]

        event = ONE_AT_A_TIME
        if self.number is not None:
            self.number.input(in_words(by_number), [self.number, *others], everything, **event)
        taken = [self.chosen, self.file, self.negative, *others]
        gr.on([self.file.upload, self.negative.input], in_words(by_file), taken, everything, **event)
        if self.label is not None:
            changed = [self.chosen, *outputs]
            self.label.input(in_words(by_class), [self.chosen, self.label, *others], changed, **event)

    def first_picture(self) -> Any:
        """What to show before anything was chosen."""
        return None if self.start is None else to_picture(self.start.shown, width=_SEEN)

    def _start(self, first: int) -> Chosen | None:
        if self.examples is not None:
            return self._numbered(min(first, len(self.examples) - 1))
        maker = next((model for model in self.models if model.can_sample), None)
        if maker is None:
            return None
        label = 0 if maker.conditional else None
        return self._for_all(maker.sample(1, first, label), label)

    def _numbered(self, number: int | None) -> Chosen:
        assert self.examples is not None
        if number is None or not 0 <= number < len(self.examples):
            raise PictureError(f"there is no test image {number}: choose a number from 0 to {len(self.examples) - 1:,}")
        return self._for_all(self.examples[int(number)], self.examples.label(int(number)))

    def _read(self, path: str, negative: bool, before: Chosen | None) -> Chosen:
        data = Path(path).read_bytes()
        images = (
            read_picture(data, model.image_shape, self.background, negative) if model.image_shape else None
            for model in self.models
        )
        return Chosen(tuple(images), self._first_class() if before is None else before.label)

    def _for_all(self, image: Tensor, label: int | None) -> Chosen:
        images = (fit(image, model.image_shape) if model.image_shape else None for model in self.models)
        return Chosen(tuple(images), self._first_class() if label is None else label)

    def _first_class(self) -> int | None:
        """Class of a picture of which none is known."""
        return 0 if any(model.conditional for model in self.models) else None

    def _first_note(self) -> str:
        if self.examples is not None:
            return ""
        if self.start is None:
            return "There are no test images here: choose a picture of your own."
        return "There are no test images here: this picture is the model's own, until you choose one of yours."
