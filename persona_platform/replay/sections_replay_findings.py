"""What the replay says of each target: turn prediction on or leave it, with which setting, at what cost, and why.

Costs of all policies are read off their frontiers at the same share of unserved demand: the wished one; where ours
never serves that much, the least that it leaves; where no autoscaler does either, the least that both reach. Nothing
here is HTML.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import polars as pl

from persona_platform.replay.frontiers import EDGE, along, cheapest_within
from persona_platform.replay.numbers import percent
from persona_platform.replay.scores import ALL_TARGETS
from persona_platform.replay.sections_replay_words import BOUND, EVEN, OURS, PLAIN, TUNED, UNLIMITED, level, signed

Outcome = Literal["gained", "even", "lost", "unknown"]
GAINED: Final = "gained"
EVEN_COST: Final = "even"
LOST: Final = "lost"
UNKNOWN: Final = "unknown"

NO_GAP: Final = 0.001
"""Share of the tuned cost below which there is no gap to the bound that could be closed."""


class Fronts:
    """The frontiers of all targets and policies, looked up and read off; made once from SCORES."""

    def __init__(self, scores: pl.DataFrame) -> None:
        worth = scores.filter("on_frontier").sort("unserved_share", "cost")
        self._rows: Mapping[tuple[str, str], pl.DataFrame] = {
            (str(target), str(policy)): rows
            for (target, policy), rows in worth.partition_by("target", "policy", as_dict=True).items()
        }
        self.targets: Sequence[str] = [t for t in scores["target"].unique(maintain_order=True) if t != ALL_TARGETS]
        self.policies: frozenset[str] = frozenset(scores["policy"].unique())

    def rows(self, target: str, policy: str) -> pl.DataFrame | None:
        """SCORES rows of a frontier, unserved share rising; None where the policy was not run there."""
        return self._rows.get((target, policy))

    def cost(self, target: str, policy: str, share: float) -> float | None:
        """What the policy costs at an unserved share; None where it was not run or no setting serves so much."""
        rows = self.rows(target, policy)
        if rows is None:
            return None
        found = float(along(rows["unserved_share"].to_numpy(), rows["cost"].to_numpy(), share))
        return None if np.isnan(found) else found

    def least(self, target: str, policy: str) -> float | None:
        """The least unserved share that the policy reaches; None where it was not run."""
        rows = self.rows(target, policy)
        return None if rows is None else float(rows["unserved_share"][0])

    def within(self, target: str, policy: str, share: float) -> Mapping:
        """SCORES row of the policy's cheapest setting that leaves no more than ``share``, else of its tightest."""
        rows = self._rows[target, policy]
        best = int(cheapest_within(rows["unserved_share"].to_numpy(), rows["cost"].to_numpy(), share))
        return rows.row(max(best, 0), named=True)


@dataclass(frozen=True)
class Finding:
    """What is said of a target.

    Attributes:
        target: its name.
        suitable: the verdict from the training part alone; None where none was given.
        reason: the verdict's sentence, empty where none was given.
        outcome: what prediction did over the scored part; of a target left alone, what it would have done.
        scored: the same in a sentence.
        share: the unserved share at which costs are compared.
        reached: whether that is the wished one.
        costs: money by policy at that share; None where it does not reach it.
        best: SCORES row of the recommended setting.
        history_s: span of the observed demand, seconds; None without a verdict.
        relative: error of the forecast to that of the better naive one; None where it was not measured.
        gain: saved on held-out training data; None where it was not measured.
    """

    target: str
    suitable: bool | None
    reason: str
    outcome: Outcome
    scored: str
    share: float
    reached: bool
    costs: Mapping[str, float | None]
    best: Mapping
    history_s: int | None = None
    relative: float | None = None
    gain: float | None = None

    @property
    def turn_on(self) -> bool:
        """The advice: the verdict does not speak against it, and the scored part speaks for it."""
        return self.suitable is not False and self.outcome == GAINED

    @property
    def loses(self) -> bool:
        """Prediction was on, and cost more than the tuned autoscaler or did not serve as much."""
        return self.suitable is not False and self.outcome == LOST

    @property
    def disagrees(self) -> bool:
        """The scored part says otherwise than the verdict."""
        return (self.suitable is True and self.outcome in (LOST, EVEN_COST)) or (
            self.suitable is False and self.outcome == GAINED
        )

    @property
    def money(self) -> float | None:
        """Money saved against the tuned autoscaler; negative where it costs more."""
        ours, tuned = self.costs[OURS], self.costs[TUNED]
        return None if ours is None or tuned is None else tuned - ours

    def saved(self, rival: str) -> float | None:
        """Saved share of a rival's cost; negative where ours costs more."""
        return saved(self.costs[OURS], self.costs[rival])

    @property
    def gap_closed(self) -> float | None:
        """Of the gap from the tuned autoscaler (0) to knowing the future (1); None where there is no gap."""
        return gap_closed(self.costs[OURS], self.costs[TUNED], self.costs[BOUND])


