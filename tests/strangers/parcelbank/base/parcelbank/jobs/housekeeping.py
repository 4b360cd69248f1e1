from parcelbank import payouts
from parcelbank.app import app


@app.task(name="parcelbank.publish_outbox")
def publish_outbox():
    return payouts.publish_pending()


@app.task(name="parcelbank.republish_stuck")
def republish_stuck():
    return payouts.republish_stuck()
