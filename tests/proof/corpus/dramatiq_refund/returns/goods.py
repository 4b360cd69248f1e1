"""Returns: what the warehouse calls when the goods are back."""

from returns import db, jobs


def accept(return_id: int, cents: int) -> None:
    """Stores an accepted return and has it refunded, after the commit. Calling it again is safe."""
    with db.transaction() as connection:
        connection.execute("INSERT INTO returns VALUES (?, ?) ON CONFLICT (id) DO NOTHING", (return_id, cents))
    jobs.refund.send(return_id=return_id, cents=cents)
