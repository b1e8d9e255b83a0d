"""``persona replay --check-live``: every decision of the ledger made again, and told where one does not come out."""

from typing import Final

import polars as pl
from rich.console import Console
from rich.progress import track

from persona_platform.cli.options import frame_table, out, print_json
from persona_platform.settings import Project

SHOWN: Final = 5
"""Decisions that did not come out the same and are told one by one; ``--json`` has them all."""

NONE_YET: Final = "There is no decision yet: `persona provision` makes the first, `persona up` goes on making them."


def check_live(project: Project, console: Console, as_json: bool) -> int:
    """Makes the ledger's decisions again from what it kept, and says what came of it.

    Progress goes to ``console``, the result to standard output. Returns the exit code: 1 if a decision comes out
    another way or what it was made from was changed, else 0; one whose files are gone is told, and is no fault.
    """
    rows = remade(project, console)
    counts = {outcome: rows.filter(pl.col("outcome") == outcome).height for outcome in ("same", "differs", "cannot")}
    if as_json:
        print_json({"counts": counts, "decisions": rows.to_dicts()})
    elif rows.is_empty():
        out.print(NONE_YET, soft_wrap=True)
    else:
        _tell(rows, counts)
    return 1 if counts["differs"] else 0


def remade(project: Project, console: Console) -> pl.DataFrame:
    """REMADE of the whole ledger, with a bar while it is made."""
    from persona_platform.automation.remade import REMADE, decisions_in, remake_all
    from resources.ledger import Ledger

    if not project.ledger.exists():  # looking must not make one
        return pl.DataFrame(schema=REMADE)
    ledger = Ledger(project.ledger)
    entries = ledger.entries()
    ledger.close()
    again = track(
        remake_all(project, entries),
        "Making the decisions again",
        total=decisions_in(entries).height,
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    return pl.DataFrame(list(again), schema=REMADE)


def _tell(rows: pl.DataFrame, counts: dict[str, int]) -> None:
    """A table of counts, the first that did not come out the same, and a last sentence that sums it up."""
    summed = rows.group_by("outcome", maintain_order=True).agg(
        decisions=pl.len(), actions=pl.col("actions").sum(), first=pl.col("now").min(), last=pl.col("now").max()
    )
    out.print(frame_table("The ledger's decisions, made again", summed))
    # what differs is worse than what cannot be looked at
    others = rows.filter(pl.col("outcome") != "same").sort("outcome", descending=True, maintain_order=True)
    if others.height:
        title = "Not the same" if others.height <= SHOWN else f"The first {SHOWN} of {others.height} not the same"
        told = others.head(SHOWN).select(pl.col("decision_id").alias("decision"), "now", "outcome", "detail")
        out.print(frame_table(title, told))
    out.print(_verdict(rows.height, counts), soft_wrap=True)


def _verdict(decisions: int, counts: dict[str, int]) -> str:
    if counts["same"] == decisions:
        one = "The decision comes" if decisions == 1 else f"All {decisions} decisions come"
        return f"{one} out the same, bit for bit."
    said = [f"{counts['same']} of {decisions} decisions come out the same, bit for bit"]
    if counts["differs"]:
        said.append(
            f"{counts['differs']} differ: what they were made from was changed, or the program decides otherwise"
        )
    if counts["cannot"]:
        said.append(f"{counts['cannot']} cannot be made again: what they were made from is gone")
    return "; ".join(said) + "."
