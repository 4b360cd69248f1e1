"""What the harness needs in each repository: layouts, forks, deaths at a line, pauses, recording stand-ins."""
import gc
import json
import os
import runpy
import shutil
import signal
import sqlite3
import sys
import tempfile
import threading
import time
import traceback


def variants(here):
    found = runpy.run_path(os.path.join(here, "variants.py"))["VARIANTS"]
    return [dict(id="base", kind="correct", job="*", what="the first version", edits=[])] + found


def layout(here, variant, dest):
    shutil.copytree(os.path.join(here, "base"), dest, ignore=shutil.ignore_patterns("__pycache__", "*.db*", ".pytest_cache"))
    for path, old, new in variant["edits"]:
        full = os.path.join(dest, path)
        if old == "":
            os.makedirs(os.path.dirname(full), exist_ok=True)
            open(full, "w").write(new)
            continue
        text = open(full).read()
        if text.count(old) != 1:
            raise SystemExit(f"{variant['id']}: {path}: old text occurs {text.count(old)} times: {old[:60]!r}")
        open(full, "w").write(text.replace(old, new))


class Misbehaves(Exception):
    pass


def expect(condition, seen):
    if not condition:
        raise Misbehaves(seen)


class World:
    """One laid-out variant, its scratch folder, and the receivers on the other side."""

    def __init__(self, root, scratch, not_traced=()):
        self.root, self.scratch, self.not_traced = root, scratch, not_traced
        self.effects_file = os.path.join(scratch, "effects.jsonl")
        self.log_file = os.path.join(scratch, "log.txt")
        self.db = os.path.join(scratch, "app.db")
        self.template = os.path.join(scratch, "template.db")
        self.plan = None

    def reset(self):
        for suffix in ("", "-wal", "-shm", "-journal"):
            if os.path.exists(self.db + suffix):
                os.unlink(self.db + suffix)
        shutil.copy(self.template, self.db)
        for name in os.listdir(self.scratch):
            if name.endswith((".jsonl", ".txt", ".flag")):
                os.unlink(os.path.join(self.scratch, name))

    # -- the receivers
    def attempts(self, name=None):
        if not os.path.exists(self.effects_file):
            return []
        rows = [json.loads(line) for line in open(self.effects_file)]
        return [r for r in rows if name in (None, r["effect"])]

    def done(self, name, key):
        return sorted(r["args"].get(key) for r in self.attempts(name) if r["outcome"] == "ok")

    def stand_in(self, name, returns=None, positional=()):
        def call(*args, **kwargs):
            kwargs.update(zip(positional, args))
            shown = {k: v.decode() if isinstance(v, bytes) else v for k, v in kwargs.items()}
            number = len(self.attempts(name))
            action = self.plan(name, number, shown) if self.plan else None
            if action == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            if isinstance(action, float):
                time.sleep(action)
                action = None
            self.append(self.effects_file, dict(effect=name, args=shown, outcome="ok" if action is None else type(action).__name__))
            if action is not None:
                raise action
            return returns
        return call

    @staticmethod
    def append(path, row):
        fd = os.open(path, os.O_APPEND | os.O_CREAT | os.O_WRONLY)
        os.write(fd, (json.dumps(row, default=str) + "\n").encode())
        os.close(fd)

    def warm(self, call):
        """Runs once in this process, so that the forks find everything compiled."""
        gc.disable()
        sys.stdout.flush(), sys.stderr.flush()
        kept = os.dup(1), os.dup(2)
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1), os.dup2(null, 2)
        try:
            call()
        finally:
            os.dup2(kept[0], 1), os.dup2(kept[1], 2)
        gc.freeze()

    # -- deliveries, each in a child of its own
    def start(self, call, kill_line=None, pause_line=None, count_lines=False, tag="a"):
        flag, go = (os.path.join(self.scratch, f"{tag}.{n}.flag") for n in ("paused", "go"))
        pid = os.fork()
        if pid:
            return pid
        try:
            fd = os.open(self.log_file, os.O_APPEND | os.O_CREAT | os.O_WRONLY)
            os.dup2(fd, 1)
            os.dup2(fd, 2)
            count = [0]
            main = os.getpid()

            def trace(frame, event, _):
                name = frame.f_code.co_filename
                if not name.startswith(self.root) or os.path.basename(name) in self.not_traced or "site-packages" in name:
                    return None

                def local(frame, event, _):
                    if event == "line":
                        count[0] += 1
                        if count[0] == kill_line:
                            os.kill(main, signal.SIGKILL)
                            time.sleep(5)
                        if count[0] == pause_line:
                            open(flag, "w").close()
                            end = time.time() + 5
                            while not os.path.exists(go) and time.time() < end:
                                time.sleep(0.005)
                    return local
                return local

            if kill_line or pause_line or count_lines:
                threading.settrace(trace)
                sys.settrace(trace)
            code = 0
            try:
                call()
            except BaseException:
                sys.settrace(None)
                traceback.print_exc()
                code = 1
            sys.settrace(None)
            threading.settrace(None)
            with open(os.path.join(self.scratch, "lines.txt"), "w") as out:
                out.write(str(count[0]))
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
        finally:
            os._exit(70)

    @staticmethod
    def wait(pid, timeout=40):
        end = time.time() + timeout
        while time.time() < end:
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.003)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        return "hangs"

    def run(self, call, **kw):
        return self.wait(self.start(call, **kw))

    def lines(self, call):
        """How many lines of the repository a delivery goes through; it is run for that."""
        self.run(call, count_lines=True)
        return int(open(os.path.join(self.scratch, "lines.txt")).read())

    def beside(self, first, second, pause_line, patience=0.25):
        """`first` stops at a line, `second` runs meanwhile (whole, unless it waits for a lock), then `first` goes on."""
        a = self.start(first, pause_line=pause_line, tag="a")
        flag = os.path.join(self.scratch, "a.paused.flag")
        end = time.time() + 5
        while not os.path.exists(flag) and time.time() < end:
            done, _ = os.waitpid(a, os.WNOHANG)
            if done:
                return self.run(second, tag="b")
            time.sleep(0.003)
        b = self.start(second, tag="b")
        end = time.time() + patience
        while time.time() < end:
            done, _ = os.waitpid(b, os.WNOHANG)
            if done:
                b = None
                break
            time.sleep(0.003)
        open(os.path.join(self.scratch, "a.go.flag"), "w").close()
        self.wait(a)
        if b:
            self.wait(b)

    # -- what is left
    def query(self, sql):
        db = sqlite3.connect(self.db, timeout=10)
        try:
            return [tuple(r) for r in db.execute(sql).fetchall()]
        finally:
            db.close()

    def log(self):
        return open(self.log_file).read() if os.path.exists(self.log_file) else ""


