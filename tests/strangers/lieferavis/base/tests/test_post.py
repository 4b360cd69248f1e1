import smtplib

import pytest

from avis import modelle, post


class Smtp:
    fehler = None
    gesendet = []

    def __init__(self, *_, **__): ...

    def __enter__(self):
        return self

    def __exit__(self, *_): ...

    def sendmail(self, von, an, roh):
        if Smtp.fehler:
            raise Smtp.fehler
        Smtp.gesendet.append((von, an, roh))


@pytest.mark.parametrize(
    ("fehler", "erwartet"),
    [
        (smtplib.SMTPRecipientsRefused({"a@x": (550, b"no")}), post.Abgelehnt),
        (smtplib.SMTPRecipientsRefused({"a@x": (450, b"grey")}), smtplib.SMTPRecipientsRefused),
        (smtplib.SMTPDataError(451, b"later"), smtplib.SMTPDataError),
        (smtplib.SMTPDataError(554, b"spam"), post.Abgelehnt),
    ],
)
def test_antworten(monkeypatch, fehler, erwartet):
    monkeypatch.setattr(smtplib, "SMTP", Smtp)
    monkeypatch.setattr(Smtp, "fehler", fehler)
    with pytest.raises(erwartet):
        post.senden("<m@x>", "a@x", "roh")


def test_die_mail_ist_immer_dieselbe(monkeypatch):
    avis = modelle.Avis(
        lieferschein="LS-1", empfaenger="a@x", spedition="Müller", sendungsnummer="1", message_id="<m@x>", angelegt_am=1_757_490_000
    )
    assert post.bauen(avis) == post.bauen(avis)
    monkeypatch.setattr(smtplib, "SMTP", Smtp)
    post.senden("<m@x>", "a@x", post.bauen(avis))
    assert b"Message-ID: <m@x>" in Smtp.gesendet[-1][2]
