import pytest
from arq import Retry

from tidings.letters import MAX_TRIES, backoff, deliver_letter
from tidings.mailhouse import AddressRefused, MailHouseDown


class Relay:
    def __init__(self, error=None):
        self.error, self.sent = error, []

    async def send(self, *, to, subject, html, token):
        self.sent.append((to, token))
        if self.error:
            raise self.error
        return f"m-{len(self.sent)}"


async def run(relay, job_try=1, **message):
    await deliver_letter({"mail": relay, "job_try": job_try}, **message)


async def test_sends_once(rows):
    relay = Relay()
    await run(relay, issue_id=1, subscriber_id=2)
    await run(relay, issue_id=1, subscriber_id=2)
    assert [to for to, _ in relay.sent] == ["luc@example.org"]
    assert rows("select issue_id, subscriber_id, status, house_id from deliveries") == [(1, 2, "sent", "m-1")]


async def test_the_token_outlives_a_failure(rows):
    relay = Relay(MailHouseDown("503"))
    with pytest.raises(Retry):
        await run(relay, issue_id=1, subscriber_id=2)
    relay.error = None
    await run(relay, job_try=2, issue_id=1, subscriber_id=2)
    assert relay.sent[0] == relay.sent[1]


async def test_gives_up_in_the_end(rows):
    await run(Relay(MailHouseDown("503")), job_try=MAX_TRIES, issue_id=1, subscriber_id=2)
    assert rows("select status from deliveries") == [("failed",)]
    assert rows("select payload from dead_letters") == [('{"issue_id": 1, "subscriber_id": 2}',)]


@pytest.mark.parametrize("message", [{}, {"issue_id": "1", "subscriber_id": 1}, {"issue_id": 9, "subscriber_id": 1}])
async def test_nonsense_is_buried(rows, message):
    relay = Relay()
    await run(relay, **message)
    assert relay.sent == [] and rows("select count(*) from dead_letters") == [(1,)]


async def test_refused_is_buried_at_once(rows):
    await run(Relay(AddressRefused("422")), issue_id=1, subscriber_id=1)
    assert rows("select status from deliveries") == [("failed",)]
    assert rows("select count(*) from dead_letters") == [(1,)]


def test_backoff():
    assert 10 <= backoff(1) <= 20 and 90 <= backoff(3) <= 180 and backoff(9) <= 300
