"""A report as one HTML file: tables and pictures inside it, nothing to fetch."""

import base64
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, NamedTuple

from evaluation.estimate import Estimate


class Column(NamedTuple):
    """A column of a table.

    Attributes:
        key: of the figure.
        heading: above it, with the unit where there is one.
        digits: after the point; of a share of 1 it is a percentage where `percent`.
        percent: show 0.5 as 50.0%.

    Example:
        >>> Column("fd", "Frechet distance").digits
        2
    """

    key: str
    heading: str
    digits: int = 2
    percent: bool = False


class Table(NamedTuple):
    """A table of estimates, one row a model.

    Attributes:
        columns: those without any figure are left out of the page.
        rows: name, whether it is a reference rather than a model, and figures by key.
        caption: above it; none where the section's heading says what it is.

    Example:
        >>> Table([Column("mse", "MSE")], [("vae", False, {"mse": Estimate(0.01, 0.001, 10)})]).rows[0][0]
        'vae'
    """

    columns: Sequence[Column]
    rows: Sequence[tuple[str, bool, Mapping[str, Any]]]
    caption: str = ""


class Picture(NamedTuple):
    """A picture with what it shows.

    Attributes:
        png: its bytes.
        caption: below it; also what is read to those who do not see it.

    Example:
        >>> Picture(b"", "samples").caption
        'samples'
    """

    png: bytes
    caption: str


class Section(NamedTuple):
    """A part of the page.

    Attributes:
        title: heading.
        words: paragraphs.
        tables: below them.
        pictures: below the tables.

    Example:
        >>> Section("Samples", ["What they are."]).tables
        ()
    """

    title: str
    words: Sequence[str] = ()
    tables: Sequence[Table] = ()
    pictures: Sequence[Picture] = ()


def render_page(title: str, sections: Sequence[Section]) -> str:
    """The page, light or dark as the reader's system is; wide tables scroll within themselves.

    Example:
        >>> "<h2>Samples</h2>" in render_page("A report", [Section("Samples")])
        True
    """
    parts = "\n".join(_section(section) for section in sections)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n"
        f"<h1>{escape(title)}</h1>\n{parts}\n</main>\n</body>\n</html>\n"
    )


def figure_text(value: Any, column: Column) -> str:
    """An estimate as text, with its standard error where it has one.

    Example:
        >>> figure_text(Estimate(0.5, 0.01, 100), Column("precision", "Precision", 1, percent=True))
        '50.0% ± 1.0'
    """
    if value is None:
        return ""
    if not isinstance(value, Estimate):
        return str(value)
    scale = 100 if column.percent else 1
    unit = "%" if column.percent else ""
    shown = f"{scale * value.value:.{column.digits}f}{unit}"
    return shown if value.error is None else f"{shown} ± {scale * value.error:.{column.digits}f}"


def _section(section: Section) -> str:
    words = "\n".join(f"<p>{escape(paragraph)}</p>" for paragraph in section.words)
    tables = "\n".join(_table(table) for table in section.tables)
    pictures = "\n".join(_picture(picture) for picture in section.pictures)
    return f"<section>\n<h2>{escape(section.title)}</h2>\n{words}\n{tables}\n{pictures}\n</section>"


def _table(table: Table) -> str:
    columns = [column for column in table.columns if any(row[2].get(column.key) is not None for row in table.rows)]
    heads = "".join(f'<th scope="col">{escape(column.heading)}</th>' for column in columns)
    lines = []
    for name, is_reference, figures in table.rows:
        cells = "".join(f"<td>{escape(figure_text(figures.get(column.key), column))}</td>" for column in columns)
        kind = ' class="reference"' if is_reference else ""
        lines.append(f'<tr{kind}><th scope="row">{escape(name)}</th>{cells}</tr>')
    body = "\n".join(lines)
    caption = f"<caption>{escape(table.caption)}</caption>\n" if table.caption else ""
    return (
        f'<div class="table" tabindex="0"><table>\n{caption}<thead><tr><th scope="col"></th>{heads}</tr></thead>\n'
        f"<tbody>\n{body}\n</tbody>\n</table></div>"
    )


def _picture(picture: Picture) -> str:
    content, caption = base64.b64encode(picture.png).decode(), escape(picture.caption)
    image = f'<img src="data:image/png;base64,{content}" alt="{caption}">'
    return f"<figure>{image}<figcaption>{caption}</figcaption></figure>"


_STYLE = """
:root { color-scheme: light dark; --ink: #1b1b1b; --paper: #fff; --line: #ddd; --faint: #666; --shade: #f5f5f3; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e6e6; --paper: #161616; --line: #3a3a3a; --faint: #a0a0a0; --shade: #202020; }
}
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 1100px; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.6rem; margin: 1rem 0; overflow-wrap: anywhere; } h2 { font-size: 1.2rem; margin: 2.5rem 0 .5rem; }
p { max-width: 46rem; overflow-wrap: anywhere; }
.table { overflow-x: auto; margin: 1rem 0; }
table { border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .7rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
thead th { vertical-align: bottom; white-space: normal; min-width: 4.5rem; }
tbody th { text-align: left; font-weight: 600; position: sticky; left: 0; background: var(--paper); }
tr.reference th, tr.reference td { color: var(--faint); font-weight: 400; }
figure { margin: 1.2rem 0; overflow-x: auto; }
img { max-width: 100%; height: auto; background: #fff; border-radius: 4px; }
figcaption { color: var(--faint); font-size: .85rem; }
caption { color: var(--faint); font-size: .85rem; text-align: left; }
@media (max-width: 600px) {
  img { max-width: none; }
  tbody th { max-width: 7rem; white-space: normal; overflow-wrap: break-word; }
}
"""
