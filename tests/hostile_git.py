"""A repository whose git configuration starts a program at every place that git has for one.

Each program leaves a file in `markers`, named after the place, and then does what git expects of
it.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import helpers
import shops

HOOKS = (
    *(
        "pre-commit",
        "prepare-commit-msg",
        "commit-msg",
        "post-commit",
        "post-checkout",
        "post-merge",
        "pre-rebase",
    ),
    *(
        "post-rewrite",
        "pre-auto-gc",
        "reference-transaction",
        "post-index-change",
        "fsmonitor-watchman",
    ),
    *("pre-push", "pre-applypatch", "applypatch-msg", "post-applypatch", "sendemail-validate"),
)
ATTRIBUTES = """
* text=auto diff=evil merge=evil
*.py filter=plain
*.md filter=a=b
*.yaml filter=
*.toml filter=process
Makefile filter=lfs
"""


class Markers:
    """What has been started, by name."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.script = folder.with_name("evil.sh")
        self.script.write_text(f'#!/bin/sh\ntouch {folder}/"$1"\nshift\nexec "$@"\n')
        self.script.chmod(0o755)

    def program(self, name: str, then: str = "cat") -> str:
        """A command line for git's configuration."""
        return f"{self.script} {name} {then}"

    def take(self) -> set[str]:
        """The names since the last time."""
        found = {path.name for path in self.folder.iterdir()}
        for name in found:
            (self.folder / name).unlink()
        return found


def repository(root: Path) -> Markers:
    """The quick shop with a submodule, in two commits, and all the programs; every file is newer
    than the index.
    """
    shops.shop(root)
    inner = helpers.build_tree(
        root.with_name("inner"), {"a.txt": "1\n", ".gitattributes": "* filter=inner\n"}
    )
    helpers.git(root, "submodule", "add", "--quiet", str(inner), "sub")
    helpers.write_files(root, {".gitattributes": ATTRIBUTES, "data.cfg": "1\n", "data.txt": "1\n"})
    helpers.commit(root, "With a submodule")
    helpers.git(root, "checkout", "--quiet", "-b", "feature")
    with (root / "shop" / "mailer.py").open("a") as file:
        file.write("# One more line\n")
    helpers.commit(root, "Words")
    (root / "uncommitted.md").write_text("Not committed\n")
    markers = Markers(root.with_name("markers"))
    arm(root, markers)
    return markers


def arm(root: Path, markers: Markers) -> None:
    """Writes the configuration, of the repository, its worktree and its submodule."""
    for name in HOOKS:
        hook = root / ".git" / "hooks" / name
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(f"#!/bin/sh\ntouch {markers.folder}/hook-{name}\n")
        hook.chmod(0o755)
    with (root / ".git" / "config").open("a") as file:
        file.write(configuration(markers))
    (root / ".git" / "more").write_text(_filter("included", markers))
    (root / ".git" / "config.worktree").write_text(_filter("worktree", markers))
    (root / ".git" / "info").mkdir(exist_ok=True)
    (root / ".git" / "info" / "attributes").write_text(
        "*.cfg filter=included\n*.txt filter=worktree\n"
    )
    with (root / ".git" / "modules" / "sub" / "config").open("a") as file:
        file.write(_filter("inner", markers))
        file.write(f'[core]\n\tfsmonitor = "{markers.program("inner-fsmonitor", "true")}"\n')
    age(root)


def age(root: Path) -> None:
    """Every file looks edited, so that git has to read it through its filters."""
    for path in root.rglob("*"):
        if ".git" not in path.relative_to(root).parts and path.is_file():
            path.touch()


def configuration(markers: Markers) -> str:
    def run(name: str, then: str = "cat") -> str:
        return f'"{markers.program(name, then)}"'

    return f"""
[core]
    fsmonitor = {run("fsmonitor", "true")}
    hooksPath = {root_hooks(markers)}
    pager = {run("pager")}
    editor = {run("editor", "true")}
    askPass = {run("askpass", "true")}
    sshCommand = {run("ssh", "false")}
    gitProxy = {run("gitproxy", "false")}
    alternateRefsCommand = {run("alternates", "true")}
[extensions]
    worktreeConfig = true
[include]
    path = more
[credential]
    helper = {run("credential", "true")}
[commit]
    gpgSign = true
[gpg]
    program = {run("gpg", "false")}
[gpg "ssh"]
    program = {run("gpg-ssh", "false")}
    defaultKeyCommand = {run("gpg-key", "false")}
[diff]
    external = {run("external", "true")}
[diff "evil"]
    command = {run("diff-command", "true")}
    textconv = {run("textconv")}
[merge "evil"]
    driver = {run("merge", "true")}
[interactive]
    diffFilter = {run("diff-filter")}
[sequence]
    editor = {run("sequence", "true")}
[trailer "evil"]
    command = {run("trailer", "true")}
[notes]
    rewriteRef = refs/notes/*
[submodule "sub"]
    update = "!{markers.program("submodule", "true")}"
[alias]
    status = "!{markers.program("alias", "true")}"
    config = "!{markers.program("alias", "true")}"
[remote "origin"]
    url = "ext::{markers.script} ext false"
    uploadpack = {run("uploadpack", "false")}
[protocol]
    allow = always
[protocol "ext"]
    allow = always
[uploadpack]
    packObjectsHook = {run("pack-objects")}
{"".join(_filter(name, markers) for name in ("plain", "a=b", "", "lfs"))}
[filter "process"]
    process = {run("filter-process", "false")}
    clean = {run("filter-process")}
    smudge = {run("filter-process")}
"""


def root_hooks(markers: Markers) -> str:
    """A folder of hooks outside of the repository."""
    folder = markers.folder.with_name("hooks")
    folder.mkdir(exist_ok=True)
    for name in HOOKS:
        (folder / name).write_text(f"#!/bin/sh\ntouch {markers.folder}/path-{name}\n")
        (folder / name).chmod(0o755)
    return str(folder)


def _filter(name: str, markers: Markers) -> str:
    program = markers.program(f"filter-{name}")
    return f'[filter "{name}"]\n\tclean = "{program}"\n\tsmudge = "{program}"\n\trequired = true\n'


def make_partial(root: Path) -> None:
    """The clone lacks an object of its history, and says that it can be fetched."""
    lost = helpers.git(root, "-c", "core.fsmonitor=false", "rev-parse", "main:shop/mailer.py")
    (root / ".git" / "objects" / lost[:2] / lost[2:]).unlink()
    with (root / ".git" / "config").open("a") as file:
        file.write('[extensions]\n\tpartialClone = origin\n[remote "origin"]\n\tpromisor = true\n')


def ask_git(root: Path, *words: str) -> None:
    """Git as anybody would start it."""
    env = helpers.clean_env(root.with_name("git.home"))
    subprocess.run(
        ["git", *words],
        cwd=root,
        env=env,
        capture_output=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )
