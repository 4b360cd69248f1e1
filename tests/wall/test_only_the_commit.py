"""What a verification judges is the commit: byte for byte at the beginning, and still so after each
stage.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import fixtures_repos
import helpers
import pytest
import shops

from skillrun.core.errors import Blocked, RepoUnusable
from skillrun.repo.git import open_repo
from skillrun.wall.checkout import Checkout, clean_checkout
from skillrun.wall.commit import read_entries

Make = Callable[..., Path]
FILES: dict[str, str | bytes] = {
    "shop/__init__.py": "",
    "shop/tasks.py": "X = 1\n",
    "shop/fast.pyx": "",
    "tests/test_x.py": "def test_x(): pass\n",
    "run.sh": "true\n",
    "gen/.gitkeep": "",
    "data.bin": bytes(range(256)) * 100,
}


@contextmanager
def checked_out(repo: Path) -> Iterator[Checkout]:
    opened = open_repo(repo)
    with clean_checkout(opened, opened.head or "") as checkout:
        yield checkout


def build(make_repo: Make) -> Path:
    repo = make_repo(FILES)
    (repo / "link").symlink_to("shop/tasks.py")
    (repo / "run.sh").chmod(0o755)
    helpers.commit(repo)
    return repo


def changes(checkout: Checkout) -> list[tuple[str, str]]:
    return [*checkout.contents.find_changes(), *checkout.strays.find()]


def test_a_checkout_is_the_commit(make_repo: Make) -> None:
    repo = build(make_repo)
    with checked_out(repo) as checkout:
        assert changes(checkout) == changes(checkout) == []
        assert (checkout.root / "data.bin").read_bytes() == FILES["data.bin"]
        assert os.access(checkout.root / "run.sh", os.X_OK)
        assert (checkout.root / "link").readlink() == Path("shop/tasks.py")
        assert helpers.git(checkout.root, "status", "--porcelain") == ""


def swap(path: str, text: str) -> Callable[[Path], object]:
    return lambda root: (root / path).write_text(text)


def same_size_and_time(root: Path) -> None:
    """As long as before, and as old."""
    seen = (root / "shop/tasks.py").stat()
    (root / "shop/tasks.py").write_text("X = 2\n")
    os.utime(root / "shop/tasks.py", ns=(seen.st_atime_ns, seen.st_mtime_ns))


def replace(path: str, make: Callable[[Path], object]) -> Callable[[Path], object]:
    def change(root: Path) -> None:
        (root / path).unlink()
        make(root / path)

    return change


def behind_a_link(root: Path) -> None:
    (root / "shop").rename(root / "other")
    (root / "shop").symlink_to("other")


TAMPERED: dict[str, tuple[Callable[[Path], object], str]] = {
    "edited": (swap("shop/tasks.py", "X = 22\n"), "shop/tasks.py has another content"),
    "same size": (same_size_and_time, "shop/tasks.py has another content"),
    "gone": (lambda root: (root / "shop/tasks.py").unlink(), "shop/tasks.py is gone"),
    "mode": (lambda root: (root / "shop/tasks.py").chmod(0o755), "shop/tasks.py has another mode"),
    "no program": (lambda root: (root / "run.sh").chmod(0o644), "run.sh has another mode"),
    "a link": (
        replace("shop/tasks.py", lambda path: path.symlink_to("/etc/hosts")),
        "shop/tasks.py is no file",
    ),
    "a pipe": (replace("shop/tasks.py", os.mkfifo), "shop/tasks.py is no file"),
    "another link": (
        replace("link", lambda path: path.symlink_to("run.sh")),
        "link is a link to something else",
    ),
    "no link": (replace("link", lambda path: path.write_text("shop/tasks.py")), "link is no link"),
    "behind a link": (behind_a_link, "shop is a link now"),
    "index": (
        lambda root: helpers.git(root, "rm", "--cached", "-q", "run.sh"),
        "run.sh is otherwise in git's index",
    ),
    "head": (
        lambda root: helpers.git(root, "commit", "-q", "--allow-empty", "-m", "x"),
        ".git has another HEAD",
    ),
    "git": (swap(".git", "gitdir: /elsewhere\n"), ".git leads to another repository"),
}


@pytest.mark.parametrize("how", TAMPERED)
def test_what_became_of_the_commit_is_named(make_repo: Make, how: str) -> None:
    tamper, said = TAMPERED[how]
    with checked_out(build(make_repo)) as checkout:
        assert changes(checkout) == []
        tamper(checkout.root)
        found = [f"{path} {what}" for path, what in changes(checkout)]
        assert any(line.startswith(said) for line in found), found


@pytest.mark.parametrize(
    ("path", "said"),
    (
        ("shop/tasks/__init__.py", "takes the place of a module"),
        ("shop/tasks/__init__.cpython-311.so", "takes the place of a module"),
        ("shop/tasks.cpython-311-x86_64-linux-gnu.so", "takes the place of a module"),
        ("shop.py", "takes the place of a module"),
        ("shop/__init__.abi3.so", "takes the place of a module"),
        ("json.py", "takes the place of an installed module"),
        ("pytest/__init__.py", "takes the place of an installed module"),
        ("tests/json.py", "takes the place of an installed module"),
        ("conftest.py", "is read by itself"),
        ("tests/conftest.py", "is read by itself"),
        ("sitecustomize.py", "is read by itself"),
        ("evil.pth", "is read by itself"),
        ("pytest.ini", "is read by itself"),
        ("GNUmakefile", "is read by itself"),
        ("REPO_PROFILE.json", "is read by itself"),
    ),
)
def test_a_file_that_would_be_run_instead_is_named(make_repo: Make, path: str, said: str) -> None:
    """Also where git ignores it."""
    repo = build(make_repo)
    (repo / ".gitignore").write_text(f"{path}\n")
    helpers.commit(repo)
    with checked_out(repo) as checkout:
        helpers.write_files(checkout.root, {path: "X = 3\n"})
        ((found, what),) = changes(checkout)
        assert path.startswith(found)
        assert what == f"is new, and {said}"


@pytest.mark.parametrize(("package", "count"), (("theirs", 1), ("yaml", 0)))
def test_what_is_installed_is_asked_of_the_repositorys_environment(
    make_repo: Make, package: str, count: int
) -> None:
    """What only skillrun runs with is nothing that a file could take the place of."""
    repo = build(make_repo)
    (repo / ".gitignore").write_text(".venv\n")
    helpers.commit(repo)
    helpers.write_files(
        repo / ".venv", {"lib/python3.11/site-packages/theirs/__init__.py": "", "bin/python": ""}
    )
    (repo / ".venv/bin/python").chmod(0o755)
    with checked_out(repo) as checkout:
        helpers.write_files(checkout.root, {f"{package}.py": "X = 3\n"})
        assert len(changes(checkout)) == count


def test_what_tests_and_setup_usually_leave_is_fine(make_repo: Make) -> None:
    left = (
        *(
            "shop/__pycache__/tasks.cpython-311.pyc",
            ".pytest_cache/README.md",
            ".coverage",
            "htmlcov/index.html",
        ),
        *(
            "shop/_version.py",
            "shop/fast.cpython-311.so",
            "gen/__init__.py",
            "gen/api_pb2.py",
            "db.sqlite3",
        ),
        *(
            "build/lib/shop/tasks.py",
            "build/lib/tests/conftest.py",
            "shop.egg-info/PKG-INFO",
            "node_modules/x/index.js",
        ),
        *(
            "env/pyvenv.cfg",
            "env/lib/python3.11/site-packages/x.pth",
            "tests/__pycache__/x.pyc",
            "settings_local.py",
        ),
    )
    with checked_out(build(make_repo)) as checkout:
        helpers.write_files(checkout.root, dict.fromkeys(left, "x\n"))
        assert changes(checkout) == []


def test_bytecode_is_compiled_from_the_commit(make_repo: Make) -> None:
    repo = build(make_repo)
    with checked_out(repo) as checkout:
        helpers.write_files(
            checkout.root, {"shop/__pycache__/tasks.pyc": "x", "__pycache__/x.pyc": "x"}
        )
        (checkout.root / "tests" / "__pycache__").symlink_to(repo)
        checkout.strays.remove_bytecode()
        left = {str(path.relative_to(checkout.root)) for path in checkout.root.rglob("__pycache__")}
        assert left == set()
        assert (repo / "shop" / "tasks.py").exists()


# -- as the commit has it, and not as a configuration would


CONVERTED = """
*.txt text eol=crlf
*.id ident
*.u16 working-tree-encoding=UTF-16LE
*.lfs filter=lfs
*.plain filter=evil
"""


def test_nothing_is_converted_and_it_is_said(make_repo: Make, tmp_path: Path) -> None:
    """Line ends, encodings and $Id$ by attributes, filters by configuration: the files are what the
    commit holds.
    """
    names = ("a.txt", "a.id", "a.u16", "a.lfs", "a.plain", "other.py")
    files = {name: f"$Id$ {name}\n" for name in names}
    repo = make_repo({**files, "keep.txt": "1\r\n"})
    (repo / ".gitattributes").write_text(CONVERTED)
    helpers.git(repo, "add", ".gitattributes")
    helpers.git(repo, "commit", "--quiet", "--message", "Attributes")
    for name in ("evil", "lfs"):
        helpers.git(repo, "config", f"filter.{name}.smudge", f"touch {tmp_path / 'smudged'}; cat")
        helpers.git(repo, "config", f"filter.{name}.required", "true")
    helpers.git(repo, "config", "core.autocrlf", "true")
    with checked_out(repo) as checkout:
        assert {name: (checkout.root / name).read_text() for name in names} == files
        assert (checkout.root / "keep.txt").read_bytes() == b"1\r\n"
        assert changes(checkout) == []
        said = "\n".join(checkout.notes)
    assert not (tmp_path / "smudged").exists()
    assert (
        "filters are off, files are as git keeps them (of Git LFS: the pointers): a.lfs, a.plain"
        in said
    )
    assert (
        "eol=crlf is not applied, files have the line ends that the commit holds: a.txt, keep.txt"
        in said
    )
    assert "working-tree-encoding is not applied, files are UTF-8 as git keeps them: a.u16" in said
    assert "$Id$ is not expanded: a.id" in said
    assert "core.autocrlf is not applied" in said


def test_a_usual_repository_has_nothing_to_be_told(make_repo: Make) -> None:
    repo = make_repo(
        {**FILES, ".gitattributes": "* text=auto eol=lf\n*.bin binary -text\n*.pyx -filter\n"}
    )
    with checked_out(repo) as checkout:
        assert checkout.notes == ()


@pytest.mark.real
def test_a_submodule_is_an_empty_folder(make_repo: Make, tmp_path: Path) -> None:
    make_repo({"a": "1"}, name="inner")
    repo = build(make_repo)
    helpers.git(repo, "submodule", "add", "--quiet", str(tmp_path / "inner"), "sub")
    helpers.commit(repo)
    with checked_out(repo) as checkout:
        assert list((checkout.root / "sub").iterdir()) == []
        assert changes(checkout) == []
        (checkout.root / "sub").rmdir()
        assert ("sub", "is gone") in changes(checkout)


def test_a_repository_with_long_names_of_objects(tmp_path: Path) -> None:
    repo = tmp_path / "repo"
    helpers.git(tmp_path, "init", "--quiet", "--object-format=sha256", str(repo))
    helpers.build_tree(repo, FILES)
    with checked_out(repo) as checkout:
        assert changes(checkout) == []
        (checkout.root / "shop" / "tasks.py").write_text("X = 2\n")
        assert changes(checkout) == [("shop/tasks.py", "has another content")]


def test_odd_names_are_written(tmp_path: Path) -> None:
    repo = fixtures_repos.hostile_names(tmp_path / "repo")
    with checked_out(repo) as checkout:
        assert changes(checkout) == []


@pytest.mark.parametrize("name", ("..", ".git", ".GIT"))
def test_a_path_that_leads_out_is_refused(make_repo: Make, name: str, tmp_path: Path) -> None:
    repo = make_repo(FILES)
    blob = helpers.git(repo, "rev-parse", "HEAD:run.sh")
    inner = _tree(repo, f"100644 blob {blob}\tout.py")
    tree = _tree(repo, f"040000 tree {inner}\t{name}")
    helpers.git(
        repo, "reset", "--quiet", "--soft", helpers.git(repo, "commit-tree", tree, "-m", "x")
    )
    with pytest.raises(RepoUnusable), checked_out(repo):
        pass
    assert not [path for path in tmp_path.rglob("out.py") if ".git" not in path.parts]


def _tree(repo: Path, line: str) -> str:
    import subprocess

    done = subprocess.run(
        ["git", "mktree"], cwd=repo, input=f"{line}\n", text=True, capture_output=True, check=True
    )
    return done.stdout.strip()


def test_an_object_that_is_not_what_its_name_says(make_repo: Make) -> None:
    """A repository whose store was tampered with: its file is not the commit's."""
    repo = build(make_repo)
    entries = read_entries(repo, "HEAD")
    good, bad = entries["shop/tasks.py"].blob, entries["tests/test_x.py"].blob
    objects = repo / ".git" / "objects"
    place = objects / good[:2] / good[2:]
    place.chmod(0o644)
    place.write_bytes((objects / bad[:2] / bad[2:]).read_bytes())
    try:
        with checked_out(repo) as checkout:
            assert "shop/tasks.py" in [path for path, _ in changes(checkout)]
    except (RepoUnusable, Blocked):
        pass  # git has seen it


