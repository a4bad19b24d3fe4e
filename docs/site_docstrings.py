"""What the site's reader of docstrings is told of this project's."""

import re
from typing import Any

import griffe


class ExamplesAsCode(griffe.Extension):
    """Has `Example:` in docstrings read as the section that it is; the reader knows `Examples:` alone."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rename the section."""
        if obj.docstring is not None:
            obj.docstring.value = re.sub(r"^Example:$", "Examples:", obj.docstring.value, flags=re.MULTILINE)
