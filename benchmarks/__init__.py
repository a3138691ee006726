"""Measured promises: ``python -m benchmarks [NAME …] [--json] [--check]``.

Both sides of a comparison run in one process, in turns, against the emulator in a
process of its own. What is compared is the client's CPU time or its waiting time;
trust the ratios, not the microseconds.
"""
