"""The Skills extension over stdio: a complete manifest, whose digests are those of what is read."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Literal

import anyio
import helpers
import pytest
import shops
import test_server
import yaml
from mcp.shared.exceptions import MCPError
from mcp.types import INVALID_PARAMS, PaginatedRequestParams, Request

from skillrun.agents.install.plan import list_additions
from skillrun.agents.mcp.skills_extension import (
    IDENTIFIER,
    GetSkillParams,
    GetSkillResult,
    ListSkillsResult,
)
from skillrun.agents.registry import load_agent

pytestmark = pytest.mark.real


class ListSkills(Request[PaginatedRequestParams, Literal["skills/list"]]):
    method: Literal["skills/list"] = "skills/list"
    params: PaginatedRequestParams = PaginatedRequestParams()


class GetSkill(Request[GetSkillParams, Literal["skills/get"]]):
    method: Literal["skills/get"] = "skills/get"
    params: GetSkillParams


async def read_all(repo: Path) -> tuple[Any, ListSkillsResult, dict[str, str], GetSkillResult]:
    """What the server declares, lists, gives to read, and says of one skill."""
    async with test_server.connected(repo) as client:
        session = client.session
        listed = await session.send_request(ListSkills(), ListSkillsResult)
        texts = {}
        for skill in listed.skills:
            for one in skill.resources:
                found = await client.read_resource(one.uri)
                texts[one.uri] = found.contents[0].text
        asked = GetSkill(params=GetSkillParams(uri=listed.skills[0].uri))
        got = await session.send_request(asked, GetSkillResult)
        return client.server_capabilities, listed, texts, got


def test_each_manifest_is_complete_and_has_the_digest_of_what_is_read(tmp_path: Path) -> None:
    repo = shops.shop(tmp_path / "shop")
    capabilities, listed, texts, got = anyio.run(read_all, repo)
    assert capabilities.extensions == {IDENTIFIER: {}}
    assert capabilities.resources is not None
    names = [skill.frontmatter["name"] for skill in listed.skills]
    assert names == ["job-worker-orchestration", "skillrun"]
    assert got.skill == listed.skills[0]
    for skill in listed.skills:
        (only,) = skill.resources
        assert only.uri == skill.uri == f"skill://{skill.frontmatter['name']}/SKILL.md"
        content = texts[only.uri].encode()
        assert only.size == len(content)
        assert only.digest == f"sha256:{hashlib.sha256(content).hexdigest()}"
        assert skill.frontmatter == yaml.safe_load(texts[only.uri].split("---")[1])


def test_what_is_served_is_what_an_install_writes(tmp_path: Path) -> None:
    """Somebody who has approved the one has approved the other."""
    repo = shops.shop(tmp_path / "shop")
    _, _, texts, _ = anyio.run(read_all, repo)
    written = {
        one.path.removeprefix(".agents/skills/"): one.value
        for one in list_additions(load_agent("agents"), user=False)
        if one.path.endswith("SKILL.md")
    }
    assert {uri.removeprefix("skill://"): text for uri, text in texts.items()} == written


def test_a_uri_of_no_skill_is_invalid(tmp_path: Path) -> None:
    repo = helpers.build_tree(tmp_path / "repo", {"a.txt": "a"})

    async def ask() -> int:
        async with test_server.connected(repo) as client:
            asked = GetSkill(params=GetSkillParams(uri="skill://other/SKILL.md"))
            try:
                await client.session.send_request(asked, GetSkillResult)
            except MCPError as error:
                return error.code
        return 0

    assert anyio.run(ask) == INVALID_PARAMS
