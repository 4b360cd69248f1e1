JOB = "consume-knowledge"

BASE = "mistake"
VARIANTS = [
    {
        "id": "fixed",
        "kind": "correct",
        "job": JOB,
        "what": "The run takes the write lock before it reads what is unconsumed",
        "edits": [
            ("librarian/runner.py", "        rows = db.execute(UNCONSUMED", "        db.execute(\"begin immediate\")\n        rows = db.execute(UNCONSUMED"),
        ],
    },
]
