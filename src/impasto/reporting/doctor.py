"""The doctor's events in a run's training (`impasto.diagnosis`)."""

from impasto.diagnosis import BEGUN, GAVE_UP, PASSED, WENT_BACK
from impasto.reporting.elements import Cell, PageTable, moment, with_code, words
from impasto.reporting.record import Event, RunRecord


def lasting(record: RunRecord) -> list[Event]:
    """Symptoms that have not passed."""
    found: dict[str, Event] = {}
    for event in record.doctor:
        if event.kind == BEGUN:
            found[event.symptom] = event
        elif event.kind == PASSED:
            found.pop(event.symptom, None)
    return list(found.values())


def doctor_lines(record: RunRecord) -> list[str]:
    """Lines for the console: interventions, and symptoms that have not passed."""
    still = lasting(record)
    return [
        f"doctor, after {event.images_seen:,} images: {event.words} {event.then}"
        for event in record.doctor
        if event.kind in (WENT_BACK, GAVE_UP) or event in still
    ]


def doctor_table(record: RunRecord) -> PageTable | None:
    """A table of all events; None without any."""
    if not record.doctor:
        return None
    still = lasting(record)
    rows = [
        (
            moment(record, event.images_seen, iteration=True),
            [
                words(f"{event.symptom}{' (lasts)' if event in still else ''}"),
                words(event.words),
                Cell(code=with_code(event.then), words=True),
            ],
        )
        for event in record.doctor
    ]
    head = ("Seen after", "Sign", "What was seen", "What was done, or what to try")
    return PageTable(head, rows)
