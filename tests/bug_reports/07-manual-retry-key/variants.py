JOB = "redeliver-event"

BASE = "mistake"
VARIANTS = [
    {
        "id": "fixed",
        "kind": "correct",
        "job": JOB,
        "what": "The request's own id is part of the key",
        "edits": [
            (
                "outpost/redelivery.py",
                "key = f\"{message['event']}:{message['destination']}:manual\"",
                "key = f\"{message['event']}:{message['destination']}:{message['request']}\"",
            ),
        ],
    },
]
