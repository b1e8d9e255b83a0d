"""Persona Platform: capacity that is there before the demand.

The domain packages are pure: frames and frozen dataclasses in, frames out. Data flows one way, and so do
imports: utilization, calendars, fleet, personas, outlook, forecasting, capacity, feedback, replay. Everything
that touches the outside lives in ``resources``; Dagster's assets live in ``assets``.
"""
