"""What the standard library makes its errors of, where no test and no code of the repository shows it."""

from __future__ import annotations

import smtplib

import pytest

from skillrun.probe.names import is_unmade, make_error
from skillrun.skills.job_worker.drafting.usual_errors import find_usual_arguments


@pytest.mark.parametrize(("is_permanent", "code"), [(True, 550), (False, 451)])
@pytest.mark.parametrize("name", ["SMTPDataError", "SMTPSenderRefused", "SMTPRecipientsRefused"])
def test_an_error_of_mail_says_what_the_server_answered(
    name: str, code: int, *, is_permanent: bool
) -> None:
    path = f"smtplib:{name}"
    given = find_usual_arguments(path, is_permanent=is_permanent)
    assert given is not None
    made = make_error(path, given)
    assert not is_unmade(made)
    if isinstance(made, smtplib.SMTPRecipientsRefused):
        assert [answer[0] for answer in made.recipients.values()] == [code]
    else:
        assert isinstance(made, smtplib.SMTPResponseException)
        assert made.smtp_code == code


def test_of_another_error_nothing_is_known() -> None:
    assert find_usual_arguments("shop.bank:Refused", is_permanent=True) is None
    assert find_usual_arguments("smtplib:SMTPServerDisconnected", is_permanent=False) is None
