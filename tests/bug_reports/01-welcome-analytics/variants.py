JOB = "welcome-account"

BASE = "mistake"
VARIANTS = [
    {
        "id": "fixed",
        "kind": "correct",
        "job": JOB,
        "what": "The mail is stamped on the account before it goes out; an attempt that finds the stamp goes straight to analytics, and a relay that could not be reached takes the stamp back",
        "edits": [
            (
                "classroom/tasks.py",
                "        mailer.send_welcome(account[\"email\"], account[\"name\"])\n",
                "        if store.stamp(account[\"id\"]):\n"
                "            try:\n"
                "                mailer.send_welcome(account[\"email\"], account[\"name\"])\n"
                "            except smtplib.SMTPConnectError:\n"
                "                store.take_back(account[\"id\"])\n"
                "                raise\n",
            ),
            (
                "classroom/store.py",
                "def finish(account_id):\n",
                "def stamp(account_id):\n"
                "    with connect() as db:\n"
                "        return db.execute(\"update accounts set mailed = 1 where id = ? and mailed = 0\", (account_id,)).rowcount == 1\n"
                "\n\n"
                "def take_back(account_id):\n"
                "    with connect() as db:\n"
                "        db.execute(\"update accounts set mailed = 0, welcomed = 0 where id = ?\", (account_id,))\n"
                "\n\n"
                "def finish(account_id):\n",
            ),
            ("classroom/store.py", "welcomed = 1 where id = ?\"", "welcomed = 1 where id = ? and mailed = 1\""),
            ("classroom/store.py", "email text, welcomed", "email text, mailed integer default 0, welcomed"),
        ],
    },
]
