"""A made-up replay: six targets of different character, all policies, verdicts, predicted activations.

Demand is generated from known shapes. In the place of the platform's own forecast stands :class:`Profile`, which knows
only the same times of the week before; everything else is the real thing.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl

from persona_platform.frames import ACTIVATION, SUITABILITY
from persona_platform.replay.engine import Recording
from persona_platform.replay.outcomes import AS_PLANNED, LEFT_ALONE, Outcome, run_policy
from persona_platform.replay.policies import POLICIES, Reactive, whole
from persona_platform.replay.replay_report import ReplayReport
from persona_platform.replay.scores import comparison_of
from persona_platform.replay.summary import summary
from persona_platform.replay.terms import Terms

STEP = timedelta(minutes=30)
START = datetime(2024, 3, 4, tzinfo=UTC)
DAYS, TRAINED = 28, 17
DAY = timedelta(days=1) // STEP
TARGETS: tuple[str, ...] = ("web shop", "nightly ETL", "office <mail> & chat", "payments", "flash sales", "newcomer")
LEFT = ("payments", "newcomer")
PRICES: dict[str, float] = dict(zip(TARGETS, (0.384, 0.768, 0.192, 0.384, 0.384, 0.192), strict=True))
TERMS = Terms(lead_time=timedelta(hours=1))


def demand(rng: np.random.Generator) -> np.ndarray:
    """(targets, steps) units."""
    at = np.arange(DAYS * DAY)
    hour, weekday = at % DAY / DAY * 24, at // DAY % 7
    noise = np.exp(rng.normal(0, 0.06, (len(TARGETS), at.size)))
    works = weekday < 5
    day = np.clip(np.sin((hour - 6.5) / 14 * np.pi), 0, 1)
    shop = 12 + 40 * day**0.8 + 12 * (np.abs(hour - 20) < 1.5)
    nights = 3 + 46 * ((hour >= 2) & (hour < 4) & works) + 20 * ((hour >= 5) & (hour < 6))
    office = 6 + 30 * works * np.clip(np.minimum((hour - 7) * 1.2, (18 - hour) * 0.8), 0, 1)
    wander = np.exp(0.5 * _walk(rng, at.size))
    bursts = 10 + 30 * _bursts(rng, at.size, 0.012, 3)
    new = 8 + 16 * np.exp(0.3 * _walk(rng, at.size))
    table = np.stack([shop, nights, office, 22 * wander, bursts, new]) * noise
    table[5, : (TRAINED - 2) * DAY] = np.nan
    table[0, -2 * DAY : -2 * DAY + 3] = np.nan
    return table


def _walk(rng: np.random.Generator, steps: int) -> np.ndarray:
    """A random walk that comes back: what comes next is what is now, and no more can be known."""
    level = np.zeros(steps)
    for i in range(1, steps):
        level[i] = 0.98 * level[i - 1] + rng.normal(0, 0.15)
    return level


def _bursts(rng: np.random.Generator, steps: int, chance: float, lasting: int) -> np.ndarray:
    begins = rng.random(steps) < chance
    return (np.convolve(begins, np.ones(lasting))[:steps] > 0).astype(float)


@dataclass(frozen=True)
class Profile:
    """A floor at a quantile of the same time on like days before, above the last reading."""

    quantiles: tuple[float, ...] = (0.5, 0.65, 0.8, 0.9, 0.95, 0.98, 0.99)
    margins: tuple[float, ...] = (0.9, 1.0, 1.1, 1.25, 1.5)
    name: str = "ours"

    def settings(self, recording: Recording) -> list[str]:
        """A name for each setting of the sweep."""
        return [AS_PLANNED, *(f"kappa {q:g} times {m:g}" for m in self.margins for q in self.quantiles)]

    def desired(self, recording: Recording) -> np.ndarray:
        """(settings, targets, walked steps) whole units asked for."""
        steps = np.arange(recording.walked_from, recording.steps)
        pairs = [(0.9, 1.1), *((q, m) for m in self.margins for q in self.quantiles)]
        asked = np.zeros((len(pairs), len(recording.targets), steps.size), dtype=np.int32)
        known = np.nan_to_num(recording.demand)
        for i, step in enumerate(steps):
            weekend = step // DAY % 7 > 4
            days = [d for d in range(1, 15) if step - d * DAY >= 0 and ((step // DAY - d) % 7 > 4) == weekend]
            ahead = np.arange(recording.lead_steps + 1)
            past = np.stack([known[:, step - d * DAY + ahead].max(axis=1) for d in days], axis=1)
            floors = np.quantile(past, self.quantiles, axis=1)
            for s, (q, m) in enumerate(pairs):
                asked[s, :, i] = whole(np.maximum(floors[self.quantiles.index(q)] * m, known[:, step - 1]))
        return asked


@dataclass(frozen=True)
class LeftAlone(Reactive):
    """Plain reactive under the name of ours."""

    name: str = "ours"

    def settings(self, recording: Recording) -> list[str]:
        """A name for each setting of the sweep."""
        return [f"{LEFT_ALONE}{name}" for name in super().settings(recording)]


def ours(recording: Recording, sink) -> Outcome:
    """Profile where it is suitable, plain reactive where it is not."""
    left = [recording.targets.index(target) for target in LEFT]
    rest = [i for i in range(len(recording.targets)) if i not in left]
    outcomes = [
        run_policy(recording.part(rest), Profile(), sink=sink),
        run_policy(recording.part(left), LeftAlone(), sink=sink),
    ]
    return Outcome("ours", tuple(block for outcome in outcomes for block in outcome.blocks))


def suitability() -> pl.DataFrame:
    """Verdicts of the training part; on the flash sales it is wrong."""
    better = "The forecast errs {} % less than naive ones and saved {} % on held-out days."
    rows = [
        ("web shop", True, better.format(46, 11), 17, 7, 0.54, 0.11),
        ("nightly ETL", True, better.format(71, 38), 17, 7, 0.29, 0.38),
        ("office <mail> & chat", True, better.format(60, 9), 17, 7, 0.40, 0.09),
        ("payments", False, "The forecast is no better than the last reading.", 17, 7, 1.04, -0.02),
        ("flash sales", True, better.format(8, 3), 17, 7, 0.92, 0.03),
        ("newcomer", False, "Only 2 days of history, and it takes 7.", 2, None, None, None),
    ]  # fmt: skip
    return pl.DataFrame(
        [
            {"target": t, "suitable": s, "reason": r, "history_s": h * 86400, "cycle_s": c and c * 86400,
             "relative": e, "gain": g, "lead_time_s": 3600.0}
            for t, s, r, h, c, e, g in rows
        ],
        schema=SUITABILITY,
    )  # fmt: skip


def activation(rng: np.random.Generator) -> pl.DataFrame:
    """Probabilities that are right on average, and a little too sure of themselves."""
    rows = []
    for horizon, base in ((900, 0.03), (3600, 0.12), (86400, 0.6)):
        for origin in range(60):
            for w in range(12):
                truth = float(np.clip(base * np.exp(rng.normal(0, 0.9)), 0, 0.97))
                said = float(np.clip(truth * (1.25 if truth > base else 0.8), 0, 1))
                at, happened = START + origin * timedelta(hours=3), bool(rng.random() < truth)
                rows.append((at, f"job-{w:02d}", f"p{w % 3}", horizon, said, happened))
    return pl.DataFrame(rows, schema=ACTIVATION, orient="row")


def replay_report() -> ReplayReport:
    """The report's whole input."""
    rng = np.random.default_rng(7)
    recording = Recording(TARGETS, START, STEP, demand(rng), TRAINED * DAY, TERMS)
    kept: list[pl.DataFrame] = []
    outcomes = [ours(recording, kept.append)]
    outcomes += [run_policy(recording, kind(), sink=kept.append) for kind in POLICIES.values()]
    outcomes.append(run_policy(recording, Profile(), name="ours_unlimited"))
    comparison = comparison_of(recording, outcomes, PRICES, left_alone=LEFT, decisions=pl.concat(kept))
    return ReplayReport(
        comparison=comparison,
        summary=summary(comparison, replicates=100, suitability=suitability()),
        suitability=suitability(),
        activation=activation(rng),
        title="Should prediction be turned on?",
        source="six generated targets, four weeks",
        notes=("The platform's own forecast is stood in for by last weeks' profile.",),
    )
