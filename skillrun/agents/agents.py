"""Any other agent that reads `.agents/skills` and `.mcp.json`; it gets no hooks."""

from __future__ import annotations

from skillrun.agents.claude import read as read
from skillrun.agents.shapes import mcp_server
from skillrun.agents.shapes import stop_block as stop_block
from skillrun.agents.shapes import tool_deny as tool_deny

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skillrun.agents.interface import Addition

ID = "agents"
NAME = "other agents"
PROGRAMS: tuple[str, ...] = ()
CHECKED = "agentskills/agentskills 69ef37e"
SOURCE = "https://agentskills.io/specification"
UNVERIFIED = "which agents read these two places"
EVENTS: dict[str, str] = {}
ALLOW = None
SKILLS = (".agents/skills",)
PROJECT = (mcp_server(".mcp.json"),)
USER: tuple[Addition, ...] = ()
NEXT = (
    "if your agent does not read .agents/skills and .mcp.json by itself, name them in its settings",
)
NEXT_USER = ("if your agent does not read ~/.agents/skills by itself, name it in its settings",)
