JOB = "digest-run"

BASE = "mistake"
VARIANTS = [
    {
        "id": "fixed",
        "kind": "correct",
        "job": JOB,
        "what": "The sweep publishes unprocessed digest runs, too",
        "edits": [
            (
                "alerts/sweep.py",
                "    return len(messages)\n",
                "        runs = con.execute(LOST.format(table=\"digest_runs\"), (before,)).fetchall()\n"
                "    for (day,) in runs:\n"
                "        jobs.queue().enqueue(jobs.digest_run, {\"day\": day}, **jobs.JOB_OPTIONS)\n"
                "    return len(messages) + len(runs)\n",
            ),
        ],
    },
]
