"""The page to touch one model, or several side by side, in the browser."""

import socket
from collections.abc import Sequence
from typing import Any

import gradio as gr
from lightning.pytorch import LightningModule

from playground.abilities import Abilities
from playground.examples import Examples
from playground.rooms import chain_room, picture_room, samples_room, walk_room

_STYLE = """
.pixels img { image-rendering: pixelated; width: 100%; object-fit: contain; }
.sliders, .sliders > .form { display: grid; grid-template-columns: repeat(auto-fill, minmax(220px, 1fr)); gap: 8px; }
.sliders > .form { grid-column: 1 / -1; width: 100%; background: none; }
.sliders > * { min-width: 0 !important; }
.captioned { gap: 4px; }
.note:not(:empty) { font-weight: 600; }
"""
_HOUR = 3600  # seconds


def build_page(
    models: Sequence[tuple[str, LightningModule, Examples | None]], title: str = "lit-generative"
) -> gr.Blocks:
    """The page of one or several models; what none of them can do is not on it.

    All get the same seed, class and picture. Random numbers are torch's own, from the seed. Nothing is kept between two
    visitors.

    Args:
        models: name, model and test images of each; None where there are none.
        title: of the page.

    Returns:
        The page; `open_page` serves it.

    Raises:
        ValueError: there is no model, or one that can do nothing of what the page shows, see `Abilities`.

    Example:
        >>> class Noise(LightningModule):
        ...     def sample(self, n, y=None):
        ...         return torch.rand(n, 1, 8, 8)
        >>> build_page([("noise", Noise(), None)]).title
        'lit-generative'
    """
    if not models:
        raise ValueError("models must be at least one (name, model, examples), got none")
    abilities = [Abilities(*one) for one in models]
    rooms = {
        "Samples": (samples_room, [one for one in abilities if one.can_sample]),
        "Picture": (picture_room, [one for one in abilities if one.sees_pictures]),
        "Walk": (walk_room, [one for one in abilities if one.can_walk]),
        "Chains": (chain_room, [one for one in abilities if one.can_run_chains]),
    }
    # what uploads and pictures leave in the temporary folder goes after an hour, and when the page closes
    with gr.Blocks(title=title, analytics_enabled=False, delete_cache=(_HOUR, _HOUR)) as page:
        gr.Markdown(f"# {title}\n" + " beside ".join(f"**{one.name}**" for one in abilities))
        with gr.Tabs():
            for name, (room, able) in rooms.items():
                if able:
                    with gr.Tab(name, render_children=True):
                        room(page, able)
    return page


def open_page(
    page: gr.Blocks, host: str = "127.0.0.1", port: int | None = None, inbrowser: bool = False, wait: bool = True
) -> str:
    """Serve a page, to this machine alone unless `host` says otherwise; nothing is loaded from the network.

    Args:
        page: from `build_page`.
        host: address to listen at; "0.0.0.0" for all of the machine's.
        port: None for the first free one from 7860 on.
        inbrowser: open the browser.
        wait: until Ctrl-C; else the address is returned at once, and `page.close()` ends it.

    Returns:
        Its address.

    Raises:
        OSError: the port is in use.

    Example:
        >>> open_page(build_page([("noise", model, None)]))  # doctest: +SKIP
        'http://127.0.0.1:7860/'
    """
    if port is not None:
        _check_free(host, port)
    settings: dict[str, Any] = {"ssr_mode": False, "pwa": False, "mcp_server": False, "run_history": False}
    # system fonts, since a theme's own come from the network
    theme = gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"])
    _, address, _ = page.launch(
        server_name=host,
        server_port=port,
        share=False,
        inbrowser=inbrowser,
        quiet=True,
        prevent_thread_lock=True,
        footer_links=[],
        max_file_size="50mb",
        theme=theme,
        css=_STYLE,
        **settings,
    )
    if wait:
        print(f"the page is at {address} (Ctrl-C ends it)")
        page.block_thread()
    return address


def _check_free(host: str, port: int) -> None:
    """Raise an OSError where a port cannot be listened at; gradio would leave a socket open."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, port))
