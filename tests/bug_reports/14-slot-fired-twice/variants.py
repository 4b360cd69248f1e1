JOB = "weekly-brief"

BASE = "mistake"
VARIANTS = [
    {
        "id": "fixed",
        "kind": "correct",
        "job": JOB,
        "what": "A slot that the last run covers is only moved on, and the message's nonce is the slot's",
        "edits": [
            (
                "briefs/scheduler.py",
                "        run(name, channel, slot, now)\n",
                "        if last is None or last < slot:\n            run(name, channel, slot, now)\n",
            ),
            (
                "briefs/scheduler.py",
                "\"insert into runs values (?, ?)\", (name, slot))",
                "\"insert into runs select ?1, ?2 where not exists (select 1 from runs where name = ?1 and slot = ?2)\", (name, slot))",
            ),
            ("briefs/scheduler.py", "nonce=f\"{name}@{now.isoformat()}\"", "nonce=f\"{name}@{slot}\""),
        ],
    },
]
