JOB = "fetch-trades"

BASE = "mistake"
VARIANTS = [
    {
        "id": "fixed",
        "kind": "correct",
        "job": JOB,
        "what": "The lock is a transaction's, so it lasts as long as the run and ends with it",
        "edits": [
            (
                "exchange/locks.py",
                "    with db:\n        taken = db.execute(TAKE, (name, time.time() + TTL, time.time())).rowcount\n"
                "    if not taken:\n        yield False\n        return\n",
                "    db.execute(\"begin immediate\")\n",
            ),
            (
                "exchange/locks.py",
                "        with db:\n            db.execute(\"delete from locks where name = ?\", (name,))\n",
                "        db.rollback()\n",
            ),
        ],
    },
]