def saved(ours: float | None, rival: float | None) -> float | None:
    """Saved share of the rival's cost; None where one of them is missing or the rival is free."""
    return None if ours is None or not rival else 1 - ours / rival


def gap_closed(ours: float | None, tuned: float | None, bound: float | None) -> float | None:
    """From the tuned autoscaler, 0, to knowing the future, 1; None where there is no gap to speak of."""
    if ours is None or tuned is None or bound is None or tuned - bound <= NO_GAP * tuned:
        return None
    return (tuned - ours) / (tuned - bound)


def findings(fronts: Fronts, suitability: pl.DataFrame, left_alone: Iterable[str], wished: float) -> list[Finding]:
    """A finding for each target on which ours was replayed, most money saved first.

    Args:
        fronts: of all targets and policies.
        suitability: SUITABILITY, may be empty.
        left_alone: targets replayed as plain reactive under the name of ours.
        wished: the unserved share that is wished for.
    """
    verdicts = {row["target"]: row for row in suitability.iter_rows(named=True)}
    alone = frozenset(left_alone)
    found = [
        _finding(fronts, target, verdicts.get(target, {}), wished, left_alone=target in alone)
        for target in fronts.targets
        if fronts.rows(target, OURS) is not None
    ]
    return sorted(found, key=lambda f: (f.money is None, -(f.money or 0.0), f.target))


def _finding(fronts: Fronts, target: str, verdict: Mapping, wished: float, *, left_alone: bool) -> Finding:
    least = {name: fronts.least(target, name) for name in (OURS, TUNED, PLAIN)}
    within = {name: share is not None and share <= wished + EDGE for name, share in least.items()}
    share = _compared_at(least, within, wished)
    costs = {name: fronts.cost(target, name, share) for name in (OURS, TUNED, PLAIN, BOUND)}
    suitable = False if left_alone else verdict.get("suitable")
    if suitable is False:
        outcome, scored = _unlimited(fronts, target, share, costs[TUNED])
    elif not within[OURS] and (within[TUNED] or within[PLAIN]):
        outcome = LOST
        scored = (
            f"None of its settings kept within {level(wished)} unserved, the least was {percent(share)}; "
            "a reactive autoscaler can."
        )
    else:
        outcome, scored = _against(costs, fronts.policies)
        if not within[OURS]:
            said = f"{scored[:1].lower()}{scored[1:]}"
            scored = f"Neither ours nor an autoscaler keeps within {level(wished)} unserved. At {percent(share)} {said}"
    best = fronts.within(target, OURS, share)
    return Finding(
        target=target,
        suitable=suitable,
        reason=verdict.get("reason") or "",
        outcome=outcome,
        scored=scored,
        share=share,
        reached=within[OURS],
        costs=costs,
        best=best,
        history_s=verdict.get("history_s"),
        relative=verdict.get("relative"),
        gain=verdict.get("gain"),
    )


