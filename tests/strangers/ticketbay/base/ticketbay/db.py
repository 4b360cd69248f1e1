import sys

from sqlalchemy import create_engine
from sqlalchemy.orm import sessionmaker

from .models import PLACED, REFUND_DUE, Base, Order, utcnow
from .settings import settings

_options = {"connect_args": {"timeout": 20}} if settings.database_url.startswith("sqlite") else {}
engine = create_engine(settings.database_url, **_options)
Session = sessionmaker(engine)


def create_schema() -> None:
    Base.metadata.create_all(engine)


def demo() -> None:
    now = utcnow()
    with Session.begin() as session:
        session.add_all([
            Order(id=1, event="Jazz am See", buyer="ada@example.org", card_token="card_ada",
                  amount_cents=12800, status=PLACED, touched_at=now),
            Order(id=2, event="Derby", buyer="ben@example.org", card_token="card_ben",
                  amount_cents=4500, status=REFUND_DUE, charge_id="ch_900",
                  published_at=now, touched_at=now),
            Order(id=3, event="Derby", buyer="eva@example.org", card_token="card_eva",
                  amount_cents=9000, status=PLACED, published_at=now, touched_at=now),
        ])


if __name__ == "__main__":
    create_schema()
    if "--demo" in sys.argv[1:]:
        demo()