# -- the whole verification


def spoiled(tmp_path: Path, *, script: str) -> Path:
    """The shop on a branch, whose lint runs a script in the checkout."""
    repo = shops.shop(
        tmp_path / "repo", makefile=f"lint:\n\t{sys.executable} spoil.py\n\ntest:\n\ttrue\n"
    )
    helpers.git(repo, "checkout", "--quiet", "-b", "feature")
    helpers.write_files(repo, {"spoil.py": "import pathlib\n" + script})
    helpers.commit(repo, "Lint")
    return repo


def verify(repo: Path, *, code: int) -> tuple[dict[str, Any], str]:
    out = repo.parent / "out.json"
    done = helpers.run_cli(
        "verify", "--ci", "--format", "json", "--output", out, cwd=repo, timeout=300
    )
    assert done.returncode == code, done.stdout + done.stderr
    return json.loads(out.read_text()), done.stdout


@pytest.mark.real
@pytest.mark.parametrize(
    ("script", "path"),
    (
        ("pathlib.Path('shop/tasks.py').write_text('')\n", "shop/tasks.py"),
        ("pathlib.Path('tests/test_send_receipt.py').unlink()\n", "tests/test_send_receipt.py"),
        (
            "p = pathlib.Path('shop/tasks'); p.mkdir(); (p / '__init__.py').write_text('')\n",
            "shop/tasks",
        ),
        ("pathlib.Path('sitecustomize.py').write_text('')\n", "sitecustomize.py"),
    ),
)
def test_a_stage_that_changes_what_is_judged_fails_the_verification(
    tmp_path: Path, script: str, path: str
) -> None:
    document, text = verify(spoiled(tmp_path, script=script), code=1)
    (job,) = document["jobs"]
    stages = {stage["id"]: stage for stage in job["stages"]}
    (found,) = [f for f in stages["validate"]["findings"] if f["rule"] == "verify.not-the-commit"]
    assert (found["path"], found["severity"], stages["validate"]["status"]) == (
        path,
        "error",
        "failed",
    )
    assert document["outcome"] == job["outcome"] == "partial"
    assert f"{path} " in text
    assert "what was judged is not the commit" in text


