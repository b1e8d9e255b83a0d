"""Portraits: what is said of each persona, from what its members' slots and activations left behind.

evidence gathers sums from slots, share by share (histograms, leads, motion, relations, uplift say which); then
requirement and amounts, duration, recurrence and rhythm, uplift, members, complements and naming each make their part
of the record, and drawing puts them together. record.py beside this folder is the contract.
"""
