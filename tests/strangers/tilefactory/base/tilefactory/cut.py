"""Cut the new features of a layer into batches."""
import sys

from tilefactory import db

BATCH_SIZE = 500


def cut(layer: str) -> list[int]:
    made = []
    with db.transaction() as tx:
        ids = [row["id"] for row in tx.execute(
            "select id from features where layer = ? and batch_id is null order by id", (layer,))]
        for start in range(0, len(ids), BATCH_SIZE):
            batch_id = tx.execute("insert into batches (layer) values (?)", (layer,)).lastrowid
            tx.executemany("update features set batch_id = ? where id = ?",
                           [(batch_id, one) for one in ids[start:start + BATCH_SIZE]])
            made.append(batch_id)
    return made


if __name__ == "__main__":
    print(*cut(sys.argv[1]))
