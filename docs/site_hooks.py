"""What the site adds to MkDocs: tutorials as pages, and equations as MathML, which no page fetches a script for."""

import html
import re
from pathlib import Path
from typing import Any

_EQUATION = re.compile(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', re.DOTALL)
_NUMBER = re.compile(r"\\tag\{([^}]*)\}")
_FUNCTION = r"(<m[io]>(?:log|exp|max|min|sigmoid)</m[io]>)(?=<m(?:i|n|sub|sup|row))"
# what browsers make of MathML: they know no letters of other styles by attribute, and set no space after a function
_REPAIRS = (
    (re.compile(r'mathvariant="(?:double-struck|script)"'), 'mathvariant="normal"'),
    (re.compile(_FUNCTION), r'\1<mspace width="0.167em" />'),
    (re.compile(r"<mi>&#x0007E;</mi>"), "<mo>&#x0223C;</mo>"),
)


def on_files(files: Any, config: Any) -> Any:
    """Add a page for each tutorial, which is a script with cells."""
    from mkdocs.structure.files import File  # here: tests read scripts without the group docs

    for file in [*files]:
        if file.src_uri.startswith("tutorials/") and file.src_uri.endswith(".py"):
            text = page_of_script(Path(file.abs_src_path).read_text(encoding="utf-8"), Path(file.src_uri).name)
            files.append(File.generated(config, file.src_uri.removesuffix(".py") + ".md", content=text))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Links to a tutorial's script lead to its page."""
    return re.sub(r"\]\(((?:\.\./)?tutorials/\w+)\.py\)", r"](\1.md)", markdown)


def on_page_content(content: str, **_: Any) -> str:
    """Equations of a page, which pymdownx.arithmatex has marked, as MathML."""
    return _EQUATION.sub(_as_mathml, content)


def cells(script: str) -> list[tuple[str, str]]:
    """Kind, "markdown" or "python", and text of each cell: `# %% [markdown]` begins comments, `# %%` code.

    What stands before the first cell is of none.
    """
    found: list[tuple[str, str]] = []
    for cell in re.split(r"^# %%", script, flags=re.MULTILINE)[1:]:
        kind, _, body = cell.partition("\n")
        if "[markdown]" in kind:
            lines = [line.removeprefix("#").removeprefix(" ") for line in body.strip().splitlines()]
            found.append(("markdown", "\n".join(lines)))
        elif body.strip():
            found.append(("python", body.strip()))
    return found


def page_of_script(script: str, name: str) -> str:
    """Markdown of a script, whose first cell begins with the title; `name` is the script's, to link to it."""
    parts = [text if kind == "markdown" else f"```python\n{text}\n```" for kind, text in cells(script)]
    title, _, rest = parts[0].partition("\n")
    link = f"This page is a script, [{name}]({name}): run it, or open it as cells in an editor."
    return "\n\n".join(part for part in (title, link, rest.strip(), *parts[1:]) if part) + "\n"


def _as_mathml(found: re.Match[str]) -> str:
    from latex2mathml.converter import convert

    tag, latex = found.group(1), html.unescape(found.group(2)).strip()
    number = _NUMBER.search(latex)
    equation = convert(_NUMBER.sub("", latex), display="block" if tag == "div" else "inline")
    for wrong, right in _REPAIRS:
        equation = wrong.sub(right, equation)
    if tag == "span":
        return equation
    label = f'<span class="equation-number">({number.group(1)})</span>' if number else ""
    return f'<div class="equation">{equation}{label}</div>'
