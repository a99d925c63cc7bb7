"""The report of a run: start reading at `page.py`, or at `findings.py` for what went wrong.

Importing this loads nothing; matplotlib and PyAV are optional, and imported when needed.
"""
