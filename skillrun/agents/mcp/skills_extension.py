"""The Skills extension of the Model Context Protocol: skillrun's own skills, each with a complete
manifest of its files by SHA-256, so that a host can bind somebody's approval to their content.

https://modelcontextprotocol.io/seps/2640-skills-extension; the methods, the shape of an entry, and
what a host verifies are in modelcontextprotocol/ext-skills, specification/stable/skills.mdx.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from mcp.server import ServerRequestContext
from mcp.server.extension import Extension, MethodBinding, ResourceBinding
from mcp.server.mcpserver.resources import TextResource
from mcp.shared.exceptions import MCPError
from mcp.types import INVALID_PARAMS, CacheableResult, PaginatedRequestParams, RequestParams
from pydantic import BaseModel, Field

from skillrun.agents.install.plan import SKILLS
from skillrun.contract.frontmatter import read_front_matter, read_skill_bytes
from skillrun.core.resources import resource

IDENTIFIER = "io.modelcontextprotocol/skills"
# What ships changes with skillrun alone, and a server lives as long as its session.
_FRESH_MS = 300_000


class SkillResource(BaseModel):
    """One file of a skill: what a host compares with what it reads."""

    uri: str
    digest: str = Field(pattern="^sha256:[0-9a-f]{64}$")
    size: int


class SkillEntry(BaseModel):
    """A skill as the extension describes it. `resources` has every file, each once."""

    uri: str
    frontmatter: dict[str, Any]
    resources: list[SkillResource]


class ListSkillsResult(CacheableResult):
    """The answer of `skills/list`."""

    resultType: Literal["complete"] = "complete"
    skills: list[SkillEntry]


class GetSkillParams(RequestParams):
    """The params of `skills/get`: the URI of a SKILL.md."""

    uri: str


class GetSkillResult(CacheableResult):
    """The answer of `skills/get`."""

    resultType: Literal["complete"] = "complete"
    skill: SkillEntry


class SkillsExtension(Extension):
    """Serves the skills that ship with skillrun, the same files that an install writes."""

    identifier = IDENTIFIER

    def __init__(self) -> None:
        self._served = {entry.uri: (entry, text) for entry, text in map(_read_entry, SKILLS)}

    def resources(self) -> Sequence[ResourceBinding]:
        """Each SKILL.md as a resource, with the bytes that its manifest speaks of."""
        bindings = []
        for entry, text in self._served.values():
            about = entry.frontmatter
            bindings.append(
                ResourceBinding(
                    TextResource(
                        uri=entry.uri,
                        name=str(about["name"]),
                        description=str(about["description"]),
                        mime_type="text/markdown",
                        text=text,
                    )
                )
            )
        return bindings

    def methods(self) -> Sequence[MethodBinding]:
        """`skills/list` and `skills/get`."""
        return (
            MethodBinding("skills/list", PaginatedRequestParams, self._list_skills),
            MethodBinding("skills/get", GetSkillParams, self._get_skill),
        )

    async def _list_skills(
        self, ctx: ServerRequestContext[Any, Any], params: PaginatedRequestParams
    ) -> ListSkillsResult:
        """All of them, on one page."""
        entries = [entry for entry, _ in self._served.values()]
        return ListSkillsResult(skills=entries, ttl_ms=_FRESH_MS, cache_scope="public")

    async def _get_skill(
        self, ctx: ServerRequestContext[Any, Any], params: GetSkillParams
    ) -> GetSkillResult:
        """One of them. Raises MCPError for a URI of none."""
        served = self._served.get(params.uri)
        if served is None:
            raise MCPError(INVALID_PARAMS, f"{params.uri[:200]}: no skill of this server")
        return GetSkillResult(skill=served[0], ttl_ms=_FRESH_MS, cache_scope="public")


def _read_entry(name: str) -> tuple[SkillEntry, str]:
    """The entry of a skill that ships, and the text of its SKILL.md, its only file."""
    shown = Path("skills", name, "SKILL.md")
    content = read_skill_bytes(resource("skills", name, "SKILL.md"))
    text = content.decode("utf-8")
    uri = f"skill://{name}/SKILL.md"
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    entry = SkillEntry(
        uri=uri,
        frontmatter=read_front_matter(text, shown).values,
        resources=[SkillResource(uri=uri, digest=digest, size=len(content))],
    )
    return entry, text
