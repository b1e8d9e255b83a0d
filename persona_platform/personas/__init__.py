"""Personas: how workloads' needs are cut into activations, and alike patterns become personas.

Read in the order of the data's flow: timeline, levels (segments, steps), cutting, patterns, settling, shapes, features,
clustering, identity and lineage; then record, what a persona is, and the folder portrait, how it is drawn; the folder
newcomers, for workloads too young to have patterns; learning and assignment use them all.
"""
