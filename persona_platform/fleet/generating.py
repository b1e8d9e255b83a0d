"""From a spec to a fleet: workload by workload, in chunks where the whole would not fit into memory."""

from collections.abc import Iterator
from typing import Final

import polars as pl

from persona_platform.fleet import truth
from persona_platform.fleet.demand import needs
from persona_platform.fleet.faults import bad_rows
from persona_platform.fleet.happenings import events, ical
from persona_platform.fleet.playing import play_out
from persona_platform.fleet.roster import workload, workloads_frame
from persona_platform.fleet.spec import Fleet, FleetSpec, Truth
from persona_platform.fleet.stage import Stage
from persona_platform.fleet.telemetry import record, samples
from persona_platform.fleet.weather import weather_samples

CHUNK: Final = 100
"""Workloads generated at a time: over 8 weeks of 15-minute slots five million rows of samples, about 1 GB."""


def generate(spec: FleetSpec) -> Fleet:
    """The whole fleet at once; 1,000 workloads over 8 weeks are 47 million rows. See :func:`fleet_chunks`."""
    return _generated(Stage(spec), 0, spec.workloads)


def fleet_chunks(spec: FleetSpec, workloads: int = CHUNK) -> Iterator[Fleet]:
    """The same fleet, ``workloads`` at a time; the weather and the bad rows come with the first chunk."""
    stage = Stage(spec)
    for first in range(0, max(spec.workloads, 1), workloads):
        yield _generated(stage, first, min(first + workloads, spec.workloads))


def _generated(stage: Stage, first: int, until: int) -> Fleet:
    spec = stage.spec
    members = [workload(spec, index) for index in range(first, until)]
    recorded, membership, activations = (
        [],
        [pl.DataFrame(schema=truth.MEMBERSHIP)],
        [pl.DataFrame(schema=truth.ACTIVATIONS)],
    )
    for member in members:
        played = play_out(stage, member)
        wanted = needs(stage, member, played)
        recorded.append((member.workload_id, record(stage, member, wanted)))
        membership.append(truth.membership(stage, member, played, wanted))
        activations.append(truth.activations(stage, member, played))
    in_time, late = samples(stage, recorded)
    bad = bad_rows(spec, in_time if first == 0 else in_time.clear())
    if first == 0:
        in_time = pl.concat([in_time, weather_samples(spec)])
    return Fleet(
        spec=spec,
        samples=in_time,
        late=late,
        bad=bad,
        workloads=workloads_frame(members),
        events=events(spec),
        ical=ical(spec),
        truth=Truth(pl.concat(membership), pl.concat(activations), truth.personas(spec), truth.uplifts(spec)),
    )
