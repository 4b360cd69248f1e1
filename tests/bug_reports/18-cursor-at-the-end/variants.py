JOB = "sync-target"

BASE = "mistake"
VARIANTS = [
    {
        "id": "fixed",
        "kind": "correct",
        "job": JOB,
        "what": "The cursor is stored after each page, whose name is made of its rows",
        "edits": [
            (
                "syncer/worker.py",
                "            cursor = rows[-1][0]\n        store.move_cursor(target, cursor)\n",
                "            cursor = rows[-1][0]\n            store.move_cursor(target, cursor)\n",
            ),
            ("syncer/worker.py", "f\"{run}-{number}\"", "f\"{target}-{rows[0][0]}-{rows[-1][0]}\""),
        ],
    },
]
