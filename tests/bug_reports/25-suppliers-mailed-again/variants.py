JOB = "notify-suppliers"

BASE = "mistake"
VARIANTS = [
    {
        "id": "fixed",
        "kind": "correct",
        "job": JOB,
        "what": "Each supplier's mail is noted by itself and left out by later attempts; one that the relay refused is taken back",
        "edits": [
            (
                "market/worker.py",
                "            await mailer.report(address, cycle, supplier)\n",
                "            if store.note(cycle, supplier):\n"
                "                try:\n"
                "                    await mailer.report(address, cycle, supplier)\n"
                "                except mailer.MailError:\n"
                "                    store.take_back(cycle, supplier)\n"
                "                    raise\n",
            ),
            (
                "market/store.py",
                "def close(cycle):\n",
                "def note(cycle, supplier):\n"
                "    with connect() as db:\n"
                "        sql = \"update suppliers set notified = 1 where cycle = ? and name = ? and notified = 0\"\n"
                "        return db.execute(sql, (cycle, supplier)).rowcount == 1\n"
                "\n\n"
                "def take_back(cycle, supplier):\n"
                "    with connect() as db:\n"
                "        db.execute(\"update suppliers set notified = 0 where cycle = ? and name = ?\", (cycle, supplier))\n"
                "        db.execute(\"update cycles set mails_sent = 0 where id = ?\", (cycle,))\n"
                "\n\n"
                "def close(cycle):\n",
            ),
            (
                "market/store.py",
                "set mails_sent = 1 where id = ?\", (cycle,))",
                "set mails_sent = 1 where id = ?1 and not exists (select 1 from suppliers where cycle = ?1 and not notified)\", (cycle,))",
            ),
            ("market/store.py", "address text, primary", "address text, notified integer default 0, primary"),
        ],
    },
]
