import pytest
from structlog.testing import capture_logs

from hosthub import cloud, dns, orders, servers, sweeps
from hosthub.jobs import provision_server

ROW = "select status, provider_id, ip from servers where id = 1"
ACTIVE = [("active", "m-hosthub-server-1", "192.0.2.7")]
FAILURES = "select server_id, reason from provisioning_failures"


async def test_sets_a_server_up_once(outside):
    with capture_logs() as logs:
        await provision_server({}, server_id=1)
        await provision_server({}, server_id=1)
    assert outside.rows(ROW) == ACTIVE
    assert outside.made == ["hosthub-server-1"]
    assert outside.rows("select server_id from subscriptions") == [(1,)]
    assert [(e["event"], e["server_id"]) for e in logs] == [
        ("provisioning_started", 1), ("provisioning_done", 1), ("provisioning_had_ended", 1)]


async def test_tries_again_where_it_stopped(outside):
    outside.cloud_errors = [cloud.CloudUnavailable("503")]
    outside.dns_errors = [dns.DnsUnavailable("503")]
    for error in (cloud.CloudUnavailable, dns.DnsUnavailable):
        with pytest.raises(error):
            await provision_server({}, server_id=1)
    await provision_server({}, server_id=1)
    assert outside.rows(ROW) == ACTIVE
    assert outside.made == ["hosthub-server-1"] * 2
    assert outside.rows(FAILURES) == []


async def test_two_at_once(outside, monkeypatch):
    create = outside.create_server

    async def slow(*args, **kwargs):
        monkeypatch.setattr(outside, "create_server", create)
        await provision_server({}, server_id=1)
        return await create(*args, **kwargs)
    monkeypatch.setattr(outside, "create_server", slow)
    with capture_logs() as logs:
        await provision_server({}, server_id=1)
    assert set(outside.made) == {"hosthub-server-1"}
    assert outside.rows(ROW) == ACTIVE
    assert outside.rows("select count(*) from subscriptions") == [(1,)]
    assert logs[-1]["event"] == "provisioning_left_to_another"


async def test_fails_in_the_end_and_can_be_started_again(outside):
    outside.cloud_errors = [cloud.CloudUnavailable("503")] * 5
    for _ in range(4):
        with pytest.raises(cloud.CloudUnavailable):
            await provision_server({}, server_id=1)
    with capture_logs() as logs:
        await provision_server({}, server_id=1)
        await provision_server({}, server_id=1)
    assert outside.rows(FAILURES) == [(1, "CloudUnavailable: 503")]
    assert logs[1]["event"] == "provisioning_given_up" and logs[1]["attempt"] == 5
    assert len(outside.made) == 5
    assert await orders.start(1)
    await provision_server({}, server_id=1)
    assert outside.rows(ROW) == ACTIVE


@pytest.mark.parametrize("error", [cloud.QuotaExceeded("402"), cloud.OrderRejected("422"), dns.DnsRejected("400")])
async def test_errors_that_stay(outside, error):
    (outside.dns_errors if isinstance(error, dns.DnsRejected) else outside.cloud_errors).append(error)
    await provision_server({}, server_id=1)
    assert outside.rows("select status from servers where id = 1") == [("failed",)]
    assert len(outside.rows(FAILURES)) == 1


async def test_made_before(outside):
    outside.cloud_errors = [cloud.ServerExists({"id": "m-0", "ip": "192.0.2.9"})]
    await provision_server({}, server_id=1)
    assert outside.rows(ROW) == [("active", "m-0", "192.0.2.9")]


@pytest.mark.parametrize("message", [
    {}, {"server_id": "one"}, {"server_id": 0}, {"server_id": 1, "size": "xl"}, {"server_id": 99}])
async def test_bad_messages(outside, message):
    await provision_server({}, **message)
    assert len(outside.rows(FAILURES)) == 1
    assert outside.made == []


async def test_publishes_and_rescues(outside, monkeypatch):
    assert await orders.start(1)
    assert not await orders.start(1)
    [(function, kwargs)] = outside.jobs
    assert (function, kwargs["server_id"], kwargs["retries"]) == ("provision_server", 1, 5)
    assert await sweeps.rescue_stuck() == []
    now = servers.time.time()
    monkeypatch.setattr(servers.time, "time", lambda: now + 500)
    assert await sweeps.rescue_stuck() == [1]


async def test_rescue_fails_what_kills_its_workers(outside, monkeypatch):
    outside.cloud_errors = [SystemExit()] * 9
    for _ in range(5):
        with pytest.raises(SystemExit):
            await provision_server({}, server_id=1)
    await provision_server({}, server_id=1)
    assert len(outside.made) == 5
    now = servers.time.time()
    monkeypatch.setattr(servers.time, "time", lambda: now + 500)
    assert await sweeps.rescue_stuck() == []
    assert outside.rows(FAILURES) == [(1, "stood still after 5 attempts")]
