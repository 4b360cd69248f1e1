"""The look at what a spec says of its proof: queries, variables, and however they are written."""

from __future__ import annotations

import json

import pytest
import yaml
from looks import SPEC, SPEC_TEXT, everything, found, part, severities, side

# The example's own variables, as its spec has them.
DB = 'SHOP_DB: "{scratch}/app.db"'
URL = 'SHOP_MAIL_URL: "http://mail.example/messages"'
ENV = f"env: {{{DB}, {URL}}}"
VARIABLES = yaml.safe_load(ENV)["env"]

COLUMNS = "select order_id, email from receipts"


@pytest.mark.parametrize(
    ("changes", "words"),
    (
        ({"proof": None}, "the job is read, not proved"),
        ({"proof": {}}, "the job is read, not proved"),
        ({"proof": part("proof", state={})}, "proof.state.receipts is gone"),
        ({"proof": part("proof", state=None)}, "proof.state.receipts is gone"),
        (
            {
                "proof": part(
                    "proof", state={"receipts": "select order_id from receipts order by 1"}
                )
            },
            "state.receipts was",
        ),
        (
            {"proof": part("proof", state={"receipts": f"{COLUMNS} where order_id = 7"})},
            "state.receipts was",
        ),
        (
            {"proof": part("proof", state={"receipts": f"{COLUMNS} order by 1 limit 1"})},
            "state.receipts was",
        ),
        (
            {"proof": part("proof", state={"receipts": f"{COLUMNS} -- order by 1"})},
            "state.receipts was",
        ),
        (
            {"proof": part("proof", state={"receipts": f"{COLUMNS} natural join orders"})},
            "state.receipts was",
        ),
        (
            {"proof": part("proof", state={"receipts": f"{COLUMNS} group by 1, 2 order by 1"})},
            "state.receipts was",
        ),
        (
            {"proof": part("proof", state={"receipts": f"{COLUMNS} intersect {COLUMNS}"})},
            "state.receipts was",
        ),
        (
            {"proof": part("proof", state={"receipts": f"{COLUMNS} where 1 < 2 order by 1"})},
            "state.receipts was",
        ),
        (
            {
                "proof": part(
                    "proof",
                    state={"receipts": "select distinct order_id, email from receipts order by 1"},
                )
            },
            "state.receipts was",
        ),
        (
            {
                "proof": part(
                    "proof",
                    state={"receipts": "select order_id as id, email from receipts order by 1"},
                )
            },
            "state.receipts was",
        ),
        (
            {
                "proof": part(
                    "proof", state={"receipts": "select order_id, email from copies order by 1"}
                )
            },
            "receipts was",
        ),
        ({"proof": part("proof", dead_letters=None)}, "dead_letters is gone"),
        (
            {"proof": part("proof", dead_letters="select count(*) from dead_jobs where 1 = 0")},
            "dead_letters was",
        ),
        (
            {"proof": part("proof", dead_letters="select count(distinct id) from dead_jobs")},
            "dead_letters was",
        ),
        ({"proof": part("proof", poison=[{}])}, "proof.poison was"),
        (
            {"proof": part("proof", poison=[{}, {"order_id": -2, "email": "b@example.com"}, {}])},
            "proof.poison was",
        ),
        ({"proof": part("proof", poison=None)}, "proof.poison is gone"),
        (
            {"proof": part("proof", env={**VARIABLES, "SHOP_TESTING": "1"})},
            "SHOP_TESTING is new: `1`",
        ),
        (
            {"proof": part("proof", env={**VARIABLES, "SHOP_DB": "{scratch}/other.db"})},
            "proof.env.SHOP_DB was",
        ),
        ({"proof": part("proof", env=None)}, "proof.env is gone"),
        (
            {"proof": part("proof", setup="python -m shop.schema && touch /tmp/x")},
            "proof.setup was",
        ),
        ({"proof": part("proof", setup=None)}, "proof.setup is gone"),
        ({"proof": part("proof", database="{scratch}/other.db")}, "proof.database was"),
        ({"proof": part("proof", services=["redis"])}, "proof.services is new"),
        ({"proof": part("proof", python="tools/python")}, "proof.python is new"),
        (
            {"proof": part("proof", values={"shop.config:SEND": False})},
            "proof.values.shop.config:SEND is new",
        ),
        (
            {"proof": part("proof", not_state=["receipts"])},
            "`receipts` is not compared any more",
        ),
        (
            {"proof": part("proof", scratch_files=["*"])},
            "`*` is not compared any more",
        ),
        (
            {"payload": part("payload", examples=[{"order_id": 7, "email": "a@example.com"}])},
            "payload.examples lost",
        ),
        (
            {
                "payload": part(
                    "payload",
                    examples=[
                        {"order_id": 7, "email": "a@example.com"},
                        {"order_id": 7, "email": "b@example.com"},
                    ],
                )
            },
            "payload.examples was",
        ),
    ),
)
def test_another_proof_is_found(changes: dict[str, object], words: str) -> None:
    findings = found("thinner-proof", side(), side(**changes))
    assert severities(findings) == ["error"], findings
    assert words in findings[0].message


