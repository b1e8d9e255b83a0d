"""Personas: how workloads' needs are cut into activations, and alike patterns become personas.

Read in the order of the data's flow: timeline, levels, cutting, patterns, shapes, features, clustering,
identity; then requirement, duration, recurrence and naming, which describe a persona; learning and
assignment use them all.
"""
