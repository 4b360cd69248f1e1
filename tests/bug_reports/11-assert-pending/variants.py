JOB = "analyze-report"

BASE = "mistake"
VARIANTS = [
    {
        "id": "fixed",
        "kind": "correct",
        "job": JOB,
        "what": "An interrupted task is taken up again; only a finished one is left alone",
        "edits": [
            (
                "radiology/tasks.py",
                "    assert status == \"PENDING\", f\"task {message['task_id']} is {status}\"\n",
                "    if status == \"SUCCESS\":\n        return\n",
            ),
            ("radiology/tasks.py", "\"insert into findings values (?, ?)\"", "\"insert or replace into findings values (?, ?)\""),
        ],
    },
]
