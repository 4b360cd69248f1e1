JOB = "service-callback"

BASE = "mistake"
VARIANTS = [
    {
        "id": "fixed",
        "kind": "correct",
        "job": JOB,
        "what": "Too many requests is put off like a 5xx",
        "edits": [
            ("notify/worker.py", "        passing = error.status >= 500\n", "        passing = error.status >= 500 or error.status == 429\n"),
        ],
    },
]
