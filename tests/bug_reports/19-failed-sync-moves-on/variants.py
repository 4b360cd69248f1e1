JOB = "sync-source"

BASE = "mistake"
VARIANTS = [
    {
        "id": "fixed",
        "kind": "correct",
        "job": JOB,
        "what": "Only a successful run moves the checkpoint, to its own beginning",
        "edits": [
            (
                "sources/worker.py",
                "    finally:\n        db.touch(source, datetime.now(timezone.utc).isoformat())\n",
                "    db.touch(source, began)\n",
            ),
            ("sources/worker.py", "    since = row[0]\n", "    since, began = row[0], datetime.now(timezone.utc).isoformat()\n"),
        ],
    },
]
