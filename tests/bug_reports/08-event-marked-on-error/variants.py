JOB = "payment-event"

BASE = "mistake"
VARIANTS = [
    {
        "id": "fixed",
        "kind": "correct",
        "job": JOB,
        "what": "An error leaves no mark; the event's id is stored with the upgrade",
        "edits": [
            ("payments/jobs.py", "        mark_processed(message[\"event_id\"], error=True)\n", ""),
        ],
    },
]
