import click
from flask.cli import with_appcontext

from fahrschule import charging
from fahrschule.models import Learner, Purchase, db


@click.command("init-db")
@click.option("--demo", is_flag=True)
@with_appcontext
def init_db(demo):
    db.create_all()
    if demo and not db.session.get(Learner, 1):
        db.session.add_all([
            Learner(id=1, name="Jana Behrens", card_token="card_jana", lessons_left=2),
            Learner(id=2, name="Cem Aydin", card_token="card_cem", lessons_left=0),
        ])
        db.session.flush()
        db.session.add_all([
            Purchase(id=1, learner_id=1, lessons=10, amount_cents=65000),
            Purchase(id=2, learner_id=2, lessons=5, amount_cents=33500),
            Purchase(id=3, learner_id=1, lessons=1, amount_cents=6900),
        ])
        db.session.commit()


@click.command("reopen")
@click.argument("purchase_id", type=int)
@with_appcontext
def reopen(purchase_id):
    """Charge a failed purchase again, under the same key."""
    if charging.reopen(purchase_id):
        charging.request_charge(purchase_id)
        click.echo("published")
    else:
        click.echo("not a failed purchase")
