JOB = "send-delivery"

BASE = "mistake"
VARIANTS = [
    {
        "id": "fixed",
        "kind": "correct",
        "job": JOB,
        "what": "The sweep republishes pending rows, too; the handler's own check makes a second message harmless",
        "edits": [
            ("mb/queue.py", "where(Delivery.status == \"failed\")", "where(Delivery.status.in_([\"failed\", \"pending\"]))"),
        ],
    },
]
