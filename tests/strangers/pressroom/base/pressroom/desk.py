"""What the editors' screens call."""
import json
from contextlib import closing
from datetime import datetime

from pressroom import store


def file_article(slug: str, headline: str, body: str, tags: list[str], due_at: datetime) -> int:
    with closing(store.connect()) as db, db:
        return db.execute(
            "insert into articles (slug, headline, body, tags, due_at) values (?, ?, ?, ?, ?)",
            (slug, headline, body, json.dumps(tags), store.stamp(due_at)),
        ).lastrowid


def unspike(article_id: int) -> None:
    """Back among the planned ones, with five fresh attempts."""
    with closing(store.connect()) as db, db:
        db.execute("delete from spiked where article_id = ?", (article_id,))
        db.execute(
            "update articles set status = 'planned', attempts = 0, next_try_at = null,"
            " last_error = null where id = ? and status = 'spiked'",
            (article_id,),
        )
