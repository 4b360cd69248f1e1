JOB = "await-video"

BASE = "mistake"
VARIANTS = [
    {
        "id": "fixed",
        "kind": "correct",
        "job": JOB,
        "what": "The task looks at its own count of retries to see its last attempt",
        "edits": [
            (
                "video/tasks.py",
                "        try:\n            raise self.retry(exc=error, countdown=15 * 2**self.request.retries)\n        except MaxRetriesExceededError:\n"
                "            return library.give_up(message, \"not processed\")\n",
                "        if self.request.retries >= self.max_retries:\n            return library.give_up(message, \"not processed\")\n"
                "        raise self.retry(exc=error, countdown=15 * 2**self.request.retries)\n",
            ),
        ],
    },
]
