"""Samples to needs: what was read, checked row by row, and what a workload needed in each slot.

What belongs here: reading sample and workload files, the checks that send a row to quarantine, what each
metric becomes, the length of a slot, and the needs frame that every later package works on. What does not:
storage (the warehouse upserts samples and dbt turns them into usage and activity per slot).
"""
