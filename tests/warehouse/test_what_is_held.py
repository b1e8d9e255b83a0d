"""What the warehouse says of its metrics, and of the events among its readings."""

from datetime import UTC, datetime

from resources.warehouse import Warehouse

NOW = datetime(2025, 6, 1, tzinfo=UTC)


def test_every_metric_is_named_those_that_no_model_uses_too(warehouse: Warehouse, feed) -> None:
    assert warehouse.state().metrics == ()
    rows = [("web", h, metric, 1.0) for h in range(3) for metric in ("frobnications", "cpu_cores")]
    warehouse.ingest_samples([feed("a.csv", [*rows, ("weather:here", 0, "temp_c", 1.0)])], now=NOW)
    assert warehouse.state().metrics == ("cpu_cores", "frobnications")


def test_only_the_readings_of_events_are_given_as_such(warehouse: Warehouse, feed) -> None:
    assert warehouse.event_readings().is_empty()
    outside = [("event:sale", 5, "event", 1.0), ("calendar:us", 5, "is_holiday", 1.0), ("weather:us", 5, "temp_c", 1.0)]
    warehouse.ingest_samples([feed("a.csv", [("web", h, "cpu_cores", 1.0) for h in range(3)] + outside)], now=NOW)
    assert warehouse.event_readings().select("series", "value").rows() == [("event:sale", 1.0)]
