from renewals import config
from renewals.errors import InsurerUnavailable
from renewals.job import renew_policy


def test_a_second_worker_stays_away(world):
    renew = world.carrier.renew
    others = []

    def slow(*args, **kwargs):
        world.carrier.renew = renew
        others.append(renew_policy(1))
        return renew(*args, **kwargs)

    world.carrier.renew = slow
    assert renew_policy(1) == "renewed"
    assert others != ["renewed"]
    assert world.rows("select count(*) from premium_postings") == [(1,)]


def test_a_worker_that_was_thought_dead_does_not_undo_the_other(world):
    renew = world.carrier.renew

    def frozen(*args, **kwargs):
        world.carrier.renew = renew
        world.time += config.LEASE
        assert renew_policy(1) == "renewed"
        raise InsurerUnavailable("timeout")

    world.carrier.renew = frozen
    renew_policy(1)
    assert world.status(1) == "done"
    assert world.rows("select count(*) from premium_postings") == [(1,)]
