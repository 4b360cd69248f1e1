"""What the clerk at the counter does."""
import time
from contextlib import closing

from busverkehr import store


def report_loss(ticket_no, holder, street, town, zones, valid_until):
    """A ticket is lost; tonight's run orders another one. The id of its row, also if it was reported before."""
    with closing(store.connect()) as connection, store.transaction(connection):
        connection.execute(
            "insert or ignore into replacements (ticket_no, holder, street, town, zones, valid_until, reported_at)"
            " values (?, ?, ?, ?, ?, ?, ?)",
            (ticket_no, holder, street, town, zones, valid_until, int(time.time())),
        )
        return connection.execute("select id from replacements where ticket_no = ?", (ticket_no,)).fetchone()["id"]


def failed_orders():
    """For the list that lies on the counter in the morning."""
    with closing(store.connect()) as connection:
        rows = connection.execute(
            "select r.ticket_no, f.reason from failed_orders f join replacements r on r.id = f.replacement_id order by r.id"
        )
        return [tuple(row) for row in rows]
