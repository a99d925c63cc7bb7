"""What the doctor saw and did while a run was trained, see `training/doctor.py`."""

from html import escape

from impasto.report.elements import moment, table, with_code
from impasto.report.record import Event, Record


def lasting(record: Record) -> list[Event]:
    """What was seen and has not passed."""
    found: dict[str, Event] = {}
    for event in record.doctor:
        if event.kind == "begun":
            found[event.symptom] = event
        elif event.kind == "passed":
            found.pop(event.symptom, None)
    return list(found.values())


def doctor_lines(record: Record) -> list[str]:
    """For the console: what changed the run, and what has not passed."""
    still = lasting(record)
    return [
        f"doctor, after {event.images_seen:,} images: {event.words} {event.then}"
        for event in record.doctor
        if event.kind in ("went back", "gave up") or event in still
    ]


def doctor_html(record: Record) -> str:
    """A table of all events; '' where there are none."""
    if not record.doctor:
        return ""
    still = lasting(record)
    rows = [
        (
            moment(record, event.images_seen),
            [
                f'<td class="words">{escape(event.symptom)}{" (lasts)" if event in still else ""}</td>',
                f'<td class="words">{escape(event.words)}</td>',
                f'<td class="words">{with_code(event.then)}</td>',
            ],
        )
        for event in record.doctor
    ]
    head = ("Seen after", "Sign", "What was seen", "What was done, or what to try")
    return f"<h3>What the doctor saw and did on the way</h3>{table(head, rows)}"
