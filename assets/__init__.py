"""Dagster's software-defined assets, one module a group: raw, warehouse, personas, outlook, forecasts, capacity.

An asset gathers its inputs, calls the domain, and says what it made. Decisions and arithmetic live in
``persona_platform``; files, databases and clients in ``resources``.
"""
