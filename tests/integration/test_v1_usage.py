"""GET /v1/usage: what was used by project and day, whatever died in between."""

import random
import uuid
from collections import defaultdict
from datetime import datetime, timedelta, timezone

import pytest

from support.client import assert_problem
from support.processes import new_sandbox
from support.stack import DEFAULT_TENANT
from support.wait import eventually

DAY = timedelta(days=1)
NUMBERS = ("sandbox_seconds", "cpu_seconds", "memory_mb_seconds", "runs")


def usage(client, query=""):
    response = client.get(f"/v1/usage?{query}")
    assert response.status == 200, response
    return {(item["project_id"], item["day"]): item for item in response.json["items"]}


def moment(text):
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def rfc3339(when):
    return when.astimezone(timezone.utc).isoformat().replace("+00:00", "Z")


# --- the model: intervals, cut at midnight


def model(intervals, since, until):
    """intervals: (project, start, end, memory_mb, cpu_seconds, runs)."""
    days = defaultdict(lambda: dict.fromkeys(NUMBERS, 0))
    for project, start, end, memory_mb, cpu_seconds, runs in intervals:
        if start >= until or end < since:
            continue
        day = max(start, since).replace(hour=0, minute=0, second=0, microsecond=0)
        while day <= min(end, until):
            seconds = (min(end, until, day + DAY) - max(start, since, day)).total_seconds()
            whole = (end - start).total_seconds()
            numbers = days[project, day.date().isoformat()]
            numbers["sandbox_seconds"] += seconds
            numbers["cpu_seconds"] += cpu_seconds * (seconds / whole if whole else 1)
            numbers["memory_mb_seconds"] += memory_mb * seconds
            numbers["runs"] += runs if start >= since and day <= start else 0
            day += DAY
    return days


def assert_equal(shown, expected):
    for key in shown.keys() | expected.keys():
        there = shown.get(key, dict.fromkeys(NUMBERS, 0))
        wanted = expected.get(key, dict.fromkeys(NUMBERS, 0))
        for name in NUMBERS:
            assert there[name] == pytest.approx(wanted[name], rel=1e-6, abs=0.01), (key, name)


# --- histories that are written down


