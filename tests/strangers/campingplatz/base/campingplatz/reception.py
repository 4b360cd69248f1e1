"""python -m campingplatz.reception check-in ID | parked | retry ROW"""
import sys
import time

from campingplatz import gate_queue
from campingplatz.db import connect, transaction


def check_in(booking_id: int) -> bool:
    """The guest is there, and his gate is to be opened: both or neither. A second time changes nothing."""
    with transaction() as conn:
        moved = conn.execute(
            "update bookings set status = 'arrived' where id = ? and status = 'booked'", (booking_id,)
        ).rowcount
        if moved:
            gate_queue.add(conn, booking_id, "main")
    return bool(moved)


def parked() -> list[tuple]:
    conn = connect()
    try:
        rows = conn.execute("select id, gate, attempts, last_error from gate_queue where parked_at is not null")
        return [tuple(row) for row in rows]
    finally:
        conn.close()


def retry(row_id: int) -> bool:
    """Somebody has looked at the barrier. first_try_at stays: so does the key's age."""
    with transaction() as conn:
        return bool(
            conn.execute(
                "update gate_queue set parked_at = null, attempts = 0, run_after = ? where id = ? and parked_at is not null",
                (int(time.time()), row_id),
            ).rowcount
        )


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["check-in", number]:
            sys.exit(not check_in(int(number)))
        case ["parked"]:
            for line in parked():
                print(*line, sep="\t")
        case ["retry", number]:
            sys.exit(not retry(int(number)))
        case _:
            sys.exit(__doc__)
