"""Diagnosis of a run: one rule for each symptom, a function of the rows of `stats.jsonl` so far.

Start reading at `watch.py`. Training adds each row as it comes (`Watch.look`), and the report replays
all rows (`diagnose`), so both name the same symptoms. `evaluated.py` judges the rows of `metrics.jsonl`.
"""

from impasto.diagnosis.signs import LEAST_STEPS, TITLES, Finding, Setup, Sign
from impasto.diagnosis.watch import (
    BEGUN,
    EVENTS,
    GAVE_UP,
    PASSED,
    WENT_BACK,
    Watch,
    diagnose,
    replay,
)

__all__ = [
    "BEGUN",
    "EVENTS",
    "GAVE_UP",
    "LEAST_STEPS",
    "PASSED",
    "TITLES",
    "WENT_BACK",
    "Finding",
    "Setup",
    "Sign",
    "Watch",
    "diagnose",
    "replay",
]