class History:
    """Random lives of sandboxes over six days, as the tables have them, and as intervals."""

    ENDINGS = ["stopped", "failed", "deleting", "deleted", "open", "vanished"]

    def __init__(self, seed, tenant, projects):
        self.random = random.Random(seed)
        self.tenant = tenant
        self.projects = projects
        self.now = datetime.now(timezone.utc)
        self.begin = self.now - 6 * DAY
        self.sql = []
        self.events = []
        self.intervals = []
        for _ in range(40):
            self.add_container()
            self.add_run()
        self.events.sort(key=lambda event: event[0])

    def moment(self, after=None):
        after = after or self.begin
        return after + (self.now - after) * self.random.random() * 0.9

    def add_event(self, at, project, sandbox, kind, origin, to, detail="NULL"):
        self.events.append((at, (
            "INSERT INTO events (at, tenant_id, project_id, sandbox_id, kind, from_state, to_state,"
            f" detail) VALUES ('{at.isoformat()}', '{self.tenant}', '{project}', '{sandbox}',"
            f" '{kind}', {origin}, {to}, {detail})"
        )))

    def add_container(self):
        sandbox, project = uuid.UUID(int=self.random.getrandbits(128)), self.pick_project()
        at = self.begin
        for generation in range(1, self.random.randrange(2, 5)):
            at = self.moment(at)
            memory_mb, cpu_usec = self.random.choice([64, 512]), self.random.randrange(10**8)
            detail = f"{{\"generation\": {generation}, \"memory_mb\": {memory_mb}}}"
            start = at
            self.add_event(at, project, sandbox, "sandbox.running", "'creating'", "'running'",
                           f"'{detail}'")
            for _ in range(self.random.randrange(3)):
                at = self.moment(at)
                self.add_event(at, project, sandbox, "sandbox.paused", "'running'", "'paused'",
                               f"'{detail}'")
                at = self.moment(at)
                self.add_event(at, project, sandbox, "sandbox.running", "'paused'", "'running'",
                               f"'{detail}'")
            ending = self.random.choice(self.ENDINGS)
            at = self.end(sandbox, project, generation, ending, start, at, memory_mb, cpu_usec)
            if ending not in ("stopped", "failed"):
                return

    def end(self, sandbox, project, generation, ending, start, at, memory_mb, cpu_usec):
        """Ends a start of a container; returns when."""
        if ending == "open":
            self.sql.append(
                "INSERT INTO sandboxes (id, tenant_id, project_id, kind, state, env, image, "
                "generation, memory_limit_mb, idle_timeout_s, expires_at) VALUES "
                f"('{sandbox}', '{self.tenant}', '{project}', 'container', 'running', '{{}}', "
                f"'base', {generation}, {memory_mb}, 3600, now() + interval '1 day')"
            )
            self.intervals.append((project, start, None, memory_mb, 0, 0))
            return at
        if ending == "vanished":  # the row is gone, and no event says how
            self.intervals.append((project, start, start, memory_mb, 0, 0))
            return at
        over = self.moment(at)
        counted = self.random.random() < 0.8
        self.add_event(over, project, sandbox, f"sandbox.{ending}", "'running'", f"'{ending}'")
        if counted:
            self.add_event(
                over + timedelta(microseconds=1), project, sandbox, "sandbox.ended", "NULL", "NULL",
                f"'{{\"generation\": {generation}, \"cpu_usec\": {cpu_usec}}}'",
            )
        self.intervals.append(
            (project, start, over, memory_mb, cpu_usec / 1e6 if counted else 0, 0)
        )
        return over

    def add_run(self):
        project, start = self.pick_project(), self.moment()
        deadline = start + self.random.choice([timedelta(seconds=30), timedelta(hours=20)])
        end, cpu_usec, state = self.moment(start), self.random.randrange(10**7), "completed"
        fate = self.random.choice(["completed", "lost", "forgotten"])
        if fate == "lost":
            cpu_usec, state = None, "lost"
        if fate == "forgotten":  # nobody has ended it: it is over a minute after its deadline
            end, cpu_usec, state = None, None, "running"
        self.sql.append(
            "INSERT INTO processes (id, tenant_id, project_id, sandbox_id, generation, node_id, "
            "boot_id, state, started_at, deadline_at, ended_at, cpu_usec, cpu_milli, memory_mb, "
            "pids_max) VALUES (gen_random_uuid(), "
            f"'{self.tenant}', '{project}', gen_random_uuid(), 1, 'n', gen_random_uuid(), "
            f"'{state}', '{start.isoformat()}', '{deadline.isoformat()}', "
            f"{quoted(end)}, {cpu_usec if cpu_usec is not None else 'NULL'}, 1000, 128, 64)"
        )
        # Also where its end was recorded days later.
        end = min(end or self.now, deadline + timedelta(minutes=1))
        self.intervals.append((project, start, end, 128, (cpu_usec or 0) / 1e6, 1))

    def pick_project(self):
        return self.random.choice(self.projects)

    def write(self, postgres):
        """In the order of time: the log's order is that of its writing."""
        postgres.execute(
            "; ".join(["SET session_replication_role = replica", "BEGIN", *self.sql,
                       # What the table's trigger would have kept.
                       "UPDATE sandboxes SET is_up = state IN ('creating', 'running', 'paused') "
                       f"WHERE tenant_id = '{self.tenant}'",
                       *(sql for _, sql in self.events), "COMMIT"])
        )


def quoted(when):
    return f"'{when.isoformat()}'" if when else "NULL"


