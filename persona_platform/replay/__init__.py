"""The time machine: recorded demand walked forward under several policies, their scores, and the report.

``engine`` turns what a policy asks for into what is usable, billed and unserved; ``policies`` and
``ours`` are the policies; ``scores`` compares them; ``charts``, ``sections`` and ``report`` show it to a
person.
"""
