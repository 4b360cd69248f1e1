JOB = "confirmation-mail"

BASE = "mistake"
VARIANTS = [
    {
        "id": "fixed",
        "kind": "correct",
        "job": JOB,
        "what": "The task is published on commit",
        "edits": [
            (
                "cride/accounts.py",
                "        publish(user.pk)\n    return",
                "        transaction.on_commit(lambda: publish(user.pk))\n    return",
            ),
        ],
    },
]
