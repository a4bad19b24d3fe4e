"""What the examples in docstrings may take for granted."""

from typing import Any

import pytest
import torch


@pytest.fixture(autouse=True)
def _names_of_examples(doctest_namespace: dict[str, Any]) -> None:
    doctest_namespace["torch"] = torch
