"""Secrets do not reach a ledger, a report or a screen; hashes do."""

from __future__ import annotations

import base64
import hashlib
import json
import textwrap
import time
from collections.abc import Callable

import pytest
import secrets_shapes as secrets
from hypothesis import given
from hypothesis import strategies as st

from skillrun.core.text import masked, masked_json

# Put together here, so that no scanner of this repository takes them for real ones.
LONG = "Zx8qT1mN4vB7kL2pR9sW3yU6" + "aB3dE5fG7hJ9"
SECRETS = [
    "AKIA" + "IOSFODNN7EXAMPLE",
    "ghp_" + "abcdefghijklmnopqrstuvwxyz0123456789",
    "github_pat_" + "11ABCDEFG0abcdefghijkl_mnopqrstuvwxyz",
    "glpat-" + "abcdefghij0123456789",
    "sk-" + "proj-abcdEFGH1234ijklMNOP",
    "sk_" + "live_abcdefghijklmnop1234",
    "xoxb-" + "123456789012-abcdefghijkl",
    "AIza" + "SyA1234567890abcdefghijklmnopqrstuv",
    "eyJhbGciOiJIUzI1NiJ9" + ".eyJzdWIiOiIxIn0" + ".c2lnbmF0dXJl",
    "npm_" + "abcdefghijklmnopqrstuvwxyz0123456789",
]


@pytest.mark.parametrize("secret", SECRETS)
def test_tokens_of_known_services_go_wherever_they_stand(secret: str) -> None:
    assert masked(f"using {secret}, then") == "using [masked], then"
    assert masked(f'{{"a": "{secret}"}}') == '{"a": "[masked]"}'
    assert secret not in masked(f"https://x.example/?key={secret}&n=1")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("password=hunter2", "password=[masked]"),
        ("DB_PASSWORD: hunter2", "DB_PASSWORD: [masked]"),
        ("DB_PASS=hunter2secret DB_PASSWORD=my_secret", "DB_PASS=[masked] DB_PASSWORD=[masked]"),
        ("PGPASSWORD=12345 make test", "PGPASSWORD=[masked] make test"),
        ('"password": "with \\"quotes\\" and spaces"', '"password": "[masked]"'),
        ('{\\"api_key\\": \\"abc\\"}', '{\\"api_key\\": \\"[masked]\\"}'),
        ("connect(password='x, y', user='z')", "connect(password='[masked]', user='z')"),
        ('def f(token: str = "abc-def"):', 'def f(token: str = "[masked]"):'),
        ("SECRET_KEY_BASE=0f1e2d", "SECRET_KEY_BASE=[masked]"),
        ("client_secret=a.b~c&scope=all", "client_secret=[masked]&scope=all"),
        ("AccountKey=abc+/==;Endpoint=x", "AccountKey=[masked];Endpoint=x"),
        (
            "curl --password hunter2 --token=abc url",
            "curl --password [masked] --token=[masked] url",
        ),
        ("token: 8a18e51d3b2c4f5a6b7c8d9e0f1a2b3c", "token: [masked]"),
        ("postgres://shop:p%40ss@db:5432/shop", "postgres://[masked]@db:5432/shop"),
        ("redis://:pw@localhost:6379/0", "redis://[masked]@localhost:6379/0"),
        ("amqp://u:pa/ss@host//", "amqp://[masked]@host//"),
        (
            "https://0123456789abcdef0123456789abcdef@sentry.example/2",
            "https://[masked]@sentry.example/2",
        ),
        ("Authorization: Bearer abc.def", "Authorization: Bearer [masked]"),
        ("-H 'Authorization: Basic dXNlcjpwYXNz'", "-H 'Authorization: Basic [masked]'"),
        ("Cookie: session=abc; theme=dark", "Cookie: [masked]"),
    ],
)
def test_values_that_a_name_or_a_place_gives_away_go(text: str, shown: str) -> None:
    assert masked(text) == shown
    assert masked(shown) == shown


