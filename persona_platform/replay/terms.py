"""The terms that capacity comes under in a replay: lead time, billing, bounds. The same for every policy."""

from dataclasses import dataclass
from datetime import timedelta

from persona_platform.errors import InputError

_NO_TIME = timedelta(0)


@dataclass(frozen=True)
class Terms:
    """What a request costs, and when it is usable.

    Attributes:
        lead_time: from a request to usable capacity, where it is fixed.
        lead_times: equally likely lead times, drawn for each target and step of request; when empty it is
            always ``lead_time``.
        billing_quantum: a started unit is paid for whole quanta, and kept and usable as long.
        start_price: unit-hours charged at each start of a unit.
        scale_in_after: sizes fall only to the largest asked for within this long.
        minimum: units that are never gone below.
        maximum: units that are never gone above; None for no such bound.
        backlog: unserved demand waits and comes back. What people would have done is unknown: decisions
            still see the recorded demand.
        seed: of the draws of lead times.
    """

    lead_time: timedelta
    lead_times: tuple[timedelta, ...] = ()
    billing_quantum: timedelta = _NO_TIME
    start_price: float = 0.0
    scale_in_after: timedelta = _NO_TIME
    minimum: int = 0
    maximum: int | None = None
    backlog: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("lead_time", "billing_quantum", "scale_in_after"):
            if getattr(self, name) < _NO_TIME:
                raise InputError(f"{name} of a replay must not be negative; it is {getattr(self, name)}.")
        if any(lead < _NO_TIME for lead in self.lead_times):
            raise InputError(f"Lead times must not be negative; the shortest is {min(self.lead_times)}.")
        if self.minimum < 0 or (self.maximum is not None and self.maximum < self.minimum):
            raise InputError(f"Sizes need 0 <= minimum <= maximum; they are {self.minimum} and {self.maximum}.")
        if self.start_price < 0:
            raise InputError(f"The price of a start must not be negative; it is {self.start_price}.")

    @property
    def planned_lead_time(self) -> timedelta:
        """``lead_time``, or the smallest of ``lead_times`` that 9 in 10 stay within."""
        if not self.lead_times:
            return self.lead_time
        # In whole numbers: 0.9 x 10 is a little more than 9 in floats.
        return sorted(self.lead_times)[-(-9 * len(self.lead_times) // 10) - 1]

    @property
    def shortest_lead_time(self) -> timedelta:
        """The best that can happen to a request."""
        return min(self.lead_times, default=self.lead_time)
