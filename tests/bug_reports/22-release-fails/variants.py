JOB = "build-data"

BASE = "mistake"
VARIANTS = [
    {
        "id": "fixed",
        "kind": "correct",
        "job": JOB,
        "what": "A job that is done only gives its lock back",
        "edits": [
            ("tyr/tasks.py", "        build(job)\n", "        if job[\"state\"] != \"done\":\n            build(job)\n"),
            (
                "tyr/tasks.py",
                "        if con.execute(\"update jobs set state = 'done' where id = ?\", (job[\"id\"],)).rowcount:\n",
                "        if con.execute(\"update jobs set state = 'done' where id = ? and state <> 'done'\", (job[\"id\"],)).rowcount:\n",
            ),
        ],
    },
]
