"""Which targets to turn on, with which setting, and where to leave it off: a table, and the reasons for a no."""

from collections.abc import Sequence
from typing import Final

from persona_platform.replay.numbers import DASH, count, lasting, number, percent
from persona_platform.replay.page import Column, paragraph, table, text
from persona_platform.replay.scores import Comparison
from persona_platform.replay.sections_replay_findings import (
    EVEN_COST,
    UNKNOWN,
    Finding,
    Totals,
    gap_closed,
)
from persona_platform.replay.sections_replay_words import BOUND, EVEN, OURS, PLAIN, TUNED, cost, level, signed, unit

MOST_ROWS: Final = 40
"""Targets in a table; of more, the first and the last ones are shown, and the rest is counted."""

MINUS = "\u2212"

ALL_ROWS = "every target and setting is in frontier.parquet"


def targets_table(found: Sequence[Finding], comparison: Comparison, wished: float) -> str:
    """A row a target, the largest saving first, with the reasons below each."""
    if not found:
        return paragraph("Prediction was not replayed on any target.", "none")
    columns = [
        Column("Target"),
        Column("Saved against tuned", numeric=True),
        Column("Gap closed", numeric=True),
        Column("Ours", numeric=True),
        Column("Tuned", numeric=True),
        Column("Plain", numeric=True),
        Column("Knowing the future", numeric=True),
        Column("Setting"),
        Column("Starts a day", numeric=True),
        Column("Worst day", numeric=True),
    ]
    shown, between = _ends(found)
    rows, kinds, below = [_row(f) for f in shown], ["bad-row" if f.loses else "" for f in shown], list(map(_why, shown))
    totals = Totals.of(found)
    if len(found) > 1 and totals.targets:
        rows.append(_total(totals))
        kinds.append("total")
        below.append("")
    judged = any(f.suitable is not None for f in found)
    money = "in unit-hours" if unit(comparison) == "unit-hours" else unit(comparison)
    verdict = (
        "The verdict comes from the training part alone, as it would before anything is turned on; the scored part "
        "came after, and says whether the verdict was right."
        if judged
        else "No verdict from the training part was given, so the advice is hindsight from the scored part alone."
    )
    return (
        paragraph(
            f"Ours is Persona Platform with prediction on. Costs are {money}, of every policy at {level(wished)} of "
            "demand unserved (or at the least that is reached), read off between two settings where need be. Tuned "
            "is a reactive autoscaler with the target utilization, window and minimum that turned out best; plain "
            "has Kubernetes' defaults; knowing the future is the least that anybody could pay."
        )
        + paragraph(
            f"The setting is the cheapest of ours that left no more than {level(wished)} unserved: kappa is the "
            "share of time that the floor is meant to suffice, and “as planned” the kappa that your prices or tiers "
            "give. Starts and worst day are of that setting, the worst day being the largest unserved share of one "
            "day."
        )
        + paragraph(verdict)
        + table(columns, rows, kinds=kinds, below=below)
        + (paragraph(f"And {count(between, 'target')} in between: {ALL_ROWS}.", "none") if between else "")
    )


def _ends(found: Sequence[Finding]) -> tuple[Sequence[Finding], int]:
    """The rows to show, and how many are left out between them."""
    if len(found) <= MOST_ROWS:
        return found, 0
    last = MOST_ROWS * 2 // 5
    return [*found[: MOST_ROWS - last], *found[-last:]], len(found) - MOST_ROWS


def _row(f: Finding) -> list[str]:
    advice = '<b class="good">Turn on</b>' if f.turn_on else "<b>Leave alone</b>"
    best = f.best
    setting = DASH if f.suitable is False else best["setting"]
    unserved = f"<small>{text(percent(best['unserved_share']))}&#160;unserved</small>"
    bad = unserved.replace("<small>", '<small class="bad">')
    return [
        f"{text(f.target)}<br>{advice}",
        _saved(f),
        _gap(f.gap_closed),
        *(_cost(f.costs[name]) for name in (OURS, TUNED, PLAIN, BOUND)),
        f"{text(setting)}<br>{unserved if f.reached else bad}",
        number(best["starts_per_day"]),
        percent(best["worst_day"]),
    ]


def _cost(value: float | None) -> str:
    return "<small>not<br>reached</small>" if value is None else cost(value)


