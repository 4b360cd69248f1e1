JOB = "campaign-mail"

BASE = "mistake"
VARIANTS = [
    {
        "id": "fixed",
        "kind": "correct",
        "job": JOB,
        "what": "A mail is marked as sent after the transport has taken it",
        "edits": [
            ("campaign/actors.py", "    store.mark_sent(mail_id)\n    try:\n", "    try:\n"),
            (
                "campaign/actors.py",
                "            return store.fail(message, \"throttled\")\n        raise\n",
                "            return store.fail(message, \"throttled\")\n        raise\n    store.mark_sent(mail_id)\n",
            ),
        ],
    },
]