@pytest.mark.parametrize(
    "text",
    [
        "commit 8a18e51d3b2c4f5a6b7c8d9e0f1a2b3c4d5e6f70",
        "sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "output_sha256=e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "id=123e4567-e89b-12d3-a456-426614174000",
        "max_tokens=4096, token: str, secret: None",
        "SECRET_KEY = os.environ['SECRET_KEY']",
        "password = get_password(user)",
        "def connect(self, include_password=False): credentials = {",
        "password=$DB_PASSWORD PGPASSWORD=${PW} token={{ secrets.TOKEN }}",
        "connect(password=db_password); DB_PASSWORD = my_secret",
        "SyntaxError: unexpected token: foo",
        "a bearer authentication is required",
        "PWD=/home/me/shop",
        "file=src/skillrun/FooBar2/baz_LongName1.py",
        (
            "https://example.org:8080/a@b and git@example.org:me/shop.git and"
            " ssh://git@example.org/shop"
        ),
        "idempotency_key=order_id, key: [order_id], cache_key='a:b'",
        "test_token_is_refreshed PASSED  [ 50%]",
        "celery==5.4.0 --hash=sha512-Zx8qT1mN4vB7kL2pR9sW3yU6Zx8qT1mN4vB7kL2pR9sW3yU6==",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert masked(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("E   AssertionError: password 'open ses...", "E   AssertionError: password '[masked]..."),
        ('curl -u "admin:A Bc9 x...', 'curl -u "admin:[masked]...'),
        ("Error: {'password': 'A b c9...", "Error: {'password': '[masked]..."),
        (f"key {'AIza'}SyA12345678..., and more", "key [masked]..., and more"),
        ("assert 'open ses...' == 'x'", "assert 'open ses...' == 'x'"),
        ("the password is wrong...", "the password is wrong..."),
        ("password 'required...", "password 'required..."),
        ("it's the token of a parser ... it's", "it's the token of a parser ... it's"),
    ],
)
def test_what_was_cut_short_goes_as_well(text: str, shown: str) -> None:
    assert masked(text) == shown
    assert masked(shown) == shown


KEY_LINES = "\n".join(["MIIEvQIBADANBgkqhkiG9w0BAQEFAASC" * 2] * 6)


@pytest.mark.parametrize(
    "text",
    [
        f"-----BEGIN RSA PRIVATE KEY-----\n{KEY_LINES}\n-----END RSA PRIVATE KEY-----",
        f"-----BEGIN PRIVATE KEY-----\n{KEY_LINES}",
        f"{KEY_LINES}\n-----END OPENSSH PRIVATE KEY-----",
    ],
    ids=["whole", "the end is missing", "the beginning is missing"],
)
def test_private_keys_go_also_when_a_part_is_cut_off(text: str) -> None:
    assert "MIIE" not in masked(text)


def test_a_key_of_a_json_object_gives_its_value_away() -> None:
    value = {
        "password": "x",
        "user": "me",
        "nested": [{"apiKey": "abc"}, "token=abc"],
        "token": None,
        "n": 3,
    }
    assert masked_json(value) == {
        "password": "[masked]",
        "user": "me",
        "nested": [{"apiKey": "[masked]"}, "token=[masked]"],
        "token": None,
        "n": 3,
    }


words = st.sampled_from(
    [
        *(
            "password",
            "token",
            "=",
            ": ",
            '"',
            "'",
            "\\",
            "[masked]",
            "://",
            "@",
            ":",
            "Bearer ",
            "authorization: ",
        ),
        *(
            "cookie: a=",
            "-----BEGIN PRIVATE KEY-----",
            "-----END PRIVATE KEY-----",
            "\n",
            " ",
            ";",
            ",",
            "abc123",
        ),
        *(LONG, *SECRETS),
    ]
)


DIGESTS = {
    "sha256": "digest: {}",
    "sha384": "digest: {}",
    "sha512": "digest={}",
    "blake2s": 'ETag: W/"{}"',
    "sha1": '"checksum": "{}"',
    "md5": "Content-MD5: {}",
    "sha3_384": "integrity=sha384-{}",
}


@pytest.mark.parametrize("coded", [base64.b64encode, base64.urlsafe_b64encode])
@pytest.mark.parametrize("kind", DIGESTS)
def test_a_digest_stays_readable(kind: str, coded: Callable[[bytes], bytes]) -> None:
    """However random it looks: somebody compares it with another one."""
    for number in range(500):
        digest = coded(hashlib.new(kind, str(number).encode()).digest()).decode()
        for shown in (digest, digest.rstrip("=")):
            text = DIGESTS[kind].format(shown)
            assert masked(text) == text


@pytest.mark.real
@given(st.binary(min_size=300, max_size=900), st.sampled_from([64, 70, 76]), st.integers(0, 3))
def test_lines_from_the_middle_of_a_key_go_with_the_last_one(
    data: bytes, width: int, lead: int
) -> None:
    lines = textwrap.wrap(base64.b64encode(hashlib.sha512(data).digest() * 6).decode(), width)
    rest = lines[lead + 1 :]
    shown = masked("E   key:\n" + "\n".join(f"E     {line}" for line in rest) + "\nand so on")
    assert not any(line in shown for line in rest if len(line) >= 16)
    assert shown.endswith("\nand so on")


@given(st.lists(words | st.text(max_size=8), max_size=14).map("".join))
def test_masking_twice_changes_nothing_more(text: str) -> None:
    assert masked(masked(text)) == masked(text)


@pytest.mark.real
@given(st.text(max_size=30), st.sampled_from(SECRETS), st.sampled_from([" ", "\n", '"', "(", "="]))
def test_no_neighbour_protects_a_token(before: str, secret: str, border: str) -> None:
    assert secret not in masked(before + border + secret)


@pytest.mark.parametrize(
    "piece",
    [
        "a",
        "token=",
        "://a:",
        "-----BEGIN PRIVATE KEY-----",
        'password="',
        "eyJaaaaaaaaaa.",
        " ",
        "['a', ",
        'auth=("a", ',
        "password%3D",
        'key="password" value="',
        "password:\n ",
    ],
)
def test_hostile_text_does_not_take_long(piece: str) -> None:
    text = piece * (24_000 // len(piece))
    begin = time.process_time()
    masked(text)
    assert time.process_time() - begin < 5, (
        "far more than it takes; a pattern with quadratic search takes minutes"
    )


@pytest.mark.parametrize("name", secrets.SHAPES)
def test_every_shape_of_a_secret_goes(name: str) -> None:
    text, secret = secrets.SHAPES[name]
    assert secret in text
    shown = masked(text)
    assert secret not in shown
    assert "[masked]" in shown
    assert masked(shown) == shown


@pytest.mark.parametrize("name", secrets.SHAPES)
def test_no_shape_goes_with_its_neighbours(name: str) -> None:
    text, secret = secrets.SHAPES[name]
    shown = masked(f"tests/test_a.py:7: failed\n\n{text}\n\n1 failed in 2 s")
    assert secret not in shown
    assert shown.startswith("tests/test_a.py:7: failed\n")
    assert shown.endswith("1 failed in 2 s")


@pytest.mark.parametrize("text", secrets.INNOCENT)
def test_every_innocent_neighbour_stays(text: str) -> None:
    assert masked(text) == text


@pytest.mark.parametrize("name", secrets.SHAPES)
def test_a_masked_document_is_still_one(name: str) -> None:
    text, secret = secrets.SHAPES[name]
    shown = json.dumps(masked_json({"tail": text, "n": [text]}))
    assert secret not in shown
    assert json.loads(shown).keys() == {"tail", "n"}
    assert masked_json(json.loads(shown)) == json.loads(shown)
