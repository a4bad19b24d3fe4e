"""The help of a command, without lists that nobody reads."""

import re

_MOST = 40  # names
_LIST = re.compile(r"known\s+subclasses:\s+([^)]*)\)")


def shortened(text: str) -> str:
    """Help in which the subclasses of a type are counted where they are many: of torch's Module there are hundreds.

    Example:
        >>> shortened("(type: Module, known subclasses: " + ", ".join(f"nn.Layer{n}" for n in range(500)) + ")")
        '(type: Module, with 500 known subclasses)'
        >>> shortened("(type: Encoder, known subclasses: MLPEncoder)")
        '(type: Encoder, known subclasses: MLPEncoder)'
    """

    def counted(found: re.Match[str]) -> str:
        number = found[1].count(",") + 1
        return found[0] if number <= _MOST else f"with {number} known subclasses)"

    return _LIST.sub(counted, text)