@pytest.mark.parametrize("seed", range(8))
def test_sums_equal_the_model(stack, seed):
    """Worker and server must not tidy these rows away meanwhile: they stand still."""
    name = f"usage-{seed}"
    client = stack.tenant_client(name)
    tenant = stack.extra_tenants[name]
    projects = [
        str(uuid.UUID(stack.postgres.execute(
            f"INSERT INTO projects (tenant_id, name) VALUES ('{tenant}', 'p{i}') RETURNING id")))
        for i in range(3)
    ]
    history = History(seed, tenant, projects)
    stack.worker.stop()
    try:
        history.write(stack.postgres)
        intervals = [
            (uuid.UUID(project).hex, start, end or history.now + DAY, *rest)
            for project, start, end, *rest in history.intervals
        ]
        chance = random.Random(seed)
        for since, until in [
            (history.begin - DAY, history.now - timedelta(seconds=1)),
            *(sorted(history.moment() for _ in range(2)) for _ in range(4)),
        ]:
            shown = usage(client, f"from={rfc3339(since)}&to={rfc3339(until)}")
            assert_equal(shown, model(intervals, since, until))
            one = uuid.UUID(chance.choice(projects)).hex
            only = usage(
                client, f"from={rfc3339(since)}&to={rfc3339(until)}&project_id={one}"
            )
            assert only == {key: item for key, item in shown.items() if key[0] == one}
        assert_nothing_dead_is_open(stack.postgres)
    finally:
        stack.postgres.execute(
            f"SET session_replication_role = replica; DELETE FROM events WHERE tenant_id = "
            f"'{tenant}'; DELETE FROM processes WHERE tenant_id = '{tenant}'; "
            f"DELETE FROM sandboxes WHERE tenant_id = '{tenant}'"
        )
        stack.worker.start()


def assert_nothing_dead_is_open(postgres):
    assert postgres.rows(
        "SELECT i.sandbox_id, i.started_at, i.ended_at FROM usage_intervals i "
        "LEFT JOIN sandboxes s ON s.id = i.sandbox_id AND s.state NOT IN ('deleted', 'stopped', "
        "'failed') LEFT JOIN processes p ON p.sandbox_id = i.sandbox_id AND p.generation = "
        "i.generation AND p.ended_at IS NULL WHERE i.is_open AND s.id IS NULL AND p.id IS NULL"
    ) == []
    assert postgres.value("SELECT count(*) FROM usage_intervals WHERE ended_at IS NULL") == 0
    assert postgres.value("SELECT count(*) FROM usage_intervals WHERE ended_at > now()") == 0


# --- histories that happen


class Life:
    """Random calls against a stack whose parts die in between."""

    def __init__(self, stack, seed):
        self.stack = stack
        self.random = random.Random(seed)
        self.containers = []
        self.definitions = [stack.client().create("shell", "true") for _ in range(2)]

    def step(self):
        actions = [self.create] * 3 + [self.change] * 6 + [self.run] * 3 + [self.crash]
        try:
            self.random.choice(actions)(self.stack.client())
        except OSError:
            pass  # the answer died with the server; what was done counts all the same

    def create(self, client):
        response = client.post("/v1/sandboxes", {"image": "base"})
        if response.status == 201:
            self.containers.append(response.json["id"])
            client.created.add(response.json["id"])

    def change(self, client):
        if not self.containers:
            return
        path = f"/v1/sandboxes/{self.random.choice(self.containers)}"
        verb = self.random.choice(["start", "stop", "restart", "pause", "resume", "delete"])
        if verb == "delete":
            client.request("DELETE", path)
        else:
            client.post(f"{path}/{verb}")

    def run(self, client):
        client.try_execute(self.random.choice(self.definitions))

    def crash(self, _):
        what = self.random.choice(["server", "worker", "launcher", "postgres"])
        if what == "postgres":
            self.stack.postgres.crash()
            self.stack.postgres.recover()
        else:
            self.stack.daemons[what].kill()
            self.stack.daemons[what].start()
        eventually(lambda: self.stack.client().get("/health").status == 200, 60)


