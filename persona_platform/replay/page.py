"""The report's page: escaping, tables, figures and the shell around the sections. No content of its own."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

STYLE = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { margin: 0; background: #fff; color: #22303c; line-height: 1.55; font-size: 16px;
  font-family: -apple-system, 'Segoe UI', Roboto, Arial, 'Liberation Sans', sans-serif; }
main { max-width: 908px; margin: 0 auto; padding: 40px 24px 80px; overflow-wrap: break-word; }
h1 { font-size: 30px; line-height: 1.2; margin: 0 0 6px; letter-spacing: -0.01em; }
h2 { font-size: 22px; line-height: 1.3; margin: 56px 0 8px; padding-top: 20px;
  border-top: 1px solid #dfe4e8; }
h3 { font-size: 17px; margin: 32px 0 4px; }
h4 { font-size: 16px; margin: 20px 0 4px; }
td a { color: #1f5fa8; }
.one { margin-top: 40px; padding-top: 4px; border-top: 1px solid #dfe4e8; } .one:first-of-type { border-top: 0; }
.one h3 { font-size: 20px; margin-top: 20px; } .one .facts { margin-top: 14px; }
.one figure { margin: 12px 0 20px; } .one .facts b { font-size: 20px; }
p { margin: 8px 0; max-width: 46em; }
.lead { color: #55606b; }
nav ol { margin: 24px 0 0; padding: 14px 20px 14px 42px; background: #f5f7f9; border-radius: 8px; }
nav a { color: #1f5fa8; text-decoration: none; } nav a:hover { text-decoration: underline; }
.facts { display: flex; flex-wrap: wrap; gap: 12px; margin: 24px 0 0; padding: 0; list-style: none; }
.facts li { flex: 1 1 150px; border: 1px solid #dfe4e8; border-radius: 8px; padding: 12px 16px; }
.facts b { display: block; font-size: 26px; line-height: 1.25; font-variant-numeric: tabular-nums; }
.facts span { color: #55606b; font-size: 14px; line-height: 1.35; display: block; }
figure { margin: 20px 0 28px; }
figcaption { color: #44505b; font-size: 15px; margin-bottom: 10px; max-width: 50em; }
figure svg { display: block; max-width: 100%; height: auto; }
.wide { overflow-x: auto; margin: 16px 0 8px; }
table { border-collapse: collapse; width: 100%; font-size: 14.5px; line-height: 1.4; }
th { text-align: left; font-weight: 600; color: #44505b; border-bottom: 2px solid #cdd4da;
  padding: 6px 14px 6px 0; vertical-align: bottom; }
td { border-bottom: 1px solid #e8ebee; padding: 8px 14px 8px 0; vertical-align: top; }
th.n, td.n { text-align: right; font-variant-numeric: tabular-nums; }
td.n, td.w { white-space: nowrap; }
td:first-child { min-width: 8em; overflow-wrap: anywhere; }
th:last-child, td:last-child { padding-right: 0; }
td small { color: #66717c; font-size: 13px; }
tr.below td { padding-top: 0; } tr:has(+ tr.below) td { border-bottom: 0; padding-bottom: 2px; }
tr.below div { position: sticky; left: 0; max-width: min(52em, calc(100vw - 48px)); color: #55606b; font-size: 14px; }
.bad { color: #b3261e; } .good { color: #1d6b41; }
.answer { font-size: 24px; line-height: 1.3; font-weight: 600; margin: 24px 0 8px; max-width: none; }
.key { display: flex; flex-wrap: wrap; gap: 4px 20px; margin: 0 0 8px; padding: 0; list-style: none;
  color: #44505b; font-size: 14px; }
.key svg { display: inline-block; vertical-align: middle; margin-right: 7px; }
.beside { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(340px, 100%), 1fr)); gap: 24px 20px; }
.three { grid-template-columns: repeat(auto-fit, minmax(min(250px, 100%), 1fr)); }
div.note { font-size: 15px; } div.note p { margin: 2px 0; max-width: none; }
.small { color: #55606b; font-size: 14px; margin: 4px 0 8px; padding: 0; list-style: none; }
.facts + .note { margin-top: 16px; }
.on-narrow { display: none; }
@media (max-width: 620px) { .on-narrow { display: block; } .on-wide { display: none; }
  main { padding: 24px 16px 56px; } h1 { font-size: 26px; } .broad table { min-width: 38em; }
  .broader table { min-width: 58em; } }
.none { color: #66717c; font-style: italic; }
.note { background: #fff7e8; border-left: 3px solid #e0a12e; padding: 8px 14px; max-width: none; }
footer { margin-top: 56px; padding-top: 16px; border-top: 1px solid #dfe4e8;
  color: #66717c; font-size: 14px; }
@media print { h2 { break-after: avoid; } figure, tr { break-inside: avoid; } }
"""


