BRANCHES = [{'id': 'w-hosthub-unreadable',
  'job': 'provision-server',
  'label': 'bad',
  'title': 'Cloud: say what it answered where that cannot be read\n'
           '\n'
           "A KeyError: 'ip' in provisioning_failures helps nobody. Unreadable answers are rejections with the status "
           'and the\n'
           'beginning of the body.',
  'what': 'OrderRejected is permanent. A 200/201 whose body is cut off or rewritten by a proxy (HTML, {} or a machine '
          'that has no ip yet) means that the machine is made and costs money; base retries, gets 409 ServerExists '
          'with the machine and goes on. HEAD fails the server at once, writes a dead letter, starts no subscription, '
          'and the paid-for machine runs unknown to us. Only with such answers; exceptions raised by a stand-in never '
          'show it.',
  'edits': [('hosthub/cloud.py',
             '    """The cloud does not know the plan or the region, or does not like the name."""\n',
             '    """The cloud does not know the plan or the region, or does not like the name; or makes no '
             'sense."""\n'),
            ('hosthub/cloud.py',
             '        server = response.json()\n        return {"id": server["id"], "ip": server["ip"]}\n',
             '        return self._machine(response)\n'
             '\n'
             '    @staticmethod\n'
             '    def _machine(response: httpx.Response) -> dict:\n'
             '        try:\n'
             '            server = response.json()\n'
             '            return {"id": server["id"], "ip": server["ip"]}\n'
             '        except (ValueError, TypeError, KeyError) as exc:\n'
             '            raise OrderRejected(f"status {response.status_code}, unreadable: {response.text[:200]!r}") '
             'from exc\n'),
            ('tests/test_provision.py',
             '    assert len(outside.rows(FAILURES)) == 1\n\n\n',
             '    assert len(outside.rows(FAILURES)) == 1\n'
             '\n'
             '\n'
             '@pytest.mark.parametrize("body", ["<html>", "{}", "[]"])\n'
             'def test_unreadable_answers(body):\n'
             '    response = cloud.httpx.Response(200, text=body)\n'
             '    with pytest.raises(cloud.OrderRejected, match="status 200, unreadable"):\n'
             '        cloud.Cloud._machine(response)\n'
             '\n'
             '\n')]},
 {'id': 'w-hosthub-machine-class',
  'job': 'provision-server',
  'label': 'bad',
  'title': 'A class for machines instead of dicts\n'
           '\n'
           'The cloud\'s "id" is our provider_id; say so, and let the type checker see it. tokens keeps the same two '
           'fields.',
  'what': 'Redis holds {"id", "ip"} from the old version for up to a week (hosthub:made:<id>). Where the old worker '
          'died or was stopped by the deploy between remember and created, recall raises TypeError (unexpected keyword '
          "'id') at each of the five attempts: the server is failed with a dead letter though its machine runs, and "
          'orders.start fails again until the entry expires. The cloud is never asked again, so it does not heal. Only '
          'with entries of the old version.',
  'edits': [('hosthub/jobs.py',
             'from hosthub.settings import get_settings\n',
             'from hosthub.settings import get_settings\nfrom hosthub.tokens import Machine\n'),
            ('hosthub/jobs.py',
             '            server = await servers.created(server, machine["id"], machine["ip"])\n',
             '            server = await servers.created(server, machine.provider_id, machine.ip)\n'),
            ('hosthub/jobs.py',
             'async def machine_for(server: Server) -> dict:\n',
             'async def machine_for(server: Server) -> Machine:\n'),
            ('hosthub/jobs.py',
             '            machine = await cloud.create_server(\n',
             '            answer = await cloud.create_server(\n'),
            ('hosthub/jobs.py',
             '            machine = exc.machine\n',
             '            answer = exc.machine\n    machine = Machine.from_cloud(answer)\n'),
            ('hosthub/tokens.py', 'import json\n', 'import json\nfrom dataclasses import asdict, dataclass\n'),
            ('hosthub/tokens.py',
             'KEPT = 7 * 24 * 3600\n',
             'KEPT = 7 * 24 * 3600\n'
             '\n'
             '\n'
             '@dataclass(frozen=True)\n'
             'class Machine:\n'
             '    provider_id: str\n'
             '    ip: str\n'
             '\n'
             '    @classmethod\n'
             '    def from_cloud(cls, answer: dict) -> "Machine":\n'
             '        return cls(provider_id=answer["id"], ip=answer["ip"])\n'),
            ('hosthub/tokens.py',
             'async def recall(server_id: int) -> dict | None:\n',
             'async def recall(server_id: int) -> Machine | None:\n'),
            ('hosthub/tokens.py',
             '    return json.loads(found) if found else None\n',
             '    return Machine(**json.loads(found)) if found else None\n'),
            ('hosthub/tokens.py',
             'async def remember(server_id: int, machine: dict) -> None:\n',
             'async def remember(server_id: int, machine: Machine) -> None:\n'),
            ('hosthub/tokens.py',
             '        await redis.set(_key(server_id), json.dumps(machine), ex=KEPT)\n',
             '        await redis.set(_key(server_id), json.dumps(asdict(machine)), ex=KEPT)\n')]},
 {'id': 'w-hosthub-stuck-index',
  'job': 'provision-server',
  'label': 'honest',
  'title': 'The sweep reads its servers at once, and by an index\n'
           '\n'
           'One select for the ids and one for each server, in a transaction that keeps all writers out. Same servers, '
           'same\n'
           'order. `python -m hosthub.db` (the release step) makes the index.',
  'what': 'Same condition, same order, same Server objects; create index if not exists runs at the release and is '
          'quick (SQLite, a few thousand rows). The old workers do not mind the index.',
  'edits': [('hosthub/db.py',
             '    touched_at  real\n);\n',
             '    touched_at  real\n'
             ');\n'
             'create index if not exists servers_on_their_way on servers (status, touched_at)\n'
             "    where status in ('queued', 'creating', 'created');\n"),
            ('hosthub/servers.py',
             '        return self.attempts >= get_settings().max_attempts\n'
             '\n'
             '\n'
             'async def _read(tx, server_id: int) -> Server:\n'
             '    cursor = await tx.execute(\n'
             '        "select id, hostname, plan, region, status, version, attempts, provider_id, ip"\n'
             '        " from servers where id = ?", (server_id,))\n'
             '    row = await cursor.fetchone()\n'
             '    if row is None:\n'
             '        raise NoSuchServer(f"there is no server {server_id}")\n'
             '    return Server(**{**dict(row), "status": Status(row["status"])})\n'
             '\n'
             '\n'
             'async def _move(tx, server: Server, status: Status, **values) -> None:\n'
             '    values = {**values, "status": status.value, "touched_at": time.time()}\n'
             '    columns = ", ".join(f"{name} = :{name}" for name in values)\n'
             '    cursor = await tx.execute(\n'
             '        f"update servers set {columns}, version = version + 1"\n'
             '        " where id = :id and version = :read and status = :was",\n'
             '        {**values, "id": server.id, "read": server.version, "was": server.status.value})\n'
             '    if cursor.rowcount == 0:\n'
             '        raise Changed(f"server {server.id} is not {server.status} in version {server.version} any '
             'more")\n'
             '\n'
             '\n'
             'async def queue(server_id: int) -> bool:\n'
             '    """paid or failed -> queued. False where it is on its way or has arrived."""\n'
             '    async with db.transaction() as tx:\n'
             '        server = await _read(tx, server_id)\n'
             '        if server.status not in (Status.PAID, Status.FAILED):\n'
             '            return False\n'
             '        await _move(tx, server, Status.QUEUED, attempts=0, saq_key=None)\n'
             '        return True\n'
             '\n'
             '\n'
             'async def queued_as(server_id: int, saq_key: str) -> None:\n'
             '    async with db.transaction() as tx:\n'
             '        await tx.execute("update servers set saq_key = ?, touched_at = ? where id = ?",\n'
             '                         (saq_key, time.time(), server_id))\n'
             '\n'
             '\n'
             'async def begin(server_id: int) -> tuple[Server, bool]:\n'
             '    """The server, and whether there may be one more attempt; if so, it is counted."""\n'
             '    async with db.transaction() as tx:\n'
             '        server = await _read(tx, server_id)\n'
             '        if server.ended or server.last_attempt:\n'
             '            return server, False\n'
             '        await tx.execute("update servers set attempts = attempts + 1, touched_at = ? where id = ?",\n'
             '                         (time.time(), server_id))\n'
             '        if server.status in (Status.PAID, Status.QUEUED):\n'
             '            await _move(tx, server, Status.CREATING)\n'
             '        return await _read(tx, server_id), True\n'
             '\n'
             '\n'
             'async def created(server: Server, provider_id: str, ip: str) -> Server:\n'
             '    async with db.transaction() as tx:\n'
             '        await _move(tx, server, Status.CREATED, provider_id=provider_id, ip=ip)\n'
             '        return await _read(tx, server.id)\n'
             '\n'
             '\n'
             'async def activate(server: Server) -> None:\n'
             '    """The customer has a server, and pays for it from now on."""\n'
             '    async with db.transaction() as tx:\n'
             '        await _move(tx, server, Status.ACTIVE)\n'
             '        await tx.execute("insert into subscriptions (server_id, plan, started_at) values (?, ?, ?)",\n'
             '                         (server.id, server.plan, time.time()))\n'
             '\n'
             '\n'
             'async def fail(server: Server, saq_key: str, reason: str) -> None:\n'
             '    async with db.transaction() as tx:\n'
             '        await _move(tx, server, Status.FAILED)\n'
             '        await _failure(tx, saq_key, server.id, {"server_id": server.id}, reason, server.attempts)\n'
             '\n'
             '\n'
             'async def fail_message(saq_key: str, message: dict, reason: str) -> None:\n'
             '    """A message that belongs to no server."""\n'
             '    async with db.transaction() as tx:\n'
             '        await _failure(tx, saq_key, None, message, reason, 0)\n'
             '\n'
             '\n'
             'async def _failure(tx, saq_key, server_id, message, reason, attempts) -> None:\n'
             '    await tx.execute(\n'
             '        "insert into provisioning_failures (saq_key, server_id, message, reason, attempts, failed_at)"\n'
             '        " values (?, ?, ?, ?, ?, ?)"\n'
             '        " on conflict (saq_key) do update set reason = excluded.reason, failed_at = '
             'excluded.failed_at",\n'
             '        (saq_key, server_id, json.dumps(message, sort_keys=True, default=repr), reason, attempts, '
             'time.time()))\n'
             '\n'
             '\n'
             'async def stuck(before: float) -> list[Server]:\n'
             '    """Servers that were queued and not published, or that have not moved for too long."""\n'
             '    async with db.transaction() as tx:\n'
             '        cursor = await tx.execute(\n'
             '            "select id from servers where (status = \'queued\' and saq_key is null)"\n'
             '            " or (status in (\'queued\', \'creating\', \'created\') and touched_at < ?) order by id", '
             '(before,))\n'
             '        return [await _read(tx, row["id"]) for row in await cursor.fetchall()]\n',
             '        return self.attempts >= get_settings().max_attempts\n'
             '\n'
             '\n'
             '_SELECT = "select id, hostname, plan, region, status, version, attempts, provider_id, ip from servers"\n'
             '\n'
             '\n'
             'def _server(row) -> Server:\n'
             '    return Server(**{**dict(row), "status": Status(row["status"])})\n'
             '\n'
             '\n'
             'async def _read(tx, server_id: int) -> Server:\n'
             '    cursor = await tx.execute(f"{_SELECT} where id = ?", (server_id,))\n'
             '    row = await cursor.fetchone()\n'
             '    if row is None:\n'
             '        raise NoSuchServer(f"there is no server {server_id}")\n'
             '    return _server(row)\n'
             '\n'
             '\n'
             'async def _move(tx, server: Server, status: Status, **values) -> None:\n'
             '    values = {**values, "status": status.value, "touched_at": time.time()}\n'
             '    columns = ", ".join(f"{name} = :{name}" for name in values)\n'
             '    cursor = await tx.execute(\n'
             '        f"update servers set {columns}, version = version + 1"\n'
             '        " where id = :id and version = :read and status = :was",\n'
             '        {**values, "id": server.id, "read": server.version, "was": server.status.value})\n'
             '    if cursor.rowcount == 0:\n'
             '        raise Changed(f"server {server.id} is not {server.status} in version {server.version} any '
             'more")\n'
             '\n'
             '\n'
             'async def queue(server_id: int) -> bool:\n'
             '    """paid or failed -> queued. False where it is on its way or has arrived."""\n'
             '    async with db.transaction() as tx:\n'
             '        server = await _read(tx, server_id)\n'
             '        if server.status not in (Status.PAID, Status.FAILED):\n'
             '            return False\n'
             '        await _move(tx, server, Status.QUEUED, attempts=0, saq_key=None)\n'
             '        return True\n'
             '\n'
             '\n'
             'async def queued_as(server_id: int, saq_key: str) -> None:\n'
             '    async with db.transaction() as tx:\n'
             '        await tx.execute("update servers set saq_key = ?, touched_at = ? where id = ?",\n'
             '                         (saq_key, time.time(), server_id))\n'
             '\n'
             '\n'
             'async def begin(server_id: int) -> tuple[Server, bool]:\n'
             '    """The server, and whether there may be one more attempt; if so, it is counted."""\n'
             '    async with db.transaction() as tx:\n'
             '        server = await _read(tx, server_id)\n'
             '        if server.ended or server.last_attempt:\n'
             '            return server, False\n'
             '        await tx.execute("update servers set attempts = attempts + 1, touched_at = ? where id = ?",\n'
             '                         (time.time(), server_id))\n'
             '        if server.status in (Status.PAID, Status.QUEUED):\n'
             '            await _move(tx, server, Status.CREATING)\n'
             '        return await _read(tx, server_id), True\n'
             '\n'
             '\n'
             'async def created(server: Server, provider_id: str, ip: str) -> Server:\n'
             '    async with db.transaction() as tx:\n'
             '        await _move(tx, server, Status.CREATED, provider_id=provider_id, ip=ip)\n'
             '        return await _read(tx, server.id)\n'
             '\n'
             '\n'
             'async def activate(server: Server) -> None:\n'
             '    """The customer has a server, and pays for it from now on."""\n'
             '    async with db.transaction() as tx:\n'
             '        await _move(tx, server, Status.ACTIVE)\n'
             '        await tx.execute("insert into subscriptions (server_id, plan, started_at) values (?, ?, ?)",\n'
             '                         (server.id, server.plan, time.time()))\n'
             '\n'
             '\n'
             'async def fail(server: Server, saq_key: str, reason: str) -> None:\n'
             '    async with db.transaction() as tx:\n'
             '        await _move(tx, server, Status.FAILED)\n'
             '        await _failure(tx, saq_key, server.id, {"server_id": server.id}, reason, server.attempts)\n'
             '\n'
             '\n'
             'async def fail_message(saq_key: str, message: dict, reason: str) -> None:\n'
             '    """A message that belongs to no server."""\n'
             '    async with db.transaction() as tx:\n'
             '        await _failure(tx, saq_key, None, message, reason, 0)\n'
             '\n'
             '\n'
             'async def _failure(tx, saq_key, server_id, message, reason, attempts) -> None:\n'
             '    await tx.execute(\n'
             '        "insert into provisioning_failures (saq_key, server_id, message, reason, attempts, failed_at)"\n'
             '        " values (?, ?, ?, ?, ?, ?)"\n'
             '        " on conflict (saq_key) do update set reason = excluded.reason, failed_at = '
             'excluded.failed_at",\n'
             '        (saq_key, server_id, json.dumps(message, sort_keys=True, default=repr), reason, attempts, '
             'time.time()))\n'
             '\n'
             '\n'
             'async def stuck(before: float) -> list[Server]:\n'
             '    """Servers that were queued and not published, or that have not moved for too long."""\n'
             '    async with db.transaction() as tx:\n'
             '        cursor = await tx.execute(\n'
             '            f"{_SELECT} where (status = \'queued\' and saq_key is null)"\n'
             '            " or (status in (\'queued\', \'creating\', \'created\') and touched_at < ?) order by id", '
             '(before,))\n'
             '        return [_server(row) for row in await cursor.fetchall()]\n'),
            ('tests/test_provision.py',
             '    assert await sweeps.rescue_stuck() == [1]\n\n\n',
             '    assert await sweeps.rescue_stuck() == [1]\n'
             '\n'
             '\n'
             'async def test_stuck_ones_by_number(outside, monkeypatch):\n'
             '    for number in (3, 1):\n'
             '        assert await orders.start(number)\n'
             '    await provision_server({}, server_id=2)\n'
             '    now = servers.time.time()\n'
             '    found = await servers.stuck(now + 1)\n'
             '    assert [(s.id, s.status, s.hostname) for s in found] == [\n'
             '        (1, servers.Status.QUEUED, "ada-1.hosthub.example"), (3, servers.Status.QUEUED, '
             '"ada-2.hosthub.example")]\n'
             '    assert await servers.stuck(now - 10) == []\n'
             '\n'
             '\n')]}]
