"""Which calls reach outside, and which only prepare, read or look at what came back."""

from __future__ import annotations

import pytest

from skillrun.skills.job_worker.readings.clients import Reach, reach


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("requests.post", "http"),
        ("requests.Session().post", "http"),
        ("httpx.Client().post", "http"),
        ("httpx.AsyncClient().request", "http"),
        ("boto3.client().send_message", "http"),
        ("boto3.resource().Table().put_item", "http"),
        ("stripe.Charge.create", "http"),
        ("slack_sdk.WebClient().chat_postMessage", "http"),
        ("smtplib.SMTP().send_message", "smtp"),
        ("django.core.mail.send_mail", "smtp"),
        ("django.core.mail.EmailMultiAlternatives().send", "smtp"),
        ("subprocess.run", "subprocess"),
        ("os.system", "subprocess"),
        ("socket.create_connection", "network"),
    ],
)
def test_finds_what_changes_the_world(name: str, kind: str) -> None:
    assert reach(name) == Reach(kind, writes=True)


@pytest.mark.parametrize("name", ["requests.get", "httpx.Client().get", "urllib.request.urlopen"])
def test_reading_is_told_apart(name: str) -> None:
    assert reach(name) == Reach("http", writes=False)


@pytest.mark.parametrize(
    "name",
    [
        "requests.post().raise_for_status",
        "httpx.Client",
        "httpx.Client().post().json",
        "httpx.HTTPTransport().close",
        "boto3.client",
        "boto3.client().get_object",
        "stripe.Webhook.construct_event",
        "django.core.mail.EmailMultiAlternatives",
        "django.core.mail.EmailMultiAlternatives().attach_alternative",
        "smtplib.SMTPException",
        "subprocess.CompletedProcess",
        "os.path.join",
        "os.environ.get",
        "socket.getaddrinfo",
        "shop.requests.post",
        "asyncio.run",
    ],
)
def test_ignores_what_only_prepares_or_looks(name: str) -> None:
    assert reach(name) is None
