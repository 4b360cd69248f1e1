"""The small breaks of a function: what they are, and that the unbroken text means the same."""

from __future__ import annotations

import textwrap

from skillrun.proof.breaking.sites import find_sites, write_sites

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
LINE = 6


def broken(kind: str) -> list[str]:
    return [site.text for site in find_sites(SOURCE, "a.py", [LINE]) if site.kind == kind]


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
    assert {site.function for site in find_sites(SOURCE, "a.py", [LINE])} == {"send"}
    assert "note('never broken')\n" in write_sites(SOURCE, "a.py", [LINE], [])


def test_each_site_has_its_number_in_the_text() -> None:
    text = write_sites(SOURCE, "a.py", [LINE], [LINE])
    for site in find_sites(SOURCE, "a.py", [LINE]):
        assert text.count(f"'{site.id}'") == 1
    assert "lost()" in text
