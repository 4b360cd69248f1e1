JOB = "summarize-report"

BASE = "mistake"
VARIANTS = [
    {
        "id": "fixed",
        "kind": "correct",
        "job": JOB,
        "what": "The lock row belongs to the transaction of the summary, so an error or a crash takes it back",
        "edits": [
            ("koku_lite/cache.py", "    db.commit()\n    return taken.rowcount == 1\n", "    return taken.rowcount == 1\n"),
        ],
    },
]
