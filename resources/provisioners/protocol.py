"""The write protocol: ledger first, then the write, then reading back; and what follows when time has passed.

1. claim the action's key in the ledger (``action``): who has it, acts;
2. read the pause and the live floor once more, right before the write;
3. ``ensure``, which by its key has one effect however often it is called;
4. read back, and append ``applied``, ``failed`` or ``unknown`` with the floor that was there before.

Killed between any two steps, :func:`perform` run again with the same rows finishes what was begun. Deciding
is :mod:`persona_platform.capacity.decide`'s business.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl

from persona_platform.capacity.ledger_view import floors_in_force, read_bodies
from persona_platform.errors import (
    PermanentProvisioningError,
    ProvisioningError,
    TemporaryProvisioningError,
    UnknownProvisioningError,
)
from persona_platform.feedback.outcomes import outcomes
from persona_platform.frames import OBSERVED, empty
from resources.ledger import Ledger
from resources.provisioners import Provisioner, Receipt


@dataclass(frozen=True)
class Performed:
    """What came of one action in this call."""

    key: str
    target: str
    result: str
    """applied, released, failed, paused, already (applied earlier), or retry (temporary, or a lost reply)."""
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.target} {self.key[:12]}: {self.result}{': ' if self.detail else ''}{self.detail}"


def perform(
    actions: pl.DataFrame,
    ledger: Ledger,
    provisioner: Provisioner,
    now: datetime,
    *,
    decision_id: str = "",
) -> list[Performed]:
    """Perform rows of ACTIONS (those of ``due``) on one provisioner, in their order; what each came to.

    A permanent error is recorded and does not stop the other rows. After all rows were tried, a temporary
    error is raised, so that the caller tries the same rows again: what is done stays done.
    """
    done = [_Write(row, ledger, provisioner, now).perform(decision_id) for row in actions.iter_rows(named=True)]
    retry = [one for one in done if one.result == "retry"]
    if retry:
        raise TemporaryProvisioningError(
            f"{len(retry)} of {len(done)} actions to try again: {'; '.join(one.detail for one in retry)}"
        )
    return done


def resume(
    ledger: Ledger, provisioner: Provisioner, now: datetime, *, targets: Collection[str] | None = None
) -> list[Performed]:
    """At a restart: finish the actions that were begun and have no result, of the provisioner's ``targets``.

    One that has expired is not begun again: it is recorded as failed, unless the live floor shows that it was
    written. What is still to be tried again is in the results and raises nothing.
    """
    done = []
    for key, target in ledger.open_actions().select("key", "target").iter_rows():
        row = ledger.action(key)
        if row is not None and (targets is None or target in targets):
            done.append(_Write(row, ledger, provisioner, now).resume())
    return done


class _Write:
    """One action on its way: every step of the protocol, with what the steps share."""

    def __init__(self, row: Mapping[str, Any], ledger: Ledger, provisioner: Provisioner, now: datetime) -> None:
        self._row, self._ledger, self._provisioner, self._now = row, ledger, provisioner, now
        self._before: dict[str, Any] | None = None

    def perform(self, decision_id: str) -> Performed:
        if self._ledger.paused(self._row["target"]):
            return self._said("paused", "nothing was claimed")
        claimed = self._ledger.claim_action(self._row, decision_id, self._now)
        if not claimed and self._ledger.result(self._row["key"]) == "applied":
            return self._said("already")
        try:
            return self._write()
        except PermanentProvisioningError as fault:
            return self._failed(str(fault))
        except TemporaryProvisioningError as fault:
            return self._said("retry", str(fault))
        except UnknownProvisioningError as fault:
            return self._lost(str(fault))

    def resume(self) -> Performed:
        if self._row["expires_at"] > self._now:
            return self.perform(self._row["decision_id"])
        try:
            self._before = self._live()
        except ProvisioningError as fault:
            return self._said("retry", str(fault))
        if self._before["floor"] != self._row["to_floor"]:
            return self._failed("it expired before it was written")
        return self._applied(Receipt(self._before["floor"], self._row["from_floor"], "read back at a restart"))

    def _write(self) -> Performed:
        self._before = self._live()
        self._refuse_if_moved(self._before["floor"])
        if self._ledger.paused(self._row["target"]):
            return self._failed("paused right before the write", result="paused")
        target, floor = self._row["target"], self._row["to_floor"]
        receipt = self._provisioner.ensure(target, floor, self._row["key"], self._now)
        stands = self._live()["floor"]
        if stands != receipt.accepted_floor:
            return self._failed(f"{target} was written a floor of {receipt.accepted_floor}, and {stands} stands")
        return self._applied(receipt)

    def _live(self) -> dict[str, Any]:
        return self._provisioner.observe([self._row["target"]], {}, self._now).row(0, named=True)

    def _refuse_if_moved(self, live: int) -> None:
        """Refuse a write whose ground has moved: a raise never lowers, lowering starts from where it was."""
        target, before, after = self._row["target"], self._row["from_floor"], self._row["to_floor"]
        if after >= before and live > after:
            raise PermanentProvisioningError(f"The floor of {target} is {live}, above the {after} decided on.")
        if after < before and live not in {before, after}:
            raise PermanentProvisioningError(
                f"The floor of {target} is {live}; it was {before} when lowering it to {after} was decided."
            )

    def _lost(self, reason: str) -> Performed:
        """The write may have happened: note that, look, and either call it applied or have it tried again."""
        self._note("unknown", {"reason": reason})
        before = self._before["floor"] if self._before else None
        if before is not None and before != self._row["to_floor"]:
            try:
                stands = self._live()["floor"]
            except ProvisioningError as fault:
                return self._said("retry", f"{reason} Reading back: {fault}")
            if stands == self._row["to_floor"]:
                return self._applied(Receipt(stands, before, "the reply was lost; the floor was read back"))
        # Not to be seen yet is not "did not happen"; the same key has one effect, so trying again is safe.
        return self._said("retry", reason)

    def _applied(self, receipt: Receipt) -> Performed:
        kept = {name: self._row[name] for name in ("from_floor", "to_floor", "need_at", "expires_at")}
        found = {
            "accepted_floor": receipt.accepted_floor,
            "prior_floor": receipt.prior_floor,
            "usable": self._before["usable"] if self._before else None,
            "detail": receipt.detail,
        }
        self._note("applied", {**kept, **found})
        return self._said("applied", receipt.detail)

    def _failed(self, reason: str, *, result: str = "failed") -> Performed:
        prior = self._before["floor"] if self._before else None
        self._note("failed", {"reason": reason, "prior_floor": prior, "to_floor": self._row["to_floor"]})
        return self._said(result, reason)

    def _note(self, kind: str, body: Mapping[str, Any]) -> None:
        self._ledger.append(kind, self._now, key=self._row["key"], target=self._row["target"], body=body)

    def _said(self, result: str, detail: str = "") -> Performed:
        return Performed(self._row["key"], self._row["target"], result, detail)


def settle(ledger: Ledger, inventories: pl.DataFrame, observed: pl.DataFrame | None, now: datetime) -> list[str]:
    """Append the verdicts (met, partial, unmet) that are due, and the lead times measured; their keys.

    A lead time is measured where units were missing when the raise was asked for; capacity that stood there
    already says nothing about how long capacity takes.
    """
    entries = ledger.entries()
    judged = entries.filter(pl.col("kind").is_in(["met", "partial", "unmet"])).select("key")
    rows = outcomes(entries, inventories, empty(OBSERVED) if observed is None else observed, now)
    verdicts = rows.filter(pl.col("outcome").is_in(["met", "partial", "unmet"])).join(judged, on="key", how="anti")
    missing = _missing_units(entries)
    for row in verdicts.iter_rows(named=True):
        key, target, ready = row["key"], row["target"], row["ready_at"]
        body = {name: row[name] for name in ("to_floor", "need_at", "ready_at", "ahead_s", "peak_demand")}
        ledger.append(row["outcome"], now, key=key, target=target, body=body)
        if ready is not None and key in missing:
            seconds = (ready - row["requested_at"]).total_seconds()
            ledger.append("lead_time", now, key=key, target=target, body={"lead_time_s": seconds})
    return verdicts["key"].to_list()


def _missing_units(entries: pl.DataFrame) -> set[str]:
    """Keys of applied raises that found fewer usable units than they asked for."""
    rows = entries.filter(pl.col("kind") == "applied").with_columns(
        pl.col("body").str.json_decode(pl.Struct({"to_floor": pl.Int64, "usable": pl.Int64})).struct.unnest()
    )
    return set(rows.filter(pl.col("usable") < pl.col("to_floor"))["key"].to_list())


def sweep(
    ledger: Ledger, provisioner: Provisioner, now: datetime, *, targets: Collection[str] | None = None
) -> list[Performed]:
    """Release every floor of ours whose expiry has passed, of the provisioner's ``targets``; each once.

    Needs no plan, so an orphaned floor goes by itself. A pause does not keep a floor: it stops writes that
    cost, and a floor that nobody renews is meant to lapse. What failed is left for the next sweep.
    """
    rows = floors_in_force(read_bodies(ledger.entries())).filter(pl.col("expires_at") <= now)
    mine = rows if targets is None else rows.filter(pl.col("target").is_in(list(targets)))
    done = []
    for key, target, expires_at in mine.select("key", "target", "expires_at").iter_rows():
        ledger.append("expired", now, key=key, target=target, body={"expires_at": expires_at})
        try:
            receipt = provisioner.release(target, key, now)
        except ProvisioningError as fault:
            permanent = isinstance(fault, PermanentProvisioningError)
            if permanent:
                ledger.append("failed", now, key=key, target=target, body={"reason": f"release: {fault}"})
            done.append(Performed(key, target, "failed" if permanent else "retry", str(fault)))
            continue
        body = {
            "accepted_floor": receipt.accepted_floor,
            "prior_floor": receipt.prior_floor,
            "detail": receipt.detail,
        }
        ledger.append("released", now, key=key, target=target, body=body)
        done.append(Performed(key, target, "released", receipt.detail))
    return done
