"""What is known about time before it comes: holidays, events, day types, covariates, in local time.

``zones`` knows IANA names and countries; ``events`` and ``ical`` read calendar files; ``days`` types each
local date; ``slots`` puts both on the slot grid; ``proximity`` measures how far a slot is from events;
``covariates`` says which outside readings may be used at an origin. Nothing here reads samples or the clock.
"""
