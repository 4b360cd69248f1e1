import sys

from .db import Base, Order, Player, Session, engine


def demo() -> None:
    with Session.begin() as session:
        for player in (1, 2):
            session.merge(Player(id=player, customer=f"cus_{player}", gems=40))
        session.flush()
        for number, player in ((1001, 1), (1002, 1), (1003, 2)):
            session.merge(Order(id=f"K-{number}", player_id=player, sku="gems-500", gems=500,
                                cents=499, status="confirmed"))


if __name__ == "__main__":
    Base.metadata.create_all(engine)
    if "--demo" in sys.argv:
        demo()
