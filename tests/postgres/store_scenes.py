"""Catalogs for the stores: every record of a version names it, so that a mixture of two versions shows."""

from datetime import UTC, datetime, timedelta

from persona_platform.personas.record import Duration, MemberRecord, Persona, Recurrence, Requirement, Size
from resources.persona_store.records import ActivityNow

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
WEEK = b"\0\0\x80\x3f" * 168  # little-endian float32 ones
MEMBERS = 40


def persona(persona_id, version=1, description=""):
    cores = {"cpu_cores": [12.0] * 5}
    return Persona(
        persona_id=persona_id,
        version=version,
        kind="active",
        name="weekday nights, 16 cores, 2 h",
        description=description,
        requirement=Requirement(
            [Size({"cpu_cores": 16.0}, "ssd", 1.0, 0.9, 1.0)],
            quantiles=cores,
            low=cores,
            high=cores,
            mean={"cpu_cores": 14.5},
            peak_to_mean={"cpu_cores": 1.2},
            saturated=0.0,
        ),
        duration=Duration(900, [1.0, 0.5], [1.0, 0.4], [1.0, 0.6], 1800.0, 2000.0, 0.05),
        recurrence=Recurrence([0.01] * 168, [0.0] * 168, [0.02] * 168, [], [3600.0] * 5, 86400.0, 0.9),
        shape="flat",
        variability=0.1,
        main_need="cpu_cores",
        relations=[],
        leads=[],
        complements=[],
        priority="batch",
        sla=0.8,
        members=[],
        trained_from=NOON - timedelta(days=56),
        trained_until=NOON,
        stability=0.9,
        drift=0.0,
        born=1,
    )


def member(persona_id, workload_id, weight=0.5, version=1):
    """A member of full size whose duration names its version."""
    return MemberRecord(
        persona_id,
        workload_id,
        weight=weight,
        probability=0.9,
        patterns=(0, 2),
        needs=("cpu_cores",),
        quantiles=WEEK[:20],
        occupancy=WEEK,
        median_s=float(version),
    )


def catalog(version, personas=5, members=MEMBERS):
    """Personas and members of a version; the workloads of odd and even versions differ, and overlap in half."""
    ids = [f"p{i:03}" for i in range(1, personas + 1)]
    first = (version % 2) * members // 2
    rows = [member(p, f"w{first + i}", version=version) for p in ids for i in range(members)]
    return [persona(p, version, f"v{version}") for p in ids], rows


def versions_seen(view, members=MEMBERS):
    """The version of a view and those that its records name: one, or it is torn."""
    found = list(view.scan())
    rows = [row for record in found for row in view.members(record.persona_id)]
    assert len(rows) == len(found) * members
    return {view.version()} | {int(record.description[1:]) for record in found} | {int(row.median_s) for row in rows}


def activity(workload_id, minutes=0, persona_id="p001"):
    """An activity that was observed some minutes after noon."""
    return ActivityNow(workload_id, persona_id, NOON - timedelta(hours=1), NOON + timedelta(minutes=minutes))
