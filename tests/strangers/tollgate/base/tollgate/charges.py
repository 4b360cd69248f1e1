"""The tables charges and refusals."""
import psycopg

from tollgate import bank


class NoSuchPassage(Exception):
    pass


class NoMandate(Exception):
    pass


def order(conn: psycopg.Connection, ref: str) -> bool:
    """Opens the charge of a passage; False if it had been opened before."""
    return (
        conn.execute(
            "insert into charges (passage_ref) select ref from passages where ref = %s"
            " on conflict do nothing",
            (ref,),
        ).rowcount
        == 1
    )


def begin(conn: psycopg.Connection, ref: str) -> int | None:
    """Counts a try, for good: also if the worker dies in it. None: nothing is left to do."""
    with conn.transaction():
        order(conn, ref)
        row = conn.execute(
            "update charges set tries = tries + 1"
            " where passage_ref = %s and status = 'open' returning tries",
            (ref,),
        ).fetchone()
        if row:
            return row["tries"]
        if conn.execute("select 1 from charges where passage_ref = %s", (ref,)).fetchone():
            return None
    raise NoSuchPassage(f"no passage {ref}")


def settle(conn: psycopg.Connection, ref: str) -> str | None:
    """Debits one passage and notes the booking. The row stays locked meanwhile, so a second
    worker waits and then finds the work done; should we die in between, the bank knows the key."""
    with conn.transaction():
        row = conn.execute(
            "select c.status, p.amount_cents, v.mandate from charges c"
            " join passages p on p.ref = c.passage_ref left join vehicles v on v.plate = p.plate"
            " where c.passage_ref = %s for update of c",
            (ref,),
        ).fetchone()
        if row["status"] != "open":
            return None
        if row["mandate"] is None:
            raise NoMandate(f"no mandate for the vehicle of passage {ref}")
        booked = bank.gateway().charge(
            mandate=row["mandate"],
            amount_cents=row["amount_cents"],
            reference=ref,
            idempotency_key=f"toll-{ref}",
        )
        conn.execute(
            "update charges set status = 'charged', booking = %s, settled_at = now()"
            " where passage_ref = %s",
            (booked["id"], ref),
        )
        return booked["id"]


def refuse(conn: psycopg.Connection, subject: str, code: str, detail: str, tries: int) -> bool:
    """Puts the matter before the clerks, unless it has been settled meanwhile."""
    with conn.transaction():
        closed = conn.execute(
            "update charges set status = 'refused', settled_at = now()"
            " where passage_ref = %s and status = 'open'",
            (subject,),
        ).rowcount
        if not closed and conn.execute(
            "select 1 from charges where passage_ref = %s", (subject,)
        ).fetchone():
            return False
        conn.execute(
            "insert into refusals (subject, code, detail, tries) values (%s, %s, %s, %s)"
            " on conflict do nothing",
            (subject, code, detail, tries),
        )
        return True
