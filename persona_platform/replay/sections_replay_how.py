"""How it was replayed, and what a replay cannot say. Short, and true for every policy alike."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from persona_platform.replay.numbers import count, lasting, moment, number
from persona_platform.replay.page import Column, paragraph, table, text
from persona_platform.replay.scores import Comparison
from persona_platform.replay.sections_replay_words import ABOUT, BOUND, in_order, title, unit


def how(comparison: Comparison, summary: Mapping[str, Any], source: str, targets: int) -> str:
    """The terms as a table, the policies in a line each, and the limits."""
    columns = [Column("What", whole=True), Column("Here")]
    rows = [[text(name), text(said)] for name, said in _terms(comparison, summary, source, targets).items() if said]
    policies = in_order(comparison.scores["policy"].unique())
    listed = [[f"<b>{text(title(name))}</b>", text(ABOUT.get(name, ""))] for name in policies]
    return (
        table(columns, rows)
        + "<h3>The policies</h3>"
        + table([Column("Policy"), Column("What it does")], listed)
        + "<h3>What a replay cannot say</h3>"
        + "".join(paragraph(said) for said in _limits(comparison))
    )


def _terms(comparison: Comparison, summary: Mapping[str, Any], source: str, targets: int) -> Mapping[str, str]:
    terms = comparison.terms
    step = comparison.step
    span = lasting((comparison.scored_until - comparison.scored_from).total_seconds())
    return {
        "Replayed": source,
        "Targets": f"{targets:,}",
        "Scored": f"{moment(comparison.scored_from)} to {moment(comparison.scored_until)}, "
        f"{comparison.scored_until:%Y}: {span}; what came before was for training",
        "Step": lasting(step.total_seconds()),
        "Lead time": _lead(comparison),
        "Billing": "" if terms is None else _billing(terms.billing_quantum, terms.start_price),
        "Sizes": "" if terms is None else _sizes(terms.minimum, terms.maximum, terms.scale_in_after),
        "Unserved work": ""
        if terms is None
        else "waits and returns, though decisions see the demand as it was recorded"
        if terms.backlog
        else "is lost",
        "Costs": "in your money, by the prices given"
        if unit(comparison) != "unit-hours"
        else "in unit-hours, no price being given",
        "Ours": "the forecast, plan and decisions that run live, with your limits, approvals given at once and no "
        f"budget; {_refitted(summary)}, on what was known by then",
    }


def _refitted(summary: Mapping[str, Any]) -> str:
    if "refit_every_s" not in summary:
        return "refitted as it goes"
    every = summary["refit_every_s"]
    return f"refitted every {lasting(every).removeprefix('1 ')}" if every else "fitted once, before the scored part"


def _lead(comparison: Comparison) -> str:
    terms, step, lead = comparison.terms, comparison.step, comparison.lead_time
    rounded = -(-lead // step) * step
    whole = (
        f", counted as {lasting(rounded.total_seconds())}: whole steps are all that a replay can see"
        if rounded != lead
        else ""
    )
    if terms is not None and terms.lead_times:
        shortest, longest = min(terms.lead_times), max(terms.lead_times)
        return (
            f"drawn for each request from {count(len(terms.lead_times), 'recorded one')}, "
            f"{lasting(shortest.total_seconds())} to {lasting(longest.total_seconds())}; "
            f"planned with {lasting(lead.total_seconds())}, which 9 in 10 stay within{whole}"
        )
    return f"{lasting(lead.total_seconds())} from a request to usable capacity{whole}"


def _billing(quantum: timedelta, start_price: float) -> str:
    whole = f", in whole periods of {lasting(quantum.total_seconds())}" if quantum else ""
    start = f"; each start costs {number(start_price)} unit-hours more" if start_price else ""
    return f"from the request on, booting included{whole}{start}"


def _sizes(minimum: int, maximum: int | None, scale_in_after: timedelta) -> str:
    bounds = f"at least {count(minimum, 'unit')}" if minimum else ""
    if maximum is not None:
        bounds += f"{', ' if bounds else ''}at most {count(maximum, 'unit')}"
    held = (
        f"falling only to the largest asked for within {lasting(scale_in_after.total_seconds())}"
        if scale_in_after
        else ""
    )
    return "whole units" + "".join(f", {words}" for words in (bounds, held) if words)


def _limits(comparison: Comparison) -> list[str]:
    ahead = f"Only “{title(BOUND)}” looks further, on purpose. " if BOUND in set(comparison.scores["policy"]) else ""
    said = [
        (
            "No policy sees ahead: a size asked for at a step rests on readings before it, models on what was known "
            f"when they were fitted, weather on what had been forecast. {ahead}A step whose demand was not read counts "
            "for nobody."
        ),
        (
            "Settings are chosen in hindsight, for every policy alike: each is shown at the setting that turned out "
            "best. Live you choose beforehand. That flatters all of them, most those with the most settings to choose "
            "from."
        ),
        (
            "Demand is taken as recorded. Whether users would have come back, waited or left with another capacity is "
            "not in the recording. Where capacity was short when it was recorded, the true demand was higher than what "
            "is replayed."
        ),
    ]
    if comparison.terms is not None and comparison.terms.backlog:
        said.append(
            "Unserved work returns here, but what people would have sent after waiting is unknown, and every policy "
            "still decides on the recorded demand."
        )
    return said
