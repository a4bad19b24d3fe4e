"""What all tests and the examples in docstrings may take for granted."""

import os

# before torch is imported: the tests run side by side, and threads of several would wait for one another
os.environ.setdefault("OMP_NUM_THREADS", "1")

import importlib.util
from typing import Any

import pytest
import torch

# the page's modules need the demo extra; without it their examples cannot run
collect_ignore: list[str] = []
if importlib.util.find_spec("gradio") is None:
    collect_ignore = [f"playground/{name}.py" for name in ("choosing", "events", "page", "rooms")]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the examples in docstrings, to run together with the slow tests; the longest tests begin first.

    So no worker is left with them when the others are done.
    """
    for item in items:
        if isinstance(item, pytest.DoctestItem):
            item.add_marker("doctest")
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


@pytest.fixture(autouse=True)
def _names_of_examples(doctest_namespace: dict[str, Any]) -> None:
    doctest_namespace["torch"] = torch
