"""What all tests and the examples in docstrings may take for granted."""

import os

# before torch is imported: the tests run side by side, and threads of several would wait for one another
os.environ.setdefault("OMP_NUM_THREADS", "1")

from typing import Any

import pytest
import torch


@pytest.fixture(autouse=True)
def _names_of_examples(doctest_namespace: dict[str, Any]) -> None:
    doctest_namespace["torch"] = torch
