JOB = "embed-pending"

BASE = "mistake"
VARIANTS = [
    {
        "id": "fixed",
        "kind": "correct",
        "job": JOB,
        "what": "The sweep releases claims of any worker that are older than fifteen minutes",
        "edits": [
            ("hindsight_lite/poller.py", "worker_id = ?\", (WORKER_ID,))", "claimed_at < ?\", (time.time() - 900,))"),
        ],
    },
]
