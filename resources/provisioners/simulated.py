"""A simulated cluster: nodes with lead times, failures, a quota, and a native autoscaler above the floor.

The embedded default, for demonstrations, tests and dry runs. Its state is one SQLite file, which survives
restarts and takes several processes at once. Time is an argument, and chance is a function of (seed, target,
node): the same calls give the same cluster.
"""

import hashlib
import math
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import NormalDist
from typing import Final

import polars as pl

from persona_platform.capacity.limits import digest
from persona_platform.errors import (
    ConfigError,
    PermanentProvisioningError,
    TemporaryProvisioningError,
    UnknownProvisioningError,
)
from persona_platform.frames import INVENTORY, TS, conform
from resources.provisioners import Receipt

SECOND: Final = 1_000_000
"""Times are kept as microseconds since 1970, UTC."""

GIVE_UP_US: Final = 900 * SECOND
"""A node that has not come by then is replaced (Cluster Autoscaler's max-node-provision-time)."""

UNNEEDED_US: Final = 600 * SECOND
"""Nodes go when they have not been wanted for this long (Cluster Autoscaler's unneeded time)."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS targets (
    target TEXT PRIMARY KEY, floor INTEGER NOT NULL, base_floor INTEGER NOT NULL, floor_key TEXT,
    observed REAL, excess_since INTEGER, last_at INTEGER NOT NULL, serial INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS nodes (
    target TEXT NOT NULL, serial INTEGER NOT NULL, requested_at INTEGER NOT NULL, ready_at INTEGER,
    gone_at INTEGER, PRIMARY KEY (target, serial)
);
CREATE INDEX IF NOT EXISTS nodes_alive ON nodes (target) WHERE gone_at IS NULL;
CREATE TABLE IF NOT EXISTS writes (
    key TEXT NOT NULL, verb TEXT NOT NULL, accepted INTEGER NOT NULL, prior INTEGER NOT NULL,
    detail TEXT NOT NULL, at INTEGER NOT NULL, PRIMARY KEY (key, verb)
);
CREATE TABLE IF NOT EXISTS attempts (key TEXT PRIMARY KEY, tries INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS history (
    target TEXT NOT NULL, at INTEGER NOT NULL, usable INTEGER NOT NULL, booting INTEGER NOT NULL,
    floor INTEGER NOT NULL, observed REAL, PRIMARY KEY (target, at)
);
"""


@dataclass(frozen=True)
class SimulatedSettings:
    """How the simulated cluster behaves. Rates are probabilities from 0 to 1."""

    lead_time_median_s: float = 180.0
    lead_time_sigma: float = 0.35
    """Of the logarithm; with the median of 180 s the 0.9 quantile is 282 s."""
    failure_rate: float = 0.02
    """Nodes that never come; the cluster replaces them after 15 minutes."""
    quota: int | None = None
    """Most nodes of a target, booting ones included."""
    native_target: float = 0.8
    """The native autoscaler keeps observed demand at this share of the nodes."""
    throttle_rate: float = 0.0
    """Writes that are refused for the moment, with no effect."""
    lost_reply_rate: float = 0.0
    """Writes that happen and whose reply is lost."""
    seed: int = 0

    def __post_init__(self) -> None:
        if self.lead_time_median_s <= 0 or self.lead_time_sigma < 0 or not 0 < self.native_target <= 1:
            raise ConfigError(
                "The simulated cluster needs lead_time_median_s above 0, lead_time_sigma of 0 or more, and "
                f"native_target in (0, 1]; found {self}."
            )


@dataclass
class _State:
    """A target inside one transaction."""

    target: str
    floor: int
    base_floor: int
    floor_key: str | None
    observed: float | None
    excess_since: int | None
    last_at: int
    serial: int


