"""Which refutations are told: the simplest schedule of each, and each place once."""

from __future__ import annotations

from histories import RETURNED, fault, history

from skillrun.proof.judgement import Judgement, Verdict
from skillrun.proof.result import Tried
from skillrun.proof.witnesses import MOST, choose_refutations

RULE = "attempts.permanent-retried"


def break_rule(effect: str | None, said: str, rule: str = RULE, number: int = 1) -> Tried:
    """A schedule under which an error came out of an effect, and the rule was broken."""
    schedule, told = "once", [RETURNED]
    if effect is not None:
        schedule = f"raise=app.mail:Never@before:{effect}#{number}"
        told = [fault("raise", f"before:{effect}#{number}"), RETURNED]
    seen = history(schedule, told)
    return Tried(seen.schedule, seen, (Judgement(Verdict.REFUTED, rule, said),))


def list_told(*tried: Tried) -> list[str]:
    chosen = choose_refutations(tried, fatal=False)
    return [judgement.message for (_, judgement), *_ in chosen]


def test_two_effects_that_break_one_rule_are_two_places() -> None:
    """Who mends the mail has not mended the charge."""
    mail = break_rule("email", "Never was tried 5 times")
    charge = break_rule("charge", "Declined was tried 5 times")
    assert list_told(mail, charge) == ["Never was tried 5 times", "Declined was tried 5 times"]


def test_one_effect_and_what_is_said_in_the_same_words_is_one_place() -> None:
    mail = break_rule("email", "Never was tried 5 times")
    later = break_rule("email", "Never was tried 4 times", number=2)
    assert list_told(mail, later) == ["Never was tried 5 times"]
    no_letter = "the job was given up without a dead letter"
    both = [break_rule(name, no_letter, "dead-letter.missing") for name in ("email", "charge")]
    assert list_told(*both) == [no_letter]


def test_the_first_place_of_every_rule_comes_before_the_second_of_one() -> None:
    places = [break_rule(f"effect{at}", f"tried {at} times") for at in range(MOST)]
    other = break_rule(None, "it differs", "state.differs")
    told = list_told(*places, other)
    assert len(told) == MOST
    assert "it differs" in told[:2]