def _saved(f: Finding) -> str:
    share = f.saved(TUNED)
    if f.money is None or share is None:
        return "no comparison"
    if signed(share) == signed(0.0):
        return "the same" + ("<br><small>as plain</small>" if f.suitable is False else "")
    amount = f"{cost(abs(f.money))} {'less' if f.money >= 0 else 'more'}"
    as_plain = ", as plain" if f.suitable is False else ""
    cell = f"<b>{amount}</b><br><small>{text(signed(share))}{as_plain}</small>"
    kind = "bad" if f.loses else "good" if f.turn_on and share > EVEN else ""
    return f'<span class="{kind}">{cell}</span>' if kind else cell


def _gap(gap: float | None) -> str:
    return "no gap" if gap is None else f"{100 * gap:.0f} %".replace("-", MINUS)


def _total(totals: Totals) -> list[str]:
    saved = totals.tuned - totals.ours
    more = "less" if saved >= 0 else "more"
    gap = gap_closed(totals.ours, totals.tuned, totals.bound)
    return [
        f"<b>Together</b><br><small>{count(totals.targets, 'target')}</small>",
        f"<b>{cost(abs(saved))} {more}</b><br><small>{text(signed(totals.saved(TUNED)))}</small>",
        _gap(gap),
        *(_cost(total) for total in (totals.ours, totals.tuned, totals.plain, totals.bound)),
        "",
        "",
        "",
    ]


def _why(f: Finding) -> str:
    parts = []
    if f.suitable is not None:
        verdict = "turn on" if f.suitable else "leave alone"
        parts.append(f"Verdict: {verdict}. {text(f.reason)}".strip())
    parts.append(f"Scored: {text(f.scored)}")
    if f.disagrees:
        parts.append('<b class="bad">The scored part disagrees.</b>')
    return " ".join(parts)


def stay_off(found: Sequence[Finding], wished: float) -> str:
    """Where prediction does not help, group by group, and where there was nothing to win."""
    if not found:
        return paragraph("Prediction was not replayed.", "none")
    hoped = any(f.suitable for f in found)
    groups = [
        ("It looked worth it, and lost" if hoped else "It lost", [f for f in found if f.loses]),
        (
            "It looked worth it, and changed nothing" if hoped else "It changed nothing",
            [f for f in found if f.suitable is not False and f.outcome == EVEN_COST],
        ),
        ("Judged unsuitable before it was scored", [f for f in found if f.suitable is False]),
        ("Not known", [f for f in found if f.suitable is not False and f.outcome == UNKNOWN]),
    ]
    off = [f for _, some in groups for f in some]
    parts = [_nothing_to_win(found, wished)]
    if not off:
        parts.insert(0, paragraph("In this replay prediction paid on every target."))
    if any(f.relative is not None or f.gain is not None for f in off):
        parts.append(
            paragraph(
                "Below, the error of the forecast is given as a multiple of that of the better of two naive ones, "
                "so that 1 is no better; held-out cost is what ours cost against a plain autoscaler on training "
                "days kept aside; scored cost, against the tuned one over the scored part."
            )
        )
    parts += [f"<h3>{text(name)}</h3>{_group(some)}" for name, some in groups if some]
    return "".join(parts)


def _nothing_to_win(found: Sequence[Finding], wished: float) -> str:
    """The bound says beforehand where no forecast could help."""
    tight = [
        f for f in found if (tuned := f.costs[TUNED]) and (bound := f.costs[BOUND]) is not None and bound > 0.95 * tuned
    ]
    said = (
        "Prediction is worth what demand changes within the lead time, and only where the change can be foreseen. "
        "Where demand moves slower than capacity boots, or by pure chance, a reactive autoscaler is as good, and "
        "simpler."
    )
    if not tight:
        return paragraph(said)
    return paragraph(
        f"{said} On {count(len(tight), 'target')} of {len(found):,} the tuned autoscaler pays less than 5 % more than "
        f"knowing the future would at {level(wished)} unserved: no forecast can win much there."
    )


def _group(found: Sequence[Finding]) -> str:
    columns = [
        Column("Target"),
        Column("History", numeric=True),
        Column("Forecast error", numeric=True),
        Column("Held-out cost", numeric=True),
        Column("Scored cost", numeric=True),
    ]
    shown = found[-MOST_ROWS // 2 :]
    rows = [
        [
            text(f.target),
            lasting(f.history_s),
            DASH if f.relative is None else f"{number(f.relative)} of naive",
            signed(f.gain, DASH),
            DASH if f.suitable is False else signed(f.saved(TUNED), DASH),
        ]
        for f in shown
    ]
    below = [text(f.reason if f.suitable is False else f.scored) for f in shown]
    more = len(found) - len(rows)
    return table(columns, rows, below=below) + (
        paragraph(f"And {count(more, 'other')}: {ALL_ROWS}.", "none") if more > 0 else ""
    )
