"""What is said of personas in words, on pages and in the terminal: rhythm, leads, relations, lineage."""

from collections.abc import Mapping
from datetime import datetime
from statistics import median
from typing import Any, Final

import polars as pl

from persona_platform.personas.record import Complement, Lead, Persona, Relation
from persona_platform.replay.charts_personas_panels import size_words
from persona_platform.replay.numbers import DASH, amount, count, lasting, likelihood, percent

RHYTHMS: Final = ((3600.0, "hourly"), (86_400.0, "daily"), (604_800.0, "weekly"))
MONTH: Final = 27 * 86_400.0
"""Seconds of the shortest rhythm that is called monthly."""


def rhythm(persona: Persona) -> str:
    """How often it comes back: daily, weekly, every 4 h; a dash where no rhythm was found."""
    period = persona.recurrence.period_s
    if not period:
        return DASH
    named = next((word for seconds, word in RHYTHMS if abs(period - seconds) < 0.05 * seconds), "")
    return named or ("monthly" if period >= MONTH else f"every {lasting(period)}")


def likeliest(persona: Persona) -> tuple[str, str]:
    """The likeliest size, and how likely it is; the mean without a table of sizes."""
    sizes = persona.requirement.sizes
    if sizes:
        return size_words(sizes[0]), likelihood(sizes[0].probability)
    means = ", ".join(amount(need, value) for need, value in persona.requirement.mean.items())
    return (means, "on average") if means else (DASH, "")


def lead_words(lead: Lead, slot_s: int) -> str:
    """Which way a signal is out of step with the main need."""
    name, close = lead.activity.replace("_", " ").capitalize(), f"correlation {lead.correlation:.2f}"
    if lead.slots == 0:
        return f"{name} moves with the need, {close}."
    way = "moves before the need by" if lead.slots > 0 else "follows the need by"
    return f"{name} {way} {lasting(abs(lead.slots) * slot_s)}, {close}."


def relation_words(relation: Relation, main_need: str) -> str:
    """How much of a need comes with one of the main need."""
    close = f"correlation {relation.correlation:.2f}"
    return f"{amount(relation.need, relation.per_main)} for each {one_of(main_need)}, {close}."


def complement_words(complement: Complement, names: Mapping[str, str]) -> str:
    """What sharing capacity with a persona saves, whose peaks are at other times."""
    who = f"{complement.persona_id} {names.get(complement.persona_id, '')}".rstrip()
    return f"Its peaks do not meet those of {who}: sharing capacity saves {percent(complement.saving)} of the two."


def one_of(need: str) -> str:
    """One of a need, as in "4 GiB for each core"."""
    return amount(need, 2.0**30 if need in ("mem_bytes", "disk_bytes") else 1.0).removeprefix("1 ")


def what_happened(row: Mapping[str, Any]) -> str:
    """One row of LINEAGE as a sentence."""
    who, other, share = row["persona_id"], row["other_id"], percent(row["share"])
    return {
        "kept": f"{who} was kept: {share} of its time is still its.",
        "new": f"{who} is new: {share} of its time was no persona's.",
        "split": f"{who} came out of {other}, with {share} of its time.",
        "merged": f"{other} went into {who}, with {share} of its time.",
        "gone": f"{who} is gone: {share} of its time is no persona's now.",
    }[row["event"]]


def own_lineage(lineage: pl.DataFrame, persona_id: str) -> pl.DataFrame:
    """The rows of LINEAGE that a persona is in, on either side."""
    return lineage.filter((pl.col("persona_id") == persona_id) | (pl.col("other_id") == persona_id).fill_null(False))


def since_words(persona: Persona, lineage: pl.DataFrame) -> str:
    """Since when there is a persona, how often it was found again, and how far it moved."""
    kept = lineage.filter(event="kept", persona_id=persona.persona_id)["drift"].to_list()
    said = f"In the catalog since version {persona.born}, its own version {persona.version}. " if persona.born else ""
    if not kept:
        return said.rstrip()
    moved = f"drift {max(kept):.2f} at most, {median(kept):.2f} in the median"
    return f"{said}Found again in {count(len(kept), 'refit')}; {moved}."


def day(at: datetime | None) -> str:
    """A date."""
    return DASH if at is None else f"{at:%Y-%m-%d}"
