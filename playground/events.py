"""What all events of the page share: one at a time for torch, the last of many clicks wins, errors in words."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import gradio as gr

# torch's random numbers belong to the whole process: of all events, whoever's they are, one runs at a time
ONE_AT_A_TIME: dict[str, Any] = {
    "concurrency_id": "torch",
    "concurrency_limit": 1,
    "trigger_mode": "always_last",
    "show_progress": "hidden",
    "api_visibility": "private",
}


def in_words(handler: Callable[..., Any]) -> Callable[..., Any]:
    """The same handler, whose errors are shown on the page instead of as a trace in the terminal.

    Example:
        >>> in_words(int)("3")
        3
    """

    @wraps(handler)
    def worded(*arguments: Any) -> Any:
        try:
            return handler(*arguments)
        except (ValueError, TypeError, RuntimeError, ArithmeticError, LookupError) as error:
            raise gr.Error(str(error), duration=None, print_exception=False) from error

    return worded


def picture(caption: str, name: str) -> gr.Image:
    """A place for a picture that a model made, with words above: on it they would hide a part.

    Example:
        >>> with gr.Blocks():
        ...     print(picture("samples", "samples-0").elem_id)
        samples-0
    """
    with gr.Column(min_width=200, elem_classes="captioned"):
        gr.Markdown(caption)
        return gr.Image(
            label=caption,
            show_label=False,
            elem_id=name,
            format="png",  # without loss: a pixel on the page is the model's
            type="pil",
            interactive=False,
            buttons=[],
            alt_text=caption,
            elem_classes="pixels",
        )
