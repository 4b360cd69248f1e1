import os

DB = os.environ.get("HOOKS_DB", "hooks.db")
QUEUE = os.environ.get("HOOKS_QUEUE", "queue.db")  # a file, or "memory"
TIMEOUT = float(os.environ.get("HOOKS_TIMEOUT", "8"))
