"""The report of a run: start reading at `page.py`, or at `findings.py` for what went wrong.

Importing this loads nothing; matplotlib and PyAV are extras, asked for when they are needed.
"""