class SimulatedProvisioner:
    """The simulated cluster in a file."""

    def __init__(self, path: str | Path, settings: SimulatedSettings | None = None) -> None:
        self._path = Path(path)
        self._settings = settings or SimulatedSettings()
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._transaction() as db:
            for statement in _SCHEMA.split(";"):
                db.execute(statement)

    def observe(self, targets: Sequence[str], observed: Mapping[str, float], now: datetime) -> pl.DataFrame:
        """INVENTORY, one row a target; lets the cluster live until ``now`` and notes what it found."""
        at = _us(now)
        rows = []
        with self._transaction() as db:
            for target in sorted(set(targets)):
                state = _load(db, target, at)
                demand = observed.get(target)
                if demand is not None and math.isfinite(demand):
                    state.observed = max(demand, 0.0)
                else:
                    demand = None
                self._live(db, state, at)
                rows.append(
                    {
                        **self._found(db, state),
                        "observed_at": now,
                        "observed_demand": demand,
                    }
                )
        frame = conform(pl.DataFrame(rows, schema=INVENTORY), INVENTORY, "The simulated inventory")
        return frame.with_columns(inventory_id=pl.lit(digest(frame)[:16]))

    def ensure(self, target: str, floor: int, key: str, now: datetime) -> Receipt:
        """Make ``floor`` the floor, once for each key. A quota cuts it; a raise of nothing is refused."""
        if floor < 0:
            raise PermanentProvisioningError(f"A floor of {floor} for {target}: it must be 0 or more.")
        at = _us(now)
        self._throttle(target, key)
        with self._transaction() as db:
            known = _written(db, key, "ensure")
            if known is not None:
                return known
            state = _load(db, target, at)
            quota = self._settings.quota
            accepted = floor if quota is None else min(floor, max(quota, 0))
            if quota is not None and accepted < floor and accepted <= state.floor:
                raise PermanentProvisioningError(
                    f"{target} stands at {state.floor} of its quota of {quota} units; {floor} are wanted. "
                    "Raise the quota of the simulated cluster, or the target's maximum is too high."
                )
            detail = f"cut from {floor} to {accepted} by the quota of {quota}" if accepted < floor else ""
            receipt = Receipt(accepted, state.floor, detail)
            state.floor, state.floor_key = accepted, key
            self._live(db, state, at)
            _write(db, key, "ensure", receipt, at)
        self._lose_reply(target, key)
        return receipt

    def release(self, target: str, key: str, now: datetime) -> Receipt:
        """Restore the floor from before our first write, if ``key`` wrote the one that stands."""
        at = _us(now)
        with self._transaction() as db:
            known = _written(db, key, "release")
            if known is not None:
                return known
            state = _load(db, target, at)
            ours = state.floor_key == key
            receipt = Receipt(
                state.base_floor if ours else state.floor,
                state.floor,
                "" if ours else "the floor is not this key's",
            )
            if ours:
                state.floor, state.floor_key = state.base_floor, None
            self._live(db, state, at)
            _write(db, key, "release", receipt, at)
        return receipt

    def history(self, target: str) -> pl.DataFrame:
        """at, usable, booting, floor, observed: one row for each look at the target or write to it."""
        query = "SELECT at, usable, booting, floor, observed FROM history WHERE target = ? ORDER BY at"
        with self._transaction() as db:
            rows = db.execute(query, (target,)).fetchall()
        schema = {
            "at": pl.Int64,
            "usable": pl.Int64,
            "booting": pl.Int64,
            "floor": pl.Int64,
            "observed": pl.Float64,
        }
        return pl.DataFrame(rows, schema=schema, orient="row").with_columns(pl.col("at").cast(TS))

    # The cluster's life

    def _live(self, db: sqlite3.Connection, state: _State, at: int) -> None:
        """Bring the nodes to what floor and native autoscaler want; a clock that steps back stands still."""
        at = max(at, state.last_at)
        db.execute(
            "UPDATE nodes SET gone_at = ?1 WHERE target = ?2 AND gone_at IS NULL AND requested_at <= ?1 - ?3 "
            "AND (ready_at IS NULL OR ready_at > ?1)",
            (at, state.target, GIVE_UP_US),
        )
        alive = db.execute(
            "SELECT count(*) FROM nodes WHERE target = ? AND gone_at IS NULL", (state.target,)
        ).fetchone()[0]
        native = math.ceil((state.observed or 0.0) / self._settings.native_target - 1e-9)
        want = max(state.floor, native)
        if self._settings.quota is not None:
            want = min(want, self._settings.quota)
        state.excess_since = (state.excess_since or at) if alive > want else None
        if alive < want:
            self._boot(db, state, want - alive, at)
        elif state.excess_since is not None and at - state.excess_since >= UNNEEDED_US:
            # The newest go first: those that still boot cost the least to give back.
            db.execute(
                "UPDATE nodes SET gone_at = ?1 WHERE target = ?2 AND serial IN (SELECT serial FROM nodes "
                "WHERE target = ?2 AND gone_at IS NULL ORDER BY serial DESC LIMIT ?3)",
                (at, state.target, alive - want),
            )
            state.excess_since = None
        state.last_at = at
        _save(db, state)
        usable, booting = _counts(db, state.target, at)
        db.execute(
            "INSERT OR REPLACE INTO history VALUES (?, ?, ?, ?, ?, ?)",
            (state.target, at, usable, booting, state.floor, state.observed),
        )

    def _boot(self, db: sqlite3.Connection, state: _State, count: int, at: int) -> None:
        serials = range(state.serial, state.serial + count)
        nodes = [(state.target, serial, at, self._ready_at(state.target, serial, at)) for serial in serials]
        db.executemany("INSERT INTO nodes (target, serial, requested_at, ready_at) VALUES (?, ?, ?, ?)", nodes)
        state.serial += count

    def _ready_at(self, target: str, serial: int, at: int) -> int | None:
        if _chance(self._settings.seed, target, serial, "fails") < self._settings.failure_rate:
            return None
        normal = NormalDist().inv_cdf(_chance(self._settings.seed, target, serial, "lead time"))
        seconds = self._settings.lead_time_median_s * math.exp(self._settings.lead_time_sigma * normal)
        return at + round(seconds * SECOND)

    def _found(self, db: sqlite3.Connection, state: _State) -> dict[str, object]:
        usable, booting = _counts(db, state.target, state.last_at)
        ready_at = None
        if booting:
            # What a cluster could tell: its usual slow lead time after the newest request, not the truth.
            newest = db.execute(
                "SELECT max(requested_at) FROM nodes WHERE target = ?1 AND gone_at IS NULL "
                "AND (ready_at IS NULL OR ready_at > ?2)",
                (state.target, state.last_at),
            ).fetchone()[0]
            slow = math.exp(self._settings.lead_time_sigma * NormalDist().inv_cdf(0.9))
            expected = newest + round(self._settings.lead_time_median_s * slow * SECOND)
            ready_at = _EPOCH + timedelta(microseconds=max(expected, state.last_at))
        return {
            "inventory_id": "",
            "target": state.target,
            "usable": usable,
            "booting": booting,
            "ready_at": ready_at,
            "floor": state.floor,
        }

    # Faults

    def _throttle(self, target: str, key: str) -> None:
        if self._settings.throttle_rate <= 0:
            return
        with self._transaction() as db:
            db.execute("INSERT INTO attempts VALUES (?, 1) ON CONFLICT (key) DO UPDATE SET tries = tries + 1", (key,))
            tries = db.execute("SELECT tries FROM attempts WHERE key = ?", (key,)).fetchone()[0]
        if _chance(self._settings.seed, key, tries, "throttled") < self._settings.throttle_rate:
            raise TemporaryProvisioningError(f"The simulated cluster throttled the write to {target}; try again.")

    def _lose_reply(self, target: str, key: str) -> None:
        if _chance(self._settings.seed, key, 0, "reply") < self._settings.lost_reply_rate:
            raise UnknownProvisioningError(f"The simulated cluster's reply about {target} was lost.")

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """One transaction that alone writes; rolled back on an error."""
        db = sqlite3.connect(self._path, timeout=30, isolation_level=None)
        try:
            db.execute("PRAGMA journal_mode=WAL")
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
            except BaseException:
                db.execute("ROLLBACK")
                raise
            db.execute("COMMIT")
        finally:
            db.close()


