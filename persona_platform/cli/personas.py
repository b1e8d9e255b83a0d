"""``persona personas``: the catalog as a table, one persona in full, who played what when, and the catalog's page."""

from datetime import datetime
from pathlib import Path

import click
import msgspec
import polars as pl
from rich.box import HORIZONTALS
from rich.console import Group
from rich.table import Table
from rich.text import Text

from persona_platform.cli.options import json_option, out, print_json
from persona_platform.cli.persona_view import duration_text, persona_view, size_text
from persona_platform.cli.reading import Snapshot
from persona_platform.errors import InputError
from persona_platform.personas.catalog import Catalog
from persona_platform.personas.record import Persona
from persona_platform.replay.numbers import DASH
from persona_platform.replay.persona_words import rhythm

MOST_SIZES = 3


@click.command()
@click.argument("persona_id", required=False)
@click.option(
    "--membership",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="OUT",
    help="Write who played which persona, for every slot read, as Parquet (or CSV, by its name).",
)
@click.option(
    "--page",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="OUT",
    help="Write the whole catalog with its charts as one HTML page.",
)
@click.option("--force", is_flag=True, help="Write over a file that is there.")
@json_option
def personas(persona_id: str | None, membership: Path | None, page: Path | None, force: bool, as_json: bool) -> None:
    """The learned personas, or one of them: needs as probabilities, duration, recurrence, members."""
    snapshot = Snapshot.open()
    if membership is not None or page is not None:
        if persona_id is not None:
            raise InputError("--membership and --page are of all personas: leave out the id.")
        _write(snapshot, membership, page, force=force, as_json=as_json)
        return
    records = _chosen(snapshot.catalog, persona_id)
    if as_json:
        print_json({"personas": [msgspec.to_builtins(p) for p in records]})
    elif persona_id is not None:
        names = {p.persona_id: p.name for p in snapshot.catalog.personas}
        out.print(persona_view(records[0], names, snapshot.catalog.lineage))
    else:
        out.print(personas_table(records))
        if snapshot.project.catalog_page.is_file():
            out.print(f"With charts: {snapshot.project.catalog_page}", soft_wrap=True)


def _chosen(catalog: Catalog, persona_id: str | None) -> list[Persona]:
    """All personas, or the one that was asked for."""
    if persona_id is None:
        return list(catalog.personas)
    found = [p for p in catalog.personas if p.persona_id == persona_id]
    if not found:
        known = ", ".join(p.persona_id for p in catalog.personas)
        raise InputError(f"There is no persona {persona_id}: known are {known}.")
    return found


def personas_table(records: list[Persona]) -> Table:
    """One row a persona, as a person reads it; 80 columns are enough."""
    shown = Table(title="Personas", title_justify="left", header_style="bold", box=HORIZONTALS, padding=0,
                  pad_edge=False, show_lines=True)  # fmt: skip
    shown.add_column("id", no_wrap=True)
    shown.add_column("persona, and what it needs", min_width=24)
    shown.add_column("lasts", justify="right", no_wrap=True)
    for name in ("rhythm", "priority"):
        shown.add_column(name)
    for name in ("members", "stable", "drift"):
        shown.add_column(name, justify="right", no_wrap=True)
    for p in records:
        active = p.kind == "active"
        shown.add_row(
            p.persona_id,
            Group(Text(p.name, style="bold"), _needs(p)),
            duration_text(p.duration.median_s) if active else "-",
            rhythm(p).replace(DASH, "-") if active else "-",
            p.priority,
            f"{len(p.members):,}",
            f"{p.stability:.2f}",
            f"{p.drift:.2f}" if p.version > 1 else "new",
        )
    return shown


def _needs(persona: Persona) -> Table:
    """The likeliest sizes with their probabilities; the mean where there are none."""
    shown = Table.grid(padding=(0, 1, 0, 0))
    sizes = persona.requirement.sizes
    for size in sizes[:MOST_SIZES]:
        shown.add_row(f"{size.probability:.2f}", size_text(size.amounts))
    left = sizes[MOST_SIZES:]
    if left:
        shown.add_row(f"{sum(s.probability for s in left):.2f}", f"{len(left)} more")
    if not sizes and persona.requirement.mean:
        shown.add_row("mean", size_text(persona.requirement.mean))
    return shown


def _write(snapshot: Snapshot, membership: Path | None, page: Path | None, *, force: bool, as_json: bool) -> None:
    """Writes what was asked for and says what it wrote; nothing is written when one of the files may not be."""
    for path in (membership, page):
        if path is not None:
            _may_write(path, force=force)
    said: dict[str, object] = {}
    if membership is not None:
        rows, since, until = write_membership(snapshot, membership)
        said["membership"] = {"path": str(membership), "rows": rows, "from": since, "until": until}
        if not as_json:
            span = f", {since:%Y-%m-%d %H:%M} to {until:%Y-%m-%d %H:%M} UTC" if since and until else ""
            out.print(f"Wrote {membership}: {rows:,} rows{span}.", soft_wrap=True)
    if page is not None:
        from persona_platform.replay.persona_page import CatalogPage, write_catalog_page

        try:
            write_catalog_page(page, CatalogPage.of(snapshot.catalog))
        except OSError as fault:
            raise InputError(f"{page} cannot be written: {fault.strerror or fault}.") from fault
        said["page"] = str(page)
        if not as_json:
            out.print(f"Wrote {page}: {len(snapshot.catalog.personas)} personas.", soft_wrap=True)
    if as_json:
        print_json(said)


def _may_write(path: Path, *, force: bool) -> None:
    """Raises :class:`InputError` when a file is there already or has no folder to be in."""
    if not path.parent.is_dir():
        raise InputError(f"There is no folder {path.parent} to write {path.name} into: make it first.")
    if path.exists() and not force:
        raise InputError(f"{path} is there already: choose another name, or write over it with --force.")


def write_membership(snapshot: Snapshot, path: Path) -> tuple[int, datetime | None, datetime | None]:
    """MEMBERSHIP of every slot read, streamed to a file that appears when it is whole.

    Returns the number of rows, and the starts of the first and the last slot (None without rows).
    """
    folder = snapshot.frames.folder("personas/membership")
    if folder is None:
        raise InputError("personas/membership has not been made yet: run `persona replan`.")
    source = pl.scan_parquet(folder / "data.parquet", glob=False)
    rows = source.select(
        "workload_id", pl.col("slot").alias("ts"), "persona_id", pl.col("probability").cast(pl.Float64)
    )
    draft = path.with_name(f".{path.name}.partial")
    try:
        if path.suffix.lower() == ".csv":
            rows.sink_csv(draft, datetime_format="%Y-%m-%dT%H:%M:%SZ")
        else:
            rows.sink_parquet(draft)
        draft.replace(path)
    except OSError as fault:
        raise InputError(f"{path} cannot be written: {fault.strerror or fault}.") from fault
    finally:
        draft.unlink(missing_ok=True)
    span = source.select(pl.len().alias("rows"), first=pl.col("slot").min(), last=pl.col("slot").max()).collect()
    return span.row(0)


__all__ = ["personas", "personas_table", "write_membership"]
