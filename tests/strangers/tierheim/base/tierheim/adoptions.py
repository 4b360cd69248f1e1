"""What the office does with adoptions, as far as follow-ups go."""
from datetime import timedelta

from .db import transaction

AFTER_DAYS = (14, 90)


def record_adoption(conn, animal, keeper, email, adopted_on):
    with transaction(conn):
        adoption_id = conn.execute(
            "insert into adoptions (animal, keeper, email, adopted_on) values (?, ?, ?, ?)",
            (animal, keeper, email, adopted_on.isoformat()),
        ).lastrowid
        conn.executemany(
            "insert into followups (adoption_id, after_days, due_on) values (?, ?, ?)",
            [(adoption_id, days, (adopted_on + timedelta(days=days)).isoformat()) for days in AFTER_DAYS],
        )
    return adoption_id


def returned(conn, adoption_id):
    """The animal is back with us: nobody is to be asked how it settles in."""
    with transaction(conn):
        conn.execute(
            "update followups set status = 'called_off' where adoption_id = ? and status = 'due'", (adoption_id,)
        )
