JOB = "call-method"

BASE = "mistake"
VARIANTS = [
    {
        "id": "fixed",
        "kind": "correct",
        "job": JOB,
        "what": "What is logged, stored or shown is the message without the password",
        "edits": [
            ("erp/tasks.py", "log.warning(\"attempt %s of %s failed: %s\", self.request.retries + 1, message, error)", "log.warning(\"attempt %s of %s failed: %s\", self.request.retries + 1, shown(message), error)"),
            ("erp/tasks.py", "json.dumps(message, sort_keys=True), reason))", "json.dumps(shown(message), sort_keys=True), reason))"),
            (
                "erp/tasks.py",
                "def bury(message, reason):\n",
                "def shown(message):\n"
                "    return {name: \"***\" if name == \"password\" else value for name, value in message.items()}\n"
                "\n\n"
                "def bury(message, reason):\n",
            ),
            (
                "erp/tasks.py",
                "    call_method.delay(message)\n",
                "    call_method.apply_async(args=[message], argsrepr=repr((shown(message),)))\n",
            ),
            (
                "erp/tasks.py",
                "raise self.retry(exc=error, countdown=30)",
                "raise self.retry(exc=error, countdown=30, argsrepr=repr((shown(message),)))",
            ),
        ],
    },
]
