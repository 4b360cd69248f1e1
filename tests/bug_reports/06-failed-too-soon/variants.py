JOB = "atelier-webhook"

BASE = "mistake"
VARIANTS = [
    {
        "id": "fixed",
        "kind": "correct",
        "job": JOB,
        "what": "A failure is written down only when no attempt is left",
        "edits": [
            (
                "atelier/webhooks.py",
                "        record_failure(message, \"receiver busy\")\n        if attempts_left():\n            raise\n",
                "        if attempts_left():\n            raise\n        record_failure(message, \"receiver busy\")\n",
            ),
        ],
    },
]
