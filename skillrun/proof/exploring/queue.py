"""The virtual queue: what is delivered, and what the library does with a message afterwards."""

from __future__ import annotations

import contextlib
from dataclasses import replace

from skillrun.proof import ticks
from skillrun.proof.broker import lose_messages
from skillrun.proof.exploring.rivalry import RivalsRoom
from skillrun.proof.exploring.run import Run, Waiting
from skillrun.proof.history import Delivery, Event, list_written_keys, writes_to_cache
from skillrun.proof.orders import victim
from skillrun.proof.rows import empty_caches
from skillrun.proof.same_job import find_other_jobs
from skillrun.proof.state import StateError, count

# The last tick of the day that begins at one: half an hour before the next day.
_REST_OF_DAY_S = 22.5 * 3600.0
# A callback counts a quarter of a delivery towards the limit: a library may call several after one.
_CALLBACKS_A_DELIVERY = 4
# What divides itself into more messages than this, and each of them again, has no end that one
# could wait for.
_MOST_PARTS = 20
# More deaths of one message than anybody would call a bound.
_MOST_DEATHS = 21


class Queue(RivalsRoom):
    """Delivers what waits, in the order of its time."""

    def _drain_queue(self, run: Run) -> None:
        """Delivers messages until none waits any more, or the limit of deliveries is met; or the
        next one is to stand still, see `outlasting`.
        """
        while run.queue and self._may_deliver_more(run):
            if run.schedule.outlasting == run.count + 1 and not run.is_outlasted:
                return
            if run.schedule.emptied == run.count and not run.emptied:
                self._empty_broker(run)
                return
            waiting = min(run.queue, key=lambda item: item.due)
            run.queue.remove(waiting)
            if waiting.due > run.now:
                self._pass_time(run, waiting.due - run.now)
            self._deliver_message(run, waiting)
            if run.schedule.redis_emptied == run.count:
                self._forget_written_keys(run)

    def _forget_written_keys(self, run: Run) -> None:
        """Deletes the keys that the job, and not its library, has written to Redis: the server
        comes back without them. And what its cache holds, where that is a table.
        """
        if any(any(map(writes_to_cache, one.all("at"))) for one in run.deliveries):
            empty_caches(self.store)
        names = set[str]()
        for delivery in run.deliveries:
            for event in delivery.all("at"):
                names.update(list_written_keys(event))
        for server in self.workplace.servers:
            if server.name == "redis":
                server.forget(names)

    def _empty_broker(self, run: Run) -> None:
        """Removes every message that waits or is scheduled; nobody publishes it again."""
        run.deliveries.append(lose_messages(run.deliveries, len(run.queue), run.now))
        run.queue.clear()
        run.emptied = True
        self._forget_ids()

    def _forget_ids(self) -> None:
        """Deletes what the library keeps of its jobs: an id that was in use is free again."""
        if not self.facts.redis_keys:
            return
        for server in self.workplace.servers:
            if server.name == "redis":
                server.forget_beginning(self.facts.redis_keys)

    def _may_deliver_more(self, run: Run) -> bool:
        """Whether the schedule is below its limit of deliveries, and nothing has hung. A schedule
        that comes to the limit has nothing that bounds it. Idle ticks are not counted.
        """
        if run.hung is not None or run.count == run.until:
            return False
        count = max(run.count - run.idle, run.callbacks // _CALLBACKS_A_DELIVERY)
        return count < self._limit_deliveries(run)

    def _limit_deliveries(self, run: Run) -> int:
        """How many deliveries a schedule may take. Each copy that waited may use up all attempts,
        and so may each of the messages into which a job divides itself.
        """
        if run.schedule.dies_each_time:
            return max(self.limit, _MOST_DEATHS)
        # The limit has room for two jobs.
        limit_of_job = self.limit // 2
        return self.limit * run.schedule.waiting + limit_of_job * (run.widest - 1)

    def _count_delivery(self, run: Run, waiting: Waiting) -> None:
        """Adds one to the run's deliveries to the handler, or to those to its callbacks."""
        if waiting.op == "callback":
            run.callbacks += 1
        else:
            run.count += 1

    def _deliver_message(self, run: Run, waiting: Waiting) -> Delivery:
        """Runs one delivery with the faults that the schedule has for it, and does to the queue
        what it said.
        """
        self._count_delivery(run, waiting)
        zygote = "main"
        if run.schedule.fresh and run.count > 1:
            zygote = "fresh"
        plan = {}
        if not waiting.again:
            plan = self.orders.of_delivery(run.schedule, run.count)
        rival = self.orders.find_rival(run.schedule, run.count)
        if rival is not None and waiting.op == "deliver":
            delivery = self._run_beside_rival(run, waiting, plan, rival)
        else:
            delivery = self._run_process(
                run, waiting.op, [waiting.message], job=waiting.job, plan=plan, zygote=zygote
            )
        delivery = replace(delivery, parent=waiting.parent)
        self._settle_delivery(run, waiting, delivery)
        return delivery

    def _settle_delivery(self, run: Run, waiting: Waiting, delivery: Delivery) -> None:
        """Does to the queue what the delivery said, or what the library said after its death."""
        idempotency = self.workplace.spec.idempotency
        if idempotency is not None and waiting.op == "deliver":
            others = find_other_jobs(delivery, waiting.message, idempotency.key)
            delivery = replace(delivery, other_jobs=others)
        run.deliveries.append(delivery)
        run.widest = max(run.widest, min(len(delivery.sent_to_handler), _MOST_PARTS))
        endless = delivery.first("endless")
        if endless is not None:
            run.hung = str(endless["at"])
            return
        self._take_published(run, delivery, waiting.job)
        if self.polled:
            # What started it is away as well, until a move brings its next tick.
            if not (delivery.died and run.schedule.lose):
                self._plan_next_tick(run, waiting, delivery)
            return
        settled = delivery.settled
        if settled is None and (delivery.died or _has_broken_down(delivery)):
            if run.schedule.lose:
                run.queue = [item for item in run.queue if item.job != waiting.job]
                # A message that comes back later was kept somewhere, and so was what belongs to it.
                if not run.schedule.has_move("redeliver"):
                    self._forget_ids()
                return
            settled = self._ask_after_death(run, waiting)
        if settled is None:
            run.notes.append("the driver did not say what became of a message")
            return
        self._note_early_letter(run, delivery)
        if settled["how"] == "requeued":
            message = settled["message"] or waiting.message
            again = waiting.op == "callback"
            due = run.now + float(settled["delay"])
            parent = delivery.number
            run.queue.append(Waiting(dict(message), due, waiting.job, waiting.op, again, parent))
        elif waiting.op == "deliver":
            run.dead += settled["how"] == "dead"
            run.lost += settled["how"] == "lost"

    def _ask_after_death(self, run: Run, waiting: Waiting) -> Event | None:
        """What the library does with the message of a process that died."""
        who = victim(run.schedule, run.count)
        after = self._run_process(run, "died", [waiting.message, who], job=waiting.job)
        run.deliveries.append(after)
        self._take_published(run, after, waiting.job)
        return after.settled

    def _plan_next_tick(self, run: Run, waiting: Waiting, delivery: Delivery) -> None:
        """Queues the next tick of a poller, which comes again whatever happened. After a fault
        there are ticks until nothing more can come of that.
        """
        is_first_of_poison = run.schedule.poison is not None and run.count == 1
        if ticks.is_faulty(delivery) or is_first_of_poison:
            run.tries += 1
            run.since = run.now
            run.follow = self._list_waits_after_fault(run)
        elif ticks.is_idle(delivery):
            run.idle += 1
        elif run.follow and not self.orders.items:
            # It did something: one tick more, to see that nothing is left. Of several pieces of
            # work it was perhaps another one.
            run.since = run.now
            run.follow = [ticks.find_tick_s(self.workplace.spec)]
        self._plan_second_look(run, delivery)
        if run.follow and not run.queue:
            run.queue.append(Waiting(waiting.message, run.since + run.follow.pop(0), waiting.job))

    def _plan_second_look(self, run: Run, delivery: Delivery) -> None:
        """Puts one look in front of the others where a tick wrote something: what it gave back is
        taken up by the next one, and not hours later by the next look. Those that come after this
        look are where they were.
        """
        is_first_look = not run.is_second_look
        run.is_second_look = False
        if not run.follow or ticks.is_faulty(delivery) or not ticks.has_written(delivery):
            return
        soon = run.now - run.since + ticks.find_tick_s(self.workplace.spec)
        if is_first_look and soon < run.follow[0]:
            run.follow.insert(0, soon)
            run.is_second_look = True

    def _follow_return(self, run: Run) -> None:
        """Plans the ticks behind one that comes after an outage: the first may only give back what
        the dead one held, and the others take it up.
        """
        tick_s = ticks.find_tick_s(self.workplace.spec)
        run.since = run.now
        run.follow = [tick_s, 2 * tick_s]

    def _list_waits_after_fault(self, run: Run) -> list[float]:
        """After how many seconds each of the ticks comes that follow a fault. Where each day's
        ticks are a job of their own, there is the next tick and no later one of another day.
        """
        waits = ticks.list_looks(self.workplace.spec, run.schedule, run.tries)
        if not self.daily:
            return waits
        end_of_day = self.base + _REST_OF_DAY_S
        later = [wait for wait in waits[1:] if run.now + wait < end_of_day]
        return [*waits[:1], *later]

    def _note_early_letter(self, run: Run, delivery: Delivery) -> None:
        """Sets `run.early` to this delivery where there is a dead letter of the job already, though
        the job will come again.
        """
        query = self.workplace.proof.dead_letters
        if query is None or run.early or not delivery.will_retry:
            return
        # After a death one may rightly be there: it died while it gave the job up.
        if run.schedule.has_crash or run.schedule.family not in ("error", "exhaustion"):
            return
        with contextlib.suppress(StateError):
            if count(self.store, self.workplace.fill_in(query)):
                run.early = delivery.number

    def _take_published(self, run: Run, delivery: Delivery, job: int) -> None:
        """Queues the messages that a delivery published to the handler and to its callbacks."""
        for event in delivery.all("published"):
            if event["callback"]:
                op = "callback"
            elif event["to_handler"]:
                op = "deliver"
            else:
                continue
            due = run.now + float(event["delay"])
            parent = delivery.number
            run.queue.append(Waiting(dict(event["message"]), due, job, op, parent=parent))

    def _pass_time(self, run: Run, seconds: float) -> None:
        """Moves the proof's clock and those of the servers on: what expires in Redis does so."""
        run.now += seconds
        self.workplace.jump(seconds)


def _has_broken_down(delivery: Delivery) -> bool:
    """Whether an injected error came out of the library's own code, at which its worker ends."""
    problem = delivery.first("probe-error")
    return problem is not None and bool(problem["injected"])