def intervals_of(postgres):
    """The model's intervals, read from the log row by row."""
    rows = postgres.rows(
        "SELECT e.kind, e.from_state, e.to_state, e.at, e.sandbox_id, e.detail, e.project_id, "
        "now() AS now FROM events e WHERE e.sandbox_id IS NOT NULL ORDER BY tx, id"
    )
    intervals, open_starts = [], {}
    for row in rows:
        sandbox, at = row["sandbox_id"], moment(row["at"])
        start = open_starts.get(sandbox)
        if start and row["to_state"] in ("creating", "stopped", "failed", "deleting", "deleted"):
            start["end"] = at
            del open_starts[sandbox]
        if row["kind"] == "sandbox.running" and row["from_state"] == "creating":
            open_starts[sandbox] = {"row": row, "start": at, "cpu": 0}
            intervals.append(open_starts[sandbox])
        if row["kind"] == "sandbox.ended":
            for interval in intervals:
                if (interval["row"]["sandbox_id"] == sandbox and
                        interval["row"]["detail"]["generation"] == row["detail"]["generation"]):
                    interval["cpu"] = row["detail"].get("cpu_usec", 0) / 1e6
    assert not open_starts, "all were deleted"
    runs = postgres.rows(
        "SELECT project_id, started_at, ended_at, memory_mb, cpu_usec FROM processes "
        "WHERE project_id IS NOT NULL"
    )
    return [
        (uuid.UUID(item["row"]["project_id"]).hex, item["start"], item["end"],
         item["row"]["detail"]["memory_mb"], item["cpu"], 0)
        for item in intervals
    ] + [
        (uuid.UUID(run["project_id"]).hex, moment(run["started_at"]), moment(run["ended_at"]),
         run["memory_mb"], (run["cpu_usec"] or 0) / 1e6, 1)
        for run in runs
    ]


@pytest.mark.parametrize("seed", range(2))
def test_intervals_close_whatever_dies(private_stack, seed):
    life = Life(private_stack, seed)
    postgres = private_stack.postgres
    for _ in range(60):
        life.step()
        assert_nothing_dead_is_open(postgres)
    client = private_stack.client()
    for path in ([f"/v1/sandboxes/{one}" for one in life.containers] +
                 [f"/sandbox/{one}" for one in life.definitions]):
        eventually(lambda path=path: client.request("DELETE", path).status in (200, 204, 404), 60)
    eventually(lambda: postgres.value(
        "SELECT count(*) FROM sandboxes WHERE state <> 'deleted'") == 0, 120)
    eventually(lambda: postgres.value(
        "SELECT count(*) FROM processes WHERE ended_at IS NULL") == 0, 120)
    assert postgres.value("SELECT count(*) FROM usage_intervals WHERE is_open") == 0
    until = datetime.now(timezone.utc) + DAY
    shown = usage(client, f"from={rfc3339(until - 3 * DAY)}&to={rfc3339(until)}")
    expected = model(intervals_of(postgres), until - 3 * DAY, until)
    assert_equal(shown, expected)
    assert sum(item["sandbox_seconds"] for item in shown.values()) > 0
    assert sum(item["cpu_seconds"] for item in shown.values()) > 0


# --- the answer


def test_a_container_counts_while_it_is_up(client, stack):
    def seconds():
        return sum(item["memory_mb_seconds"] for item in usage(client).values())

    sandbox_id = new_sandbox(client, image="base", resources={"memory": 64})
    before = seconds()
    eventually(lambda: seconds() > before)
    assert client.post(f"/v1/sandboxes/{sandbox_id}/stop").status == 200
    ended = stack.postgres.value(
        "SELECT ended_at - started_at AS up FROM usage_intervals "
        f"WHERE sandbox_id = '{sandbox_id}' AND NOT is_open"
    )
    assert ended
    assert client.request("DELETE", f"/v1/sandboxes/{sandbox_id}").status == 204