def with_query(query: str) -> dict[str, str]:
    return side(proof=part("proof", state={"receipts": query}))


@pytest.mark.parametrize(
    ("was", "becomes"),
    (
        # In SQLite a name in double quotes is a text where no column is called so.
        ('{} where status = "sent"', '{} where status = "SENT"'),
        ('{} where status in ("sent", "done")', '{} where status in ("sent", "Done")'),
        ('{} where data -> "$.Kind" = 1', '{} where data -> "$.kind" = 1'),
        ("{} where status = sent", '{} where status = "sent"'),
        ("{} where status = 'sent'", "{} where status = 'SENT'"),
        ('select r."id, email" from receipts r', "select r.id, email from receipts r"),
    ),
)
def test_another_text_in_a_query_is_found(was: str, becomes: str) -> None:
    base, head = with_query(was.format(COLUMNS)), with_query(becomes.format(COLUMNS))
    assert severities(found("thinner-proof", base, head)) == ["error"]


@pytest.mark.parametrize(
    ("was", "becomes"),
    (
        ("{} where status = 'sent'", "{} -- sent\n where STATUS = 'sent'"),
        ('{} as "R" where "R"."Status" = 1', "{} AS r where r.status = 1"),
        ('select o.id from "Orders" as o', "select o.id from orders as o"),
        ("{} where status = 'sent'", "{}  where\nStatus = 'sent'"),
    ),
)
def test_another_way_to_write_a_query_is_no_finding(was: str, becomes: str) -> None:
    base, head = with_query(was.format(COLUMNS)), with_query(becomes.format(COLUMNS))
    assert everything(base, head) == []


def test_an_added_variable_is_shown_with_its_line() -> None:
    line = f"  {ENV}\n"
    attack = SPEC_TEXT.replace(line, f'  env:\n    {DB}\n    {URL}\n    SHOP_TESTING: "1"\n')
    (finding,) = found("thinner-proof", {SPEC: SPEC_TEXT}, {SPEC: attack})
    assert attack.splitlines()[(finding.line or 0) - 1] == '    SHOP_TESTING: "1"'


@pytest.mark.parametrize(
    "attack",
    (
        # Each means the same as a new variable, written otherwise.
        SPEC_TEXT.replace(ENV, f'env: {{{DB}, {URL}, "CI": "1"}}'),
        SPEC_TEXT.replace(ENV, f'env: {{<<: {{CI: "1"}}, {DB}, {URL}}}'),
        SPEC_TEXT.replace(ENV, f'env:\n    ? "C\\x49"\n    : "1"\n    {DB}\n    {URL}'),
    ),
)
def test_a_variable_is_found_however_it_is_written(attack: str) -> None:
    assert attack != SPEC_TEXT
    (finding,) = found("thinner-proof", {SPEC: SPEC_TEXT}, {SPEC: attack})
    assert "proof.env.CI is new" in finding.message


def test_another_way_of_writing_is_no_finding() -> None:
    flow = json.dumps(yaml.safe_load(SPEC_TEXT))
    assert everything({SPEC: SPEC_TEXT}, {SPEC: flow}) == []
    path = SPEC.replace(".yaml", ".json")
    assert everything({SPEC: SPEC_TEXT}, {path: flow}) == []
