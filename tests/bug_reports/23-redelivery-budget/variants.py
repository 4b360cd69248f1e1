JOB = "run-agent"

BASE = "mistake"
VARIANTS = [
    {
        "id": "fixed",
        "kind": "correct",
        "job": JOB,
        "what": "A delivery beyond the budget only marks the job as failed",
        "edits": [
            (
                "xjobs/tasks.py",
                "    store.mark_running(job_id)\n",
                "    if attempts >= MAX_ATTEMPTS:\n"
                "        return store.fail(message, \"attempts used up\")\n"
                "    store.mark_running(job_id)\n",
            ),
        ],
    },
]
