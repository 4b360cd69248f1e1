"""Die Mail: wie sie aussieht, und wie sie zum Mailrelay des Hauses kommt.

Das Relay verwirft 30 Tage lang, was es unter derselben Message-ID schon zugestellt hat.
"""

import smtplib
from email.message import EmailMessage
from email.utils import formatdate

from avis import konfig


class Abgelehnt(Exception):
    """Das Relay nimmt diese Mail nicht: Postfach unbekannt, Absender gesperrt, Inhalt verboten."""


def bauen(avis) -> str:
    """Dieselben Bytes in jedem Versuch: auch das Datum kommt vom Avis, nicht von der Uhr."""
    mail = EmailMessage()
    mail["Message-ID"] = avis.message_id
    mail["Date"] = formatdate(avis.angelegt_am)
    mail["From"] = konfig.ABSENDER
    mail["To"] = avis.empfaenger
    mail["Subject"] = f"Ihre Lieferung {avis.lieferschein} ist unterwegs"
    mail.set_content(
        f"Guten Tag,\n\nIhre Lieferung {avis.lieferschein} wurde heute der Spedition {avis.spedition} übergeben.\n"
        f"Sendungsnummer: {avis.sendungsnummer}\n\nKessler Armaturen, Versand\n"
    )
    return mail.as_string()


def senden(message_id: str, an: str, rohtext: str) -> None:
    """Übergibt eine Mail dem Relay. Wirft Abgelehnt, sonst, was vorübergehen kann: SMTPException oder OSError."""
    try:
        with smtplib.SMTP(konfig.SMTP_HOST, konfig.SMTP_PORT, timeout=20) as smtp:
            smtp.sendmail(konfig.ABSENDER, [an], rohtext.encode("ascii"))
    except smtplib.SMTPRecipientsRefused as fehler:
        code, antwort = fehler.recipients[an]
        if code >= 500:
            raise Abgelehnt(f"{message_id}: {code} {antwort!r}") from fehler
        raise
    except (smtplib.SMTPDataError, smtplib.SMTPSenderRefused) as fehler:
        if fehler.smtp_code >= 500:
            raise Abgelehnt(f"{message_id}: {fehler.smtp_code} {fehler.smtp_error!r}") from fehler
        raise
