"""The time machine: recorded history walked forward under several policies, their scores, and the reports.

``cases`` reads files; ``forward`` makes the plans that would have been made, ``ours`` takes the decisions that would
have been taken, ``policies`` are what people use today; ``engine`` turns what a policy asks for into what is usable,
billed and unserved; ``outcomes``, ``scores``, ``bootstrap`` and ``summary`` compare; ``suitability`` says in advance
where it is worth it; ``run`` is the order of it all. The reports are ``replay_report`` and, of the demonstration,
``report``.
"""
