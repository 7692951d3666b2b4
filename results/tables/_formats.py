"""Sheets and long tables as text: Markdown, LaTeX (booktabs), HTML, CSV and JSON."""

from __future__ import annotations

import html as escape
import json as encode
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from results.tables import Sheet

TEX_ROWS = 35  # of a table in LaTeX, because it does not break across pages
_TEX = {
    **{c: rf"\{c}" for c in "%_&#${}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "×": r"$\times$",
    "≤": r"$\leq$",
    "·": r"$\cdot$",
    "σ": r"$\sigma$",
    "–": "--",
    "—": "---",
    "…": r"\ldots{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
}


def markdown(sheets: list[Sheet]) -> str:
    return "\n\n".join(_markdown(sheet) for sheet in sheets) + "\n"


def tex(sheets: list[Sheet]) -> str:
    return "% needs \\usepackage{booktabs}\n" + "\n".join(_latex(part) for sheet in sheets for part in _split_sheet(sheet))


def html(sheets: list[Sheet]) -> str:
    return "\n".join(_html(sheet) for sheet in sheets)


def csv(long: pd.DataFrame) -> str:
    return long.to_csv(index=False, lineterminator="\n")


def json(long: pd.DataFrame) -> str:
    """A list of rows; an absent number is null."""
    rows = long.astype(object).where(long.notna(), None).to_dict("records")
    return encode.dumps(rows, indent=1, ensure_ascii=False, allow_nan=False, default=lambda value: value.item()) + "\n"


def _markdown(sheet: Sheet) -> str:
    head, *rows = [[_escape_markdown(cell) for cell in sheet.head], *_rows(sheet, _escape_markdown, "**{}**")]
    widths = [max(3, *(len(row[i]) for row in [head, *rows])) for i in range(len(head))]
    rule = ["-" * (width - 1) + ":" if i and _is_numeric(rows, i) else "-" * width for i, width in enumerate(widths)]
    aligned = [[cell.ljust(width) for cell, width in zip(row, widths, strict=True)] for row in [head, rule, *rows]]
    grid = "\n".join("| " + " | ".join(row) + " |" for row in aligned)
    return f"**{sheet.title}**\n\n{grid}\n\n" + "\n".join(f"- {note}" for note in sheet.notes)


def _escape_markdown(text: str) -> str:
    """Text that Markdown shows as it is: only what would begin mark-up is escaped, so that plain tables stay plain."""
    text = re.sub(r"([`$|]|\\(?=[!-/:-@\[-`{-~])|<(?=[A-Za-z/!?]))", r"\\\1", " ".join(text.splitlines()))
    return re.sub(r"(?<!\w)[*_](?=\w)|(?<=\w)[*_](?!\w)|\[(?=[^\]]*\]\()", lambda match: "\\" + match[0], text)


def _is_numeric(rows: list[list[str]], column: int) -> bool:
    texts = [row[column].removeprefix("**") for row in rows]
    return all(text[:1].isdigit() or text.startswith(("-", "undefined")) for text in texts)


def _split_sheet(sheet: Sheet) -> Iterator[Sheet]:
    """Sheets of at most TEX_ROWS rows, `TITLE (2 of 8)`; the notes stand under the first."""
    starts = range(0, max(len(sheet.rows), 1), TEX_ROWS)
    for number, start in enumerate(starts, 1):
        best = frozenset((i - start, j) for i, j in sheet.best if start <= i < start + TEX_ROWS)
        title = f"{sheet.title} ({number} of {len(starts)})" if len(starts) > 1 else sheet.title
        rows, notes = sheet.rows[start : start + TEX_ROWS], sheet.notes if number == 1 else []
        yield replace(sheet, title=title, rows=rows, notes=notes, best=best)


def _latex(sheet: Sheet) -> str:
    head, body = [_escape_latex(cell) for cell in sheet.head], _rows(sheet, _escape_latex, r"\textbf{{{}}}")
    lines = [" & ".join(row) + r" \\" for row in [head, *body]]
    caption = " ".join([_escape_latex(sheet.title) + ".", *(_escape_latex(note) for note in sheet.notes)])
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{caption}}}",
            rf"\begin{{tabular}}{{l{'r' * (len(sheet.head) - 1)}}}",
            r"\toprule",
            lines[0],
            r"\midrule",
            *lines[1:],
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def _escape_latex(text: str) -> str:
    return "".join(_TEX.get(character, character) for character in text)


def _html(sheet: Sheet) -> str:
    notes = "".join(f"<li>{escape.escape(note)}</li>" for note in sheet.notes)
    head = _tag([escape.escape(cell) for cell in sheet.head], "th")
    body = "\n".join(_tag(row, "td") for row in _rows(sheet, escape.escape, "<strong>{}</strong>"))
    return (
        f"<table>\n<caption>{escape.escape(sheet.title)}</caption>\n<thead>{head}</thead>\n"
        f"<tbody>\n{body}\n</tbody>\n</table>\n<ul>{notes}</ul>\n"
    )


def _tag(cells: list[str], tag: str) -> str:
    return "<tr>" + "".join(f"<{tag}>{cell}</{tag}>" for cell in cells) + "</tr>"


def _rows(sheet: Sheet, escape_cell: Callable[[str], str], bold: str) -> list[list[str]]:
    """The escaped cells of the body, the best ones inside `bold`."""
    return [
        [bold.format(escape_cell(cell)) if (i, j) in sheet.best else escape_cell(cell) for j, cell in enumerate(row)]
        for i, row in enumerate(sheet.rows)
    ]


OF_LONG: dict[str, Callable[[pd.DataFrame], str]] = {"csv": csv, "json": json}
OF_SHEETS: dict[str, Callable[[list[Sheet]], str]] = {"md": markdown, "tex": tex, "html": html}
