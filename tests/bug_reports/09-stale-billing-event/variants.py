JOB = "billing-event"

BASE = "mistake"
VARIANTS = [
    {
        "id": "fixed",
        "kind": "correct",
        "job": JOB,
        "what": "An update is applied only if its event is newer than what is stored",
        "edits": [
            (
                "billing/worker.py",
                "event_at = excluded.event_at\n",
                "event_at = excluded.event_at\n    where excluded.event_at > subscriptions.event_at\n",
            ),
        ],
    },
]
