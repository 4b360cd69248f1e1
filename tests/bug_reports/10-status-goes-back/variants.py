JOB = "route-webhook"

BASE = "mistake"
VARIANTS = [
    {
        "id": "fixed",
        "kind": "correct",
        "job": JOB,
        "what": "The status 'published' is written only where there is no later one",
        "edits": [
            (
                "linker/deliveries.py",
                "do update set status = excluded.status\n",
                "do update set status = excluded.status where excluded.status <> 'published'\n",
            ),
        ],
    },
]
