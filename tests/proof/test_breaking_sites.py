"""The small breaks of a function: what they are, and that the unbroken text means the same."""

from __future__ import annotations

import textwrap

from skillrun.proof.breaking.sites import Parts, find_sites, write_sites

SOURCE = textwrap.dedent(
    '''
    def outside():
        note("never broken")


    def send(order, *, key):
        """Sends one."""
        if order.sent:
            return "known"
        log.info("sending %s", order.id)
        post(URL, order.id, headers={"Key": key})
        order.sent = True
        for line in order.lines:
            count(line)
        raise Unavailable
    '''
).encode()
PARTS = Parts(frozenset({6}))


def broken(kind: str) -> list[str]:
    return [site.text for site in find_sites(SOURCE, "a.py", PARTS) if site.kind == kind]


def test_what_can_be_left_out() -> None:
    assert [text.partition("(")[0].strip("`") for text in broken("left out")] == [
        "log.info",
        "post",
        "order.sent = True",
        "count",
        "raise Unavailable",
    ]


def test_conditions_and_values() -> None:
    assert broken("never true") == broken("always true") == ["`order.sent`"]
    assert "`key`" in broken("another value")
    assert "`order.id`" in broken("another argument")
    assert '`"known"`' in broken("another value")


def test_only_the_functions_that_are_asked_for() -> None:
    assert {site.function for site in find_sites(SOURCE, "a.py", PARTS)} == {"send"}
    assert "note('never broken')\n" in write_sites(SOURCE, "a.py", PARTS)


def test_each_site_has_its_number_in_the_text() -> None:
    text = write_sites(SOURCE, "a.py", Parts(PARTS.functions, PARTS.functions))
    for site in find_sites(SOURCE, "a.py", PARTS):
        assert text.count(f"'{site.id}'") == 1
    assert "lost()" in text


JOB = textwrap.dedent(
    """
    ACKS_LATE = True
    app.conf.update(task_acks_late=ACKS_LATE, colour="red", broker={"visibility_timeout": 60})


    class Base(Task):
        max_retries = 3


    @app.task(bind=True, name="send", max_retries=4, retry=Retry(times=2))
    def send(self, order):
        post(order)


    def note(text, retries=1):
        write(text)
    """
).encode()


def list_settings(parts: Parts) -> list[tuple[str, str]]:
    found = []
    for site in find_sites(JOB, "a.py", parts):
        if site.at_import:
            found.append((site.function, site.text.strip("`")))
    return found


def test_options_of_a_job_are_broken_where_they_are_set() -> None:
    parts = Parts(frozenset(), frozenset({11}), has_options=True)
    assert list_settings(parts) == [
        ("a.py", "ACKS_LATE=True"),
        ("a.py", "task_acks_late=ACKS_LATE"),
        ("a.py", "visibility_timeout=60"),
        ("a.py", "max_retries=3"),
        ("send", "max_retries=4"),
        ("send", "retry=Retry(times=2)"),
        ("send", "times=2"),
    ]
    text = write_sites(JOB, "a.py", parts)
    for site in find_sites(JOB, "a.py", parts):
        assert text.count(f"'{site.id}'") == 1
    compile(text, "a.py", "exec")


def test_a_file_of_which_nobody_asks_keeps_its_options() -> None:
    assert list_settings(Parts(frozenset({11}))) == []