@dataclass(frozen=True)
class Section:
    """A part of the page: what the table of contents calls it, and its HTML."""

    anchor: str
    title: str
    body: str


@dataclass(frozen=True)
class Column:
    """A table's column; numbers stand to the right, and like times are never broken."""

    title: str
    numeric: bool = False
    whole: bool = False

    @property
    def kind(self) -> str:
        """The class of its cells."""
        return "n" if self.numeric else "w" if self.whole else ""


def text(words: object) -> str:
    """Escaped for HTML: names come from the user's files."""
    return escape(str(words))


def paragraph(words: str, kind: str = "") -> str:
    """A paragraph of plain words."""
    return f"<p{_class(kind)}>{_whole(text(words))}</p>"


def figure(drawing: str, caption: str) -> str:
    """A chart under one sentence that says how to read it; nothing where there is no chart."""
    return f"<figure><figcaption>{_whole(text(caption))}</figcaption>{drawing}</figure>" if drawing else ""


def two_lines(first: object, second: object) -> str:
    """A cell with a smaller line below, as HTML."""
    return f"{text(first)}<br><small>{text(second)}</small>"


def table(
    columns: Sequence[Column],
    rows: Sequence[Sequence[str]],
    *,
    kinds: Sequence[str] = (),
    below: Sequence[str] = (),
) -> str:
    """A table of cells that are HTML already.

    Args:
        columns: left to right.
        rows: a cell for each column.
        kinds: a class for each row; none where not given.
        below: for each row what stands under it over the whole width, HTML; nothing where not given.
    """
    head = "".join(f"<th{_class(c.kind)}>{text(c.title)}</th>" for c in columns)
    rows = [[_whole(cell) for cell in row] for row in rows]
    lines = ["".join(f"<td{_class(c.kind)}>{cell}</td>" for c, cell in zip(columns, row, strict=True)) for row in rows]
    classes = kinds or [""] * len(rows)
    under = [f'<tr class="below"><td colspan="{len(columns)}"><div>{_whole(words)}</div></td></tr>' for words in below]
    body = "".join(
        f"<tr{_class(kind)}>{line}</tr>{more}"
        for kind, line, more in zip(classes, lines, under or [""] * len(rows), strict=True)
    )
    # More than three columns do not fit a telephone; they are scrolled instead of squeezed.
    wide = "wide broader" if len(columns) > 7 else "wide broad" if len(columns) > 3 else "wide"
    return f'<div class="{wide}"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def facts(pairs: Sequence[tuple[str, str]]) -> str:
    """The few numbers at the top of the page."""
    items = "".join(f"<li><b>{_whole(text(value))}</b><span>{_whole(text(what))}</span></li>" for value, what in pairs)
    return f'<ul class="facts">{items}</ul>' if pairs else ""


def page(title: str, lead: str, top: str, sections: Sequence[Section], foot: str) -> str:
    """The whole document, in one file, with nothing to load."""
    contents = "".join(f'<li><a href="#{s.anchor}">{text(s.title)}</a></li>' for s in sections)
    body = "".join(f'<section id="{s.anchor}"><h2>{text(s.title)}</h2>{s.body}</section>' for s in sections)
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{text(title)}</title><style>{STYLE}</style></head><body><main>"
        f"<h1>{text(title)}</h1>{paragraph(lead, 'lead')}{top}<nav><ol>{contents}</ol></nav>{body}"
        f"<footer>{text(foot)}</footer></main></body></html>\n"
    )


def _whole(words: str) -> str:
    """A number and its sign of percent stay on one line."""
    return words.replace(" %", "&#160;%")


def _class(name: str) -> str:
    return f' class="{name}"' if name else ""
