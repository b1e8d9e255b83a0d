"""Sizes that can be asked for, and amounts as people read them, where they are small, shares or nothing."""

import numpy as np
import pytest

from persona_platform.personas.portrait.naming import amount, main_need
from persona_platform.personas.portrait.requirement import on_ladder

GIB = 2.0**30


@pytest.mark.parametrize(
    ("need", "found", "sizes"),
    [
        ("departures", [0.0, 1e-9, 0.0017, 0.3], [0.0, 0.0, 0.002, 0.5]),
        ("requests", [310.0, 0.0], [500.0, 0.0]),
        ("mem_bytes", [0.0, 3 * GIB], [GIB / 16, 4 * GIB]),
        ("mem_bytes", [0.0, 0.12, 0.7, 1.0], [0.0, 0.2, 1.0, 1.0]),
    ],
    ids=["rates and none", "an activity", "bytes", "shares of one whole"],
)
def test_amounts_are_rounded_up_to_what_can_be_asked_for(need, found, sizes):
    assert on_ladder(need, np.array(found)) == pytest.approx(sizes)


@pytest.mark.parametrize(
    ("need", "value", "text"),
    [
        ("departures", 0.005, "18 departures/h"),
        ("requests", 0.5, "0.5 requests/s"),
        ("requests", 0.0, "no requests"),
        ("mem_bytes", 0.2, "0.2 of its memory"),
        ("mem_bytes", 1.23456 * GIB, "1.235 GiB"),
    ],
)
def test_an_amount_reads_well(need, value, text):
    assert amount(need, value) == text


@pytest.mark.parametrize(
    ("amounts", "main"),
    [
        ({"cpu_cores": 2.0, "mem_bytes": GIB}, "cpu_cores"),
        ({"cpu_cores": 2.0, "gpus": 1.0}, "gpus"),
        ({"cpu_cores": 0.0, "mem_bytes": GIB}, "mem_bytes"),
        ({"departures": 0.1}, "departures"),
    ],
)
def test_one_need_stands_for_all(amounts, main):
    assert main_need(amounts) == main
