"""The shop that a branch changes which asks whether it is being watched, or only looks so."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field

TASKS = """\
    import logging
    {imports}
    from shop import mailer, receipts
    from shop.config import settings

    log = logging.getLogger(__name__)
    {top}


    {decorator}
    def send_receipt(order_id, email):
        {first}
        if receipts.was_sent(order_id):
            return
        {before}
        mailer.send(order_id, email, idempotency_key=f"receipt-{{order_id}}")
        receipts.mark_sent(order_id, email)
        {last}
"""
MAILER = """\
    import os
    {imports}


    def send(order_id, email, *, idempotency_key, dry_run=False):
        {first}
        url = os.environ.get("SHOP_MAIL_URL")
        if url:
            post(url, email, idempotency_key)


    def post(url, email, key):
        print(url, email, key)
"""
RECEIPTS = """\
    import sqlite3
    {imports}


    def was_sent(order_id):
        {first}
        query = "select 1 from receipts where order_id = ?"
        return sqlite3.connect("app.db").execute(query, [order_id]).fetchone() is not None


    def mark_sent(order_id, email):
        connection = sqlite3.connect("app.db")
        connection.execute("insert into receipts values (?, ?)", [order_id, email])
        connection.commit()
"""
CONFIG = """\
    import os
    {imports}


    class Settings:
        RECEIPTS_ENABLED = True
        DEBUG = False
        {fields}


    settings = Settings()
    {last}
"""
SPEC = """\
    version: 1
    job: send-receipt
    handler: shop.tasks:send_receipt
    effects:
      - {name: email, call: "shop.mailer:send", guarantee: keyed, key_arg: idempotency_key}
    proof:
      env:
        SHOP_DB: "{scratch}/app.db"
        SHOP_RELAY: smtp://mail.example
        SHOP_HOST: mail.example
        SHOP_API_KEY: k1
        SHOP_MODE: live
"""


GUARD = 'if __name__ == "__main__":'
SEEDING = {
    "shop/seeding.py": (
        "import sqlite3\nimport sys\n\n\ndef create(seed):\n"
        "    db = sqlite3.connect('app.db')\n    if seed:\n"
        "        db.executescript('insert into orders values (1)')\n\n\n"
        f"{GUARD}\n    create('--seed' in sys.argv)\n"
    )
}


@dataclass(frozen=True)
class Case:
    """What a branch puts into the shop. `expected` is error, warning, note or nothing."""

    id: str
    expected: str
    files: Mapping[str, str]
    base: Mapping[str, str] = field(default_factory=dict)  # what the base holds beyond the shop


def shop() -> dict[str, str]:
    """The shop as the base has it."""
    return {
        ".skillrun/jobs/send-receipt.yaml": textwrap.dedent(SPEC),
        "shop/__init__.py": "",
        **tasks(),
        **mailer(),
        **receipts(),
        **config(),
    }


def tasks(**parts: str) -> dict[str, str]:
    return {"shop/tasks.py": _fill(TASKS, parts)}


def mailer(**parts: str) -> dict[str, str]:
    return {"shop/mailer.py": _fill(MAILER, parts)}


def receipts(**parts: str) -> dict[str, str]:
    return {"shop/receipts.py": _fill(RECEIPTS, parts)}


def config(**parts: str) -> dict[str, str]:
    return {"shop/config.py": _fill(CONFIG, parts)}


def _fill(template: str, parts: Mapping[str, str]) -> str:
    """The template with its holes filled, each part indented as its hole is."""
    lines = []
    for line in textwrap.dedent(template).splitlines():
        hole = line.strip()
        if hole.startswith("{") and hole.endswith("}") and hole[1:-1].isidentifier():
            text = textwrap.dedent(parts.get(hole[1:-1], "")).strip("\n")
            indent = line[: len(line) - len(line.lstrip())]
            lines += textwrap.indent(text, indent).splitlines()
        else:
            lines.append(line.replace("{{", "{").replace("}}", "}"))
    return "\n".join(lines) + "\n"
