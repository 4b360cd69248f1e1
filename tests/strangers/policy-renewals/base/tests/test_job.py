from renewals import config, intake
from renewals.errors import InsurerUnavailable, RenewalRefused
from renewals.job import poll_due_policies, renew_policy

DOWN = InsurerUnavailable("503")


def test_renews_once(world):
    assert renew_policy(1) == "renewed"
    assert renew_policy(1) == "already done"
    assert len(world.carrier.keys) == 1
    assert world.rows("select policy_no, premium_cents from premium_postings") == [("HH-2023-00417", 18_950)]


def test_poll_takes_all_that_is_due(world):
    intake.register(9, "HH-2024-00001", "2031-01-01", 100)
    assert poll_due_policies() == 4
    assert poll_due_policies() == 0
    assert world.rows("select count(*) from premium_postings") == [(4,)]
    assert world.status(9) == "due"


def test_waits_grow_until_it_is_dead(world):
    world.carrier.before = [DOWN] * 99
    begun, times = world.time, []
    while world.status(1) != "dead":
        renew_policy(1)
        if len(world.carrier.keys) > len(times):
            times.append(world.time - begun)
        world.time += 60
    assert times == [0, 60, 360, 1860, 9060, 16260]
    assert world.rows("select renewal_id from dead_renewals") == [(1,)]


def test_refused_is_dead_at_once(world):
    world.carrier.before = [RenewalRefused("422")]
    renew_policy(2)
    world.time += 10**5
    renew_policy(2)
    assert len(world.carrier.keys) == 1
    assert world.status(2) == "dead"


def test_lost_answer_keeps_the_key(world):
    world.carrier.after = [DOWN]
    assert renew_policy(1) == "retry"
    world.time += 60
    assert renew_policy(1) == "renewed"
    assert len(world.carrier.keys) == 2 and len(world.carrier.booked) == 1
    assert world.rows("select count(*) from premium_postings") == [(1,)]


def test_one_row_does_not_stop_the_others(world):
    world.carrier.before = [ZeroDivisionError()]
    poll_due_policies()
    assert world.rows("select count(*) from premium_postings") == [(3,)]
    poll_due_policies()
    assert world.rows("select count(*) from premium_postings") == [(3,)]
    world.time += config.LEASE
    poll_due_policies()
    assert world.rows("select count(*) from premium_postings") == [(4,)]


def test_attempts_that_kill_the_worker_count(world):
    world.carrier.before = [KeyboardInterrupt()] * 99
    for _ in range(20):
        try:
            renew_policy(1)
        except KeyboardInterrupt:
            pass
        world.time += config.LEASE
    assert len(world.carrier.keys) == config.MAX_ATTEMPTS
    assert world.rows("select renewal_id from dead_renewals") == [(1,)]


def test_not_again_once_the_key_is_forgotten(world):
    world.carrier.after = [KeyboardInterrupt()]
    try:
        renew_policy(1)
    except KeyboardInterrupt:
        pass
    world.time += 4 * 24 * 3600
    poll_due_policies()
    assert len(world.carrier.booked) == 4
    assert len([key for key in world.carrier.keys if "00417" in key]) == 1
    assert world.status(1) == "dead"