def main(here, check, setup, env, preload=(), not_traced=("schema.py",)):
    """One process loads the libraries; each variant gets a fork of it, each delivery a fork of that."""
    for name in preload:
        __import__(name)
    gc.collect()
    gc.freeze()
    wanted = sys.argv[1:]
    work = tempfile.mkdtemp(prefix="harness-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None)

    def one(variant):
        place = os.path.join(work, variant["id"])
        root, scratch = place + "/repo", place + "/scratch"
        os.makedirs(scratch)
        layout(here, variant, root)
        pid = os.fork()
        if pid:
            return pid
        result = "broken: died"
        try:
            os.environ.update({k: v.format(scratch=scratch) for k, v in env.items()})
            sys.dont_write_bytecode = True
            os.chdir(root)
            sys.path.insert(0, root)
            world = World(root, scratch, not_traced)
            made = world.run(setup)
            if made:
                result = f"broken: setup: {made} {world.log()[-800:]}"
            else:
                shutil.copy(world.db, world.template)
                check(world, variant["job"])
                result = "behaves"
        except Misbehaves as error:
            result = f"misbehaves: {error}"
        except BaseException:
            result = "broken: " + traceback.format_exc()[-1500:]
        finally:
            open(place + "/result", "w").write(result)
            os._exit(0)

    chosen = [v for v in variants(here) if not wanted or v["id"] in wanted]
    wrong, running, waiting = 0, {}, list(chosen)
    while running or waiting:
        while waiting and len(running) < 2:
            variant = waiting.pop(0)
            running[one(variant)] = variant
        pid, _ = os.wait()
        variant = running.pop(pid)
        seen = open(os.path.join(work, variant["id"], "result")).read()
        agrees = seen.startswith("behaves" if variant["kind"] == "correct" else "misbehaves")
        wrong += not agrees
        print(f"{variant['id']:8} {seen}" + ("" if agrees else f"   <-- should be {variant['kind']}"), flush=True)
        shutil.rmtree(os.path.join(work, variant["id"]), ignore_errors=True)
    shutil.rmtree(work, ignore_errors=True)
    print(f"{len(chosen)} variants, {wrong} disagree")
    sys.exit(bool(wrong))
