import json
import os

from sqlalchemy import Column, Integer, MetaData, String, Table, create_engine, insert, select, update

engine = create_engine(os.environ["CHARGING_DATABASE"])
metadata = MetaData()
notices = Table(
    "notices",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("address", String),
    Column("text", String),
    Column("sent", Integer, default=0),
)
dead = Table("dead_notices", metadata, Column("message", String, primary_key=True), Column("reason", String))


def load(notice_id):
    with engine.begin() as con:
        return con.execute(select(notices.c.address, notices.c.text, notices.c.sent).where(notices.c.id == notice_id)).first()


def mark_sent(notice_id):
    with engine.begin() as con:
        con.execute(update(notices).where(notices.c.id == notice_id).values(sent=1))


def bury(message, reason):
    with engine.begin() as con:
        con.execute(insert(dead).prefix_with("or ignore").values(message=json.dumps(message, sort_keys=True), reason=reason))


if __name__ == "__main__":
    metadata.create_all(engine)
    with engine.begin() as con:
        rows = [{"id": n, "address": f"driver{n}@ev.example", "text": "Charging is done", "sent": 0} for n in (1, 2)]
        con.execute(insert(notices), rows)
