JOB = "update-course"

BASE = "mistake"
VARIANTS = [
    {
        "id": "fixed",
        "kind": "correct",
        "job": JOB,
        "what": "The lock is the operating system's on the open file, which ends with the process",
        "edits": [
            (
                "dashboard/locks.py",
                "        handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY)\n    except FileExistsError:\n        yield False\n",
                "        handle = os.open(path, os.O_CREAT | os.O_WRONLY)\n        fcntl.flock(handle, fcntl.LOCK_EX)\n    except OSError:\n        yield False\n",
            ),
            ("dashboard/locks.py", "        os.close(handle)\n        os.unlink(path)\n", "        os.close(handle)\n"),
            ("dashboard/locks.py", "import contextlib\n", "import contextlib\nimport fcntl\n"),
        ],
    },
]
