"""Dagster's jobs, schedules, sensors and the provisioning op.

Thin on purpose: they gather, call a pure function of the domain, and emit.
"""
