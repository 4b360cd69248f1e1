JOB = "santa-mail"

BASE = "mistake"
VARIANTS = [
    {
        "id": "fixed",
        "kind": "correct",
        "job": JOB,
        "what": "The attempts are 12, 24, 48 and 96 hours apart",
        "edits": [
            ("santa/jobs.py", "Retry(max=4, interval=3)", "Retry(max=4, interval=[hours * 3600 for hours in (12, 24, 48, 96)])"),
        ],
    },
]
