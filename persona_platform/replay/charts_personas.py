"""Charts of personas as SVG strings: when they start, what they need, how long they last, what events change.

Each function takes records and returns one ``<svg>``, or an empty string where there is nothing to draw. Charts of
the catalog as a whole stand in ``charts_catalog``.
"""

from collections.abc import Sequence

from persona_platform.personas.record import Persona
from persona_platform.replay.chart_style import short, svg
from persona_platform.replay.charts_personas_panels import (
    busiest,
    lasts,
    needs_panel,
    sizes_panel,
    starts,
    survival_panel,
    uplift_panel,
    week_panel,
)
from persona_platform.replay.numbers import count


def persona_heatmaps(personas: Sequence[Persona], limit: int = 6) -> str:
    """When activations start: a week of hours for each of the personas that start most often."""
    import altair as alt

    starting = [p for p in personas if starts(p)]
    starting.sort(key=lambda p: (p.kind != "active", -len(p.members) * sum(p.recurrence.intensity)))
    panels = [
        week_panel(p).properties(title=alt.Title(short(p.name), subtitle=f"most: {busiest(p)}"))
        for p in starting[:limit]
    ]
    if not panels:
        return ""
    return svg(alt.concat(*panels, columns=2, spacing=28), "When each persona starts, by hour of the week")


def persona_multiples(personas: Sequence[Persona], limit: int = 8) -> str:
    """The personas below each other: what each needs, how long it lasts, when it starts."""
    import altair as alt

    rows = []
    for p in ranked(personas)[:limit]:
        words = alt.Title(
            f"{p.persona_id}  {short(p.name, 80)}", subtitle=f"{p.kind}, {count(len(p.members), 'member')}"
        )
        drawn = [sizes_panel(p, width=250, most=4)]
        drawn += [survival_panel(p, width=150, height=84)] if lasts(p) else []
        drawn += [week_panel(p, width=200, height=84)] if starts(p) else []
        rows.append(alt.hconcat(*drawn, spacing=26).properties(title=words))
    return svg(alt.vconcat(*rows, spacing=22), "Personas: needs, durations and starts") if rows else ""


def ranked(personas: Sequence[Persona]) -> list[Persona]:
    """The order in which personas are shown: active, steady, resting; of a kind those with most members first."""
    order = {"active": 0, "steady": 1, "resting": 2}
    return sorted(personas, key=lambda p: (order.get(p.kind, 3), -len(p.members), p.persona_id))


def week_chart(persona: Persona) -> str:
    """When activations of one persona start, by hour of the week."""
    return svg(week_panel(persona), "Starts by hour of the week") if starts(persona) else ""


def sizes_chart(persona: Persona) -> str:
    """The provisionable sizes with their probabilities."""
    return svg(sizes_panel(persona), "Sizes and their probabilities") if persona.requirement.sizes else ""


def survival_chart(persona: Persona) -> str:
    """The probability of lasting longer than a time."""
    return svg(survival_panel(persona), "Probability of lasting longer") if lasts(persona) else ""


def quantiles_chart(persona: Persona) -> str:
    """A strip for each need: where 8 slots in 10 lie, and half, 95 and 99 in 100 of them with intervals."""
    panel = needs_panel(persona)
    return svg(panel, "Needs over slots, a strip each") if panel else ""


def uplift_chart(persona: Persona) -> str:
    """What events change: starts and need as ratios to the same hours without the event."""
    panel = uplift_panel(persona)
    return svg(panel, "What events change") if panel else ""
