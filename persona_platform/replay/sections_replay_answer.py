"""The head of the replay's report: the answer in two or three sentences, and four numbers. No is an answer too."""

from collections.abc import Mapping, Sequence

from persona_platform.replay.numbers import DASH, count, lasting, percent
from persona_platform.replay.page import facts, paragraph
from persona_platform.replay.scores import Comparison
from persona_platform.replay.sections_replay_findings import EVEN_COST, UNKNOWN, Finding, Totals, gap_closed
from persona_platform.replay.sections_replay_words import EVEN, PLAIN, TUNED, between, cost, level, listed, signed, unit

MOST_NAMES = 6
"""As many targets as a headline holds by name."""


def answer(found: Sequence[Finding], comparison: Comparison, medians: Mapping | None, wished: float) -> str:
    """The answer, what it rests on, and the facts.

    Args:
        found: of all targets.
        comparison: what was replayed.
        medians: of the summary, against the tuned autoscaler at the wished share: ``median``, ``low``, ``high`` as
            shares of its cost; None where there are none.
        wished: the unserved share that is wished for.
    """
    if not found:
        missing = (
            "Nothing was replayed, so there is no answer."
            if comparison.scores.is_empty()
            else "Prediction was not among the policies replayed, so this page cannot say whether to turn it on."
        )
        return paragraph(missing, "answer")
    totals = Totals.of(found)
    sentences = [_money(found, totals, comparison, wished), _median(medians, len(found)), _losses(found)]
    return (
        paragraph(_headline(found), "answer")
        + paragraph(" ".join(sentence for sentence in sentences if sentence))
        + facts(_facts(found, totals, comparison))
    )


def _headline(found: Sequence[Finding]) -> str:
    on = [f.target for f in found if f.turn_on]
    if len(found) == 1:
        one = found[0]
        if one.turn_on:
            return f"Yes, turn it on for {one.target}, with the setting “{one.best['setting']}”."
        return f"No, leave {one.target} to your autoscaler{_why_not(found)}."
    if not on:
        return f"No, leave all {len(found):,} targets to your autoscaler{_why_not(found)}."
    if len(on) == len(found):
        return f"Yes, turn it on for all {len(found):,} targets."
    if (Totals.of(found).saved(TUNED) or 0.0) < -EVEN:
        names = f" ({listed(on)})" if len(on) <= MOST_NAMES else ""
        some = f"Only for {len(on):,} of {len(found):,} targets{names}"
        return f"{some}: over all, as judged beforehand, it would have cost more."
    some = f"for {len(on):,} of {len(found):,} targets"
    names = f": {listed(on)}" if len(on) <= MOST_NAMES else ""
    return f"Yes, {some}{names}." if 2 * len(on) >= len(found) else f"Only {some}{names}."


def _why_not(found: Sequence[Finding]) -> str:
    """Reasons for a plain no, as far as they are the same for many."""
    unsuitable = sum(f.suitable is False for f in found)
    lost, even = sum(f.loses for f in found), sum(f.suitable is not False and f.outcome == EVEN_COST for f in found)
    unknown = sum(f.suitable is not False and f.outcome == UNKNOWN for f in found)
    reasons = [
        (unsuitable, "judged unsuitable before it was scored"),
        (lost, "served worse or dearer by prediction than by a tuned autoscaler"),
        (even, "no cheaper with prediction"),
        (unknown, "with no autoscaler to compare to"),
    ]
    if len(found) == 1:
        return next((f": it was {words}" for many, words in reasons[:2] if many), "")
    said = [f"{many:,} {words}" for many, words in reasons if many]
    return f": {', '.join(said)}" if said else ""


def _money(found: Sequence[Finding], totals: Totals, comparison: Comparison, wished: float) -> str:
    if not totals.targets:
        return "There is no target on which its cost can be compared with a tuned autoscaler at the same service."
    span = lasting((comparison.scored_until - comparison.scored_from).total_seconds())
    one = len(found) == 1
    many = "all" if totals.targets == len(found) else f"{totals.targets:,} of"
    judged = ", each as judged beforehand," if any(f.suitable is not None for f in found) else ""
    over = "it" if one else f"{many} {count(len(found), 'target')} together{judged}"
    more = "" if totals.all_reached else " (more where that is never reached)"
    at = f"At {level(wished)} of demand unserved{more}"
    tuned, plainly = ("a reactive autoscaler", "a plain one") if one else ("reactive autoscalers", "plain ones")
    less = f"{signed(totals.saved(TUNED))} than {tuned} tuned in hindsight ({cost(totals.tuned)})"
    plain = "" if totals.plain is None else f", and {signed(totals.saved(PLAIN))} than {plainly} ({cost(totals.plain)})"
    apart = "" if totals.targets == len(found) else " On the others one of the two never served so much."
    return f"{at}, {over} would have cost {cost(totals.ours)} {unit(comparison)} over {span}: {less}{plain}.{apart}"


def _median(medians: Mapping | None, targets: int) -> str:
    if medians is None or targets == 1:
        return ""
    low, high = medians["low"], medians["high"]
    said = f"For the median target ours costs {signed(1 - medians['median'])} than tuned"
    if low is None or high is None:
        return f"{said}."
    maybe = ", so it may be chance" if low < 1 < high else ""
    return f"{said} (95 % interval: {between(1 - high, 1 - low)}){maybe}."


def _losses(found: Sequence[Finding]) -> str:
    losing = [f for f in reversed(found) if f.loses]
    if not losing or not any(f.turn_on for f in found):
        return ""
    hoped = ", where it had looked worth it" if all(f.suitable for f in losing) else ""
    return f"It lost on {listed([f.target for f in losing], 4)}{hoped}: leave it off there."


def _facts(found: Sequence[Finding], totals: Totals, comparison: Comparison) -> list[tuple[str, str]]:
    share = totals.saved(TUNED)
    gap = gap_closed(totals.ours, totals.tuned, totals.bound)
    on = sum(f.turn_on for f in found)
    if share is None:
        first = (DASH, "no cost to compare with a tuned autoscaler at equal service")
    else:
        more = "less" if share >= 0 else "more"
        if abs(share) < EVEN / 20:
            first = ("the same", "cost as a tuned autoscaler at equal service")
        else:
            by = f"{cost(abs(totals.tuned - totals.ours))} {unit(comparison)}"
            first = (f"{percent(abs(share))} {more}", f"cost than a tuned autoscaler at equal service: {by}")
    second = (
        (DASH, "gap closed: there is none to speak of between the tuned autoscaler and knowing the future")
        if gap is None
        else ("none" if gap <= 0 else f"{100 * gap:.0f} %",
              "of the gap closed between the tuned autoscaler and knowing the future")
    )  # fmt: skip
    return [
        first,
        second,
        (f"{on:,}", f"{'target' if on == 1 else 'targets'} to turn on"),
        (f"{len(found) - on:,}", "to leave to your autoscaler"),
    ]