def _us(moment: datetime) -> int:
    if moment.tzinfo is None:
        raise ConfigError(f"The simulated cluster was given {moment} without a zone; pass an aware time.")
    return (moment - _EPOCH) // timedelta(microseconds=1)


def _chance(*what: object) -> float:
    """A number in (0, 1) that depends on nothing but its arguments."""
    head = hashlib.sha256("|".join(map(str, what)).encode()).digest()[:8]
    return (int.from_bytes(head, "big") + 0.5) / 2.0**64


def _load(db: sqlite3.Connection, target: str, at: int) -> _State:
    row = db.execute("SELECT * FROM targets WHERE target = ?", (target,)).fetchone()
    return _State(*row) if row else _State(target, 0, 0, None, None, None, at, 0)


def _save(db: sqlite3.Connection, state: _State) -> None:
    values = (
        state.target,
        state.floor,
        state.base_floor,
        state.floor_key,
        state.observed,
        state.excess_since,
        state.last_at,
        state.serial,
    )
    db.execute("INSERT OR REPLACE INTO targets VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)


def _counts(db: sqlite3.Connection, target: str, at: int) -> tuple[int, int]:
    alive, usable = db.execute(
        "SELECT count(*), coalesce(sum(ready_at <= ?2), 0) FROM nodes WHERE target = ?1 AND gone_at IS NULL",
        (target, at),
    ).fetchone()
    return int(usable), int(alive - usable)


def _written(db: sqlite3.Connection, key: str, verb: str) -> Receipt | None:
    row = db.execute("SELECT accepted, prior, detail FROM writes WHERE key = ? AND verb = ?", (key, verb)).fetchone()
    return Receipt(*row) if row else None


def _write(db: sqlite3.Connection, key: str, verb: str, receipt: Receipt, at: int) -> None:
    db.execute(
        "INSERT INTO writes VALUES (?, ?, ?, ?, ?, ?)",
        (key, verb, receipt.accepted_floor, receipt.prior_floor, receipt.detail, at),
    )
