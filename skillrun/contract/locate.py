"""Finds skills: in the repository, in the home folder, and those that ship with skillrun.

A name is answered by the first place that has it: `--skill PATH`, `<repo>/.agents/skills`,
`<repo>/.claude/skills`, `~/.agents/skills`, `~/.claude/skills`, bundled, the package of an
installed plug-in. A symlink that leads out of a repository is never followed: whoever wrote the
repository would otherwise choose what is read outside of it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from skillrun.core.errors import SkillInvalid
from skillrun.core.opening import read_beginning
from skillrun.core.resources import resource

FILE_NAME = "SKILL.md"
MAX_FOLDERS_DEEP = 3
_FRONT_BYTES = 4096
_NAME_LINE = re.compile(
    rb"^name:[ \t]*[\"']?([A-Za-z0-9][\w.-]{0,99})[\"']?[ \t\r]*$", re.MULTILINE
)
_NO_TEXT = "there is no SKILL.md in its package"
PASSED_OVER = {".git", "node_modules", ".venv", "venv", "__pycache__"}


@dataclass(frozen=True)
class Root:
    """A folder of skills. `inside` is the folder that its files must not lead out of."""

    where: str  # explicit | repo | home | bundled | installed
    folder: Path
    inside: Path | None = None
    is_skill: bool = False  # the folder is that of one skill, not one of several


@dataclass(frozen=True)
class FoundSkill:
    """A SKILL.md that was found. `shadowed`: an earlier place has that id. `error`: why it cannot
    be read.
    """

    path: Path
    id: str
    where: str
    shadowed: bool = False
    error: str | None = None


def skill_roots(repo: Path | None) -> Iterator[Root]:
    """Where skills are looked for, the first place first. What is installed is looked up last, and
    only where somebody asks so far.
    """
    if repo:
        for name in (".agents", ".claude"):
            yield Root("repo", repo / name / "skills", repo)
    for name in (".agents", ".claude"):
        yield Root("home", Path.home() / name / "skills")
    yield Root("bundled", resource("skills"))
    yield from _installed_roots()


def _installed_roots() -> Iterator[Root]:
    from skillrun.contract.installed import find_skill_file, installed_entries

    for entry in installed_entries():
        file = find_skill_file(entry)
        if file is not None:
            yield Root("installed", file.parent, is_skill=True)


def find_skill(name_or_path: str, repo: Path | None = None, explicit: Path | None = None) -> Path:
    """The SKILL.md that a name (`NAME` or `LAYER/NAME`) or a path means. SkillInvalid where there
    is none.
    """
    if explicit is not None:
        return _find_explicit(name_or_path, explicit)
    if _is_path(name_or_path):
        return _find_path(name_or_path)
    for root in skill_roots(repo):
        found = _find_in(root, name_or_path)
        if found is not None:
            return found
    by_path = Path(name_or_path)
    if "/" in name_or_path and by_path.exists():
        return _find_path(name_or_path)
    raise _explain_unknown(name_or_path, repo)


def peek_name(file: Path) -> str:
    """The name of a skill, from the first lines of its file: no YAML is read. The folder's name
    where these give none.
    """
    try:
        found = _NAME_LINE.search(read_beginning(file, _FRONT_BYTES))
    except OSError:
        found = None
    if found:
        return found[1].decode()
    return file.absolute().parent.name


def list_skills(repo: Path | None = None) -> list[FoundSkill]:
    """Every skill that can be found, in search order; unreadable ones with their error."""
    found: list[FoundSkill] = []
    taken: set[str] = set()
    seen: set[Path] = set()
    for root in skill_roots(repo):
        for file in _skill_files_in(root):
            real = file.resolve()
            # .claude/skills is often a link to .agents/skills.
            if real in seen:
                continue
            seen.add(real)
            one = _describe_skill(root, file, taken)
            found.append(one)
            if one.error is None:
                taken.add(one.id)
    found += _list_without_text({one.id.rsplit("/", 1)[-1] for one in found})
    return found


def _list_without_text(names: set[str]) -> Iterator[FoundSkill]:
    """The plug-ins of which only the code is installed, unless a repository has their text."""
    from skillrun.contract.installed import installed_entries, lacks_text

    for entry in installed_entries():
        if entry.name not in names and lacks_text(entry):
            package = entry.folder / entry.value.partition(":")[0].partition(".")[0]
            yield FoundSkill(package, entry.name, "installed", error=_NO_TEXT)


def bundled_skill(skill_id: str) -> Path | None:
    """The SKILL.md of a skill that ships with skillrun, or None."""
    return _find_in(Root("bundled", resource("skills")), skill_id)


def skill_files(paths: list[Path]) -> list[Path]:
    """Every SKILL.md among and below the paths, in order. SkillInvalid for a path with none."""
    hint = "name a SKILL.md, its folder, or a folder of skills"
    files: list[Path] = []
    for path in paths:
        if not path.exists():
            raise SkillInvalid(f"{path}: no such file or folder", hint=hint)
        below = [path]
        if path.is_dir():
            below = list(_files_below(path))
        if not below:
            raise SkillInvalid(f"{path}: no SKILL.md here", hint=hint)
        files.extend(below)
    return list(dict.fromkeys(files))


def _files_below(folder: Path) -> Iterator[Path]:
    """Every SKILL.md in a folder, however deep, in the order of the names."""
    for current, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in PASSED_OVER)
        if FILE_NAME in names:
            yield Path(current) / FILE_NAME


def _is_path(text: str) -> bool:
    """Whether somebody gave a path, by its look: a name may have a slash, too (`LAYER/NAME`)."""
    return text.endswith(FILE_NAME) or text.startswith((".", "/", "~")) or "\\" in text


def _find_path(text: str) -> Path:
    """The SKILL.md at a path, or in the folder there. SkillInvalid where there is none."""
    file = Path(text).expanduser()
    if file.is_dir():
        file = file / FILE_NAME
    if not file.exists():
        raise SkillInvalid(
            f"{file}: no such SKILL.md",
            hint="skillrun list shows the skills that can be found here",
        )
    return file


def _find_explicit(name: str, explicit: Path) -> Path:
    """`--skill PATH` is the skill itself, or a folder of skills in which the name is looked for."""
    path = explicit.expanduser()
    file = path
    found = None
    if path.is_dir():
        file = path / FILE_NAME
    if file.is_file():
        return _check_name(file, name)
    if path.is_dir():
        found = _find_in(Root("explicit", path), name)
    if found is None:
        raise SkillInvalid(
            f"{path}: no skill {name} here",
            hint="--skill takes a SKILL.md, its folder, or a folder of skills",
        )
    return found


def _check_name(file: Path, name: str) -> Path:
    """The file, if the skill in it has that name. SkillInvalid where it has another one, or cannot
    be read.
    """
    from skillrun.contract.frontmatter import read_skill_bytes

    if _is_path(name) or _answers_to(file, name):
        return file
    # A file that cannot be read says so itself.
    _read_names(file, read_skill_bytes(file))
    raise SkillInvalid(
        f"{file}: this is not the skill {name}",
        hint="give the name that stands in its front-matter",
    )


def _find_in(root: Root, name: str) -> Path | None:
    """The skill of that name in one place: its folder's name is looked at first, since that needs
    no parsing.
    """
    files = list(_skill_files_in(root))
    inside = [file for file in files if _explain_escape(root, file) is None]
    layer, short = name.split("/")[0], name.rsplit("/", 1)[-1]
    by_folder = [file for file in inside if file.parent.name == short]
    for file in by_folder:
        is_named = name == short or file.parent.parent.name == layer
        if is_named or _answers_to(file, name):
            return file
    for file in inside:
        if file not in by_folder and _answers_to(file, name):
            return file
    return None


def _skill_files_in(root: Root) -> Iterator[Path]:
    """Every SKILL.md below a root, at most three folders deep; a skill's own folder is not searched
    further.
    """
    if root.is_skill:
        yield root.folder / FILE_NAME
        return
    yield from _skills_below(root, root.folder, MAX_FOLDERS_DEEP)


def _skills_below(root: Root, folder: Path, depth: int) -> Iterator[Path]:
    if not folder.is_dir() or _explain_escape(root, folder):
        return
    for child in sorted(_list_subfolders(folder)):
        if (child / FILE_NAME).exists():
            yield child / FILE_NAME
        elif depth > 1:
            yield from _skills_below(root, child, depth - 1)


def _list_subfolders(folder: Path) -> list[Path]:
    try:
        subfolders = []
        for child in folder.iterdir():
            if child.name not in PASSED_OVER and child.is_dir():
                subfolders.append(child)
        return subfolders
    except OSError:
        return []


def _explain_escape(root: Root, path: Path) -> str | None:
    """Why a path may not be read: it leads out of the repository."""
    if root.inside is None or path.resolve().is_relative_to(root.inside.resolve()):
        return None
    return "a symlink that leads out of the repository is not followed"


def _answers_to(file: Path, name: str) -> bool:
    """Whether the front-matter gives the skill this name or id. YAML is only read where the name
    occurs at all.
    """
    from skillrun.contract.frontmatter import read_skill_bytes

    try:
        data = read_skill_bytes(file)
        if name.rsplit("/", 1)[-1].encode() not in data:
            return False
        return name in _read_names(file, data)
    except SkillInvalid:
        return False


def _read_names(file: Path, data: bytes) -> tuple[str, str]:
    """(name, id) as the front-matter says. SkillInvalid where it cannot be read."""
    from skillrun.contract.frontmatter import decode_text, read_front_matter
    from skillrun.contract.skill import skill_layer, skill_name

    front = read_front_matter(decode_text(data, file), file)
    name, layer = skill_name(front, file), skill_layer(front)
    if layer:
        return name, f"{layer}/{name}"
    return name, name


def _describe_skill(root: Root, file: Path, taken: set[str]) -> FoundSkill:
    """A SKILL.md as the list of skills shows it; `taken` are the ids of earlier places."""
    from skillrun.contract.frontmatter import read_skill_bytes

    folder_name = file.parent.name
    escape = _explain_escape(root, file)
    if escape:
        return FoundSkill(file, folder_name, root.where, error=escape)
    try:
        skill_id = _read_names(file, read_skill_bytes(file))[1]
    except SkillInvalid as error:
        return FoundSkill(file, folder_name, root.where, folder_name in taken, error.message)
    return FoundSkill(file, skill_id, root.where, skill_id in taken)


def _explain_unknown(name: str, repo: Path | None) -> SkillInvalid:
    import difflib

    skills = list_skills(repo)
    for one in skills:
        if one.id == name and one.error == _NO_TEXT:
            return SkillInvalid(
                f"{name} is installed without its text: {_NO_TEXT}, {one.path}",
                hint="have its build put SKILL.md beside the code, and install it again",
            )
    id_of = {}
    for one in skills:
        for spelling in (one.id, one.id.rsplit("/", 1)[-1]):
            id_of[spelling] = one.id
    spellings = difflib.get_close_matches(name, list(id_of), n=4, cutoff=0.5)
    near = list(dict.fromkeys(id_of[spelling] for spelling in spellings))
    hint = "skillrun list shows the skills that can be found here"
    if near:
        hint = f"did you mean {' or '.join(near)}?"
    # What an agent or a script calls a skill goes to a terminal here.
    shown = re.sub(r"[^\x20-\x7e]", "?", name)[:100]
    return SkillInvalid(f"no skill named {shown}", hint=hint)