def _compared_at(least: Mapping[str, float | None], within: Mapping[str, bool], wished: float) -> float:
    """The unserved share at which costs are compared.

    Where nobody serves as much as wished, the one that serves a hair more than the other, at whatever cost, has not
    won by that: they are compared at the least that both reach.
    """
    if within[OURS]:
        return wished
    rivals = [] if within[TUNED] or within[PLAIN] else [share for name in (TUNED, PLAIN) if (share := least[name])]
    return max([least[OURS] or wished, *rivals[:1]])


def _unlimited(fronts: Fronts, target: str, share: float, tuned: float | None) -> tuple[Outcome, str]:
    """Of a target left alone: what prediction would have done there, where that was replayed at all."""
    if fronts.rows(target, UNLIMITED) is None:
        return UNKNOWN, "Replayed as a plain reactive autoscaler; what prediction would have done is not known."
    predicted = fronts.cost(target, UNLIMITED, share)
    if predicted is None:
        return LOST, f"With prediction on, no setting would have kept within {percent(share)} unserved."
    less = saved(predicted, tuned)
    if less is None:
        return UNKNOWN, "There is no tuned autoscaler at this unserved share to compare prediction with."
    outcome = _outcome(less)
    if outcome == EVEN_COST:
        return outcome, "With prediction on it would have cost the same as the tuned autoscaler."
    hope = ", so it may be worth another look" if outcome == GAINED else ""
    return outcome, f"With prediction on it would have cost {signed(less)} than the tuned autoscaler{hope}."


def _against(costs: Mapping[str, float | None], run: frozenset[str]) -> tuple[Outcome, str]:
    """Of a target with prediction on: what it cost against the autoscalers at the same unserved share."""
    tuned, plain = (saved(costs[OURS], costs[name]) for name in (TUNED, PLAIN))
    if TUNED not in run and PLAIN not in run:
        return UNKNOWN, "No reactive autoscaler was replayed beside it."
    if TUNED not in run:
        return _outcome(plain), f"{_than(plain, 'the plain autoscaler')}; the tuned one was not replayed."
    never = "; no setting of the plain one served as much"
    beside = "" if PLAIN not in run else never if plain is None else f", {signed(plain)} than the plain one"
    if _outcome(tuned) != EVEN_COST:
        return _outcome(tuned), f"{_than(tuned, 'the tuned autoscaler')}{beside}."
    if PLAIN in run and _outcome(plain) == GAINED:
        return GAINED, f"It cost the same as the autoscaler tuned in hindsight{beside}."
    return EVEN_COST, "It cost the same as a reactive autoscaler: there is nothing to gain."


def _than(less: float | None, rival: str) -> str:
    if less is None:
        return f"No setting of {rival} served as much"
    return f"It cost {signed(less)} than {rival}"


def _outcome(less: float | None) -> Outcome:
    """Of a saved share; a rival that could not serve as much is beaten."""
    if less is None or less > EVEN:
        return GAINED
    return LOST if less < -EVEN else EVEN_COST


@dataclass(frozen=True)
class Totals:
    """Money over the targets on which ours and the tuned autoscaler compare; None where a policy misses one."""

    targets: int
    ours: float
    tuned: float
    plain: float | None
    bound: float | None
    all_reached: bool

    @classmethod
    def of(cls, found: Iterable[Finding]) -> "Totals":
        """Sums over the findings."""
        both = [f for f in found if f.money is not None]

        def total(policy: str) -> float | None:
            known = [cost for f in both if (cost := f.costs[policy]) is not None]
            return sum(known) if known and len(known) == len(both) else None

        return cls(
            len(both), total(OURS) or 0.0, total(TUNED) or 0.0, total(PLAIN), total(BOUND), all(f.reached for f in both)
        )

    def saved(self, rival: str) -> float | None:
        """Saved share of the total of the tuned or the plain autoscaler."""
        return saved(self.ours, {TUNED: self.tuned, PLAIN: self.plain}[rival]) if self.targets else None