def test_runs_are_counted(client):
    def runs():
        return sum(item["runs"] for item in usage(client).values())

    before = runs()
    client.run("shell", "true")
    assert client.post("/v1/runs", {"runtime": "shell", "code": "true"}).status == 200
    assert runs() == before + 2


def test_projects_and_tenants_are_apart(stack, client, other):
    client.run("shell", "true")
    project = stack.postgres.execute(
        f"INSERT INTO projects (tenant_id, name) VALUES ('{DEFAULT_TENANT}', 'usage-bound') "
        "RETURNING replace(id::text, '-', '')"
    )
    bound = stack.client(stack.token(project=project))
    assert usage(bound) == {}
    bound.run("shell", "true")
    assert {key[0] for key in usage(bound)} == {project}
    assert project in {key[0] for key in usage(client)}
    assert project not in {key[0] for key in usage(other)}


def test_days_close_at_midnight(stack):
    """Of UTC, whatever the zone of the session: on March 29 of 2026 Berlin's clock is put forward."""
    tenant, project, run, crossing = (uuid.uuid4() for _ in range(4))
    sql = (
        f"INSERT INTO tenants (id, name) VALUES ('{tenant}', 'midnight');"
        f"INSERT INTO processes (id, tenant_id, project_id, sandbox_id, generation, node_id, boot_id,"
        f" state, started_at, ended_at, deadline_at, cpu_usec, memory_mb) SELECT id, '{tenant}',"
        f" '{project}', gen_random_uuid(), 1, 'n', gen_random_uuid(), 'completed', started, ended,"
        f" ended, 6000000, 64 FROM (VALUES"
        f" ('{run}'::uuid, '2026-03-27 23:59:50Z'::timestamptz, '2026-03-28 00:00:00Z'::timestamptz),"
        f" ('{crossing}', '2026-03-28 12:00:00Z', '2026-03-31 00:00:00Z')) runs (id, started, ended)"
    )
    look = (
        "SET TimeZone = 'Europe/Berlin'; SELECT string_agg(concat_ws(' ', day, round(seconds),"
        " round(cpu_seconds * 1000), round(memory_mb_seconds), runs), ', ' ORDER BY day)"
        " FROM usage_by_day('{}', NULL, '{} 00:00Z', '{} 00:00Z')"
    )
    stack.worker.stop()
    try:
        stack.postgres.execute(sql)

        def days(since, until):
            text = stack.postgres.execute(look.format(tenant, since, until))
            return text.strip().splitlines()[-1].split(", ")

        assert days("2026-03-01", "2026-04-01") == [
            "2026-03-27 10 6000 640 1",
            "2026-03-28 43200 1200 2764800 1",
            "2026-03-29 86400 2400 5529600 0",
            "2026-03-30 86400 2400 5529600 0",
        ]
        assert days("2026-03-29", "2026-03-30") == ["2026-03-29 86400 2400 5529600 0"]
        assert days("2026-03-27", "2026-03-28") == ["2026-03-27 10 6000 640 1"]
    finally:
        stack.postgres.execute(f"DELETE FROM processes WHERE tenant_id = '{tenant}';"
                               f"DELETE FROM tenants WHERE id = '{tenant}'")
        stack.worker.start()


@pytest.mark.parametrize("query, field", [
    ("from=2026-01-01T00:00:00Z&to=2026-06-01T00:00:00Z", "from"),
    ("from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z", "to"),
])
def test_impossible_ranges(client, query, field):
    problem = assert_problem(client.get(f"/v1/usage?{query}"), 422, "not_possible")
    assert problem["field"] == field


@pytest.mark.parametrize("query, field", [("from=today", "from"), ("project_id=x", "project_id")])
def test_bad_queries(client, query, field):
    assert assert_problem(client.get(f"/v1/usage?{query}"), 400)["field"] == field