@pytest.mark.real
def test_a_stage_that_leaves_other_files_is_fine(tmp_path: Path) -> None:
    script = (
        "pathlib.Path('report.txt').write_text('x');"
        " pathlib.Path('shop/_version.py').write_text('')\n"
    )
    document, _ = verify(spoiled(tmp_path, script=script), code=0)
    assert document["outcome"] == "success"


@pytest.mark.real
def test_the_next_job_is_not_believed_either(tmp_path: Path) -> None:
    """What the validations of one job have changed, another one would be judged by."""
    repo = spoiled(tmp_path, script="pathlib.Path('shop/mailer.py').open('a').write('# more')\n")
    second = (repo / shops.SPEC).read_text().replace("job: send-receipt", "job: second")
    helpers.write_files(repo, {".skillrun/jobs/z-second.yaml": second.encode()})
    helpers.commit(repo, "Second")
    document, _ = verify(repo, code=1)
    for job in document["jobs"]:
        rules = {finding["rule"] for stage in job["stages"] for finding in stage["findings"]}
        assert "verify.not-the-commit" in rules, job["job"]
        assert job["outcome"] == "partial"


@pytest.mark.real
def test_a_committed_journal_swaps_nothing_in(tmp_path: Path) -> None:
    """A bad module in the commit, a good copy beside it, and a note that says: put this in its
    place.
    """
    import hashlib

    repo = shops.shop(tmp_path / "repo")
    good = (repo / "shop/tasks.py").read_bytes()
    bad = good.replace(b"max_retries=4,", b"max_retries=None,")
    assert bad != good
    draft = "shop/.tasks.py.skillrun-1"
    sides = {"before": hashlib.sha256(bad).hexdigest(), "after": hashlib.sha256(good).hexdigest()}
    steps = [{"path": "shop/tasks.py", "draft": draft, **sides}]
    note = {"version": 1, "state": "ready", "steps": steps, "drafts": [draft], "folders": []}
    helpers.git(repo, "checkout", "--quiet", "-b", "feature")
    helpers.write_files(
        repo, {"shop/tasks.py": bad, draft: good, ".skillrun/writing.json": json.dumps(note)}
    )
    helpers.git(repo, "add", "--force", "--all")
    helpers.git(repo, "commit", "--quiet", "--message", "Journal")
    document, _ = verify(repo, code=1)
    assert document["outcome"] == "partial"
    assert (repo / "shop/tasks.py").read_bytes() == bad
