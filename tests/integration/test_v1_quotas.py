"""Quotas: who sets and sees them, and that no timing gets past a limit."""

import concurrent.futures

import pytest

from support.client import assert_problem
from support.tenancy import as_role, events, new_project, new_tenant, put_quota
from support.wait import eventually

LIMITS = ("sandboxes", "cpu_milli", "memory_mb", "disk_mb", "processes", "volumes",
          "deployments", "creates_per_minute")


@pytest.fixture
def tenant(stack):
    return new_tenant(stack)["id"]


@pytest.fixture
def member(stack, tenant):
    return as_role(stack, "member", tenant)


def test_a_tenant_without_a_quota_has_no_limits(member):
    response = member.get("/v1/quota")
    assert response.status == 200
    assert response.json["limits"] == {name: None for name in LIMITS}
    assert response.json["used"] == {name: 0 for name in LIMITS}
    assert response.json["updated_at"] is None and response.json["project_id"] is None
    assert response.headers["ETag"] == '"0"'


def test_what_the_operator_sets_the_tenant_sees(stack, tenant, member):
    put = put_quota(stack, tenant, sandboxes=5, memory_mb=1024)
    assert put.headers["ETag"] == '"1"'
    seen = member.get("/v1/quota").json
    assert seen == put.json
    assert seen["limits"]["sandboxes"] == 5 and seen["limits"]["cpu_milli"] is None
    again = put_quota(stack, tenant, cpu_milli=100).json
    assert again["limits"]["sandboxes"] is None and again["limits"]["cpu_milli"] == 100
    rows = events(stack, "quota.changed", tenant)
    assert [row["detail"] for row in rows] == [
        {"sandboxes": 5, "memory_mb": 1024}, {"cpu_milli": 100}]
    assert {row["actor"] for row in rows} == {"tests"}


def test_a_project_has_its_own(stack, tenant, member):
    project = new_project(as_role(stack, "admin", tenant))["id"]
    put_quota(stack, tenant, project, sandboxes=1)
    seen = member.get(f"/v1/projects/{project}/quota").json
    assert seen["project_id"] == project and seen["limits"]["sandboxes"] == 1
    assert member.get("/v1/quota").json["limits"]["sandboxes"] is None
    foreign = as_role(stack, "member", new_tenant(stack)["id"])
    assert_problem(foreign.get(f"/v1/projects/{project}/quota"), 404, "not_found")


def test_versions(operator, tenant):
    path = f"/v1/tenants/{tenant}/quota"

    def put(tag):
        return operator.request("PUT", path, {"sandboxes": 1}, headers={"If-Match": tag})

    assert_problem(put('"1"'), 412, "precondition_failed")
    assert put('"0"').status == 200
    assert_problem(put('"0"'), 412, "precondition_failed")
    assert put('"1"').headers["ETag"] == '"2"'


def test_what_is_used_is_shown_whatever_version_is_known(stack, operator, tenant, member):
    tag = member.get("/v1/quota").headers["ETag"]
    member.create()
    for path in ("/v1/quota", f"/v1/tenants/{tenant}/quota"):
        client = member if path == "/v1/quota" else operator
        assert client.get(path, headers={"If-None-Match": tag}).status == 200


def test_two_first_puts_of_one_version_are_not_both_taken(operator, tenant):
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(
            lambda n: operator.request("PUT", f"/v1/tenants/{tenant}/quota", {"sandboxes": n},
                                       headers={"If-Match": '"0"'}).status,
            range(8)))
    assert sorted(answers) == [200] + [412] * 7


@pytest.mark.parametrize("body", [{"sandboxes": -1}, {"sandboxes": 1.5}, {"sandboxes": "1"},
                                  {"threads": 1}, {"memory_mb": 2**51}, []])
def test_bad_limits_are_refused(operator, tenant, body):
    assert_problem(operator.request("PUT", f"/v1/tenants/{tenant}/quota", body), 400)


def test_a_quota_of_nobody_is_404(stack, operator, tenant):
    missing = "0" * 31 + "9"
    other = new_project(as_role(stack, "admin", new_tenant(stack)["id"]))["id"]
    for path in (f"/v1/tenants/{missing}/quota", f"/v1/tenants/{tenant}/projects/{missing}/quota",
                 f"/v1/tenants/{tenant}/projects/{other}/quota"):
        assert_problem(operator.get(path), 404, "not_found")
        assert_problem(operator.request("PUT", path, {}), 404, "not_found")


def test_the_refusal_tells_limit_and_use(stack, tenant, member):
    put_quota(stack, tenant, creates_per_minute=1)
    sandbox = member.create()
    assert member.execute(sandbox)["success"]
    response = member.try_execute(sandbox)
    problem = assert_problem(response, 429, "quota_exceeded")
    assert (problem["limit"], problem["used"]) == (1, 1)
    assert "creates_per_minute" in problem["detail"]
    assert 1 <= int(response.headers["Retry-After"]) <= 60
    row = events(stack, "admission.refused", tenant)[-1]
    assert row["sandbox_id"].replace("-", "") == sandbox
    assert (row["detail"]["limit"], row["detail"]["used"]) == (1, 1)
    assert row["request_id"] == problem["request_id"]
    assert member.info(sandbox)["status"] == "Completed"


def test_a_limit_of_nothing(stack, tenant, member):
    put_quota(stack, tenant, sandboxes=0)
    problem = assert_problem(member.try_execute(member.create()), 429, "quota_exceeded")
    assert (problem["limit"], problem["used"]) == (0, 0)


def test_a_hundred_at_once_get_exactly_the_limit(stack, tenant, member):
    """Each run holds its place until all have been answered or are running."""
    put_quota(stack, tenant, sandboxes=10)
    sandbox = member.create("shell", "sleep 60", timeout_ms=60000)
    with concurrent.futures.ThreadPoolExecutor(100) as pool:
        runs = [pool.submit(member.try_execute, sandbox) for _ in range(100)]
        eventually(lambda: sum(run.done() for run in runs) == 90, 60)
        assert member.get("/v1/quota").json["used"]["sandboxes"] == 10
        refused = [run.result() for run in runs if run.done()]
        assert {response.json["code"] for response in refused} == {"quota_exceeded"}
        assert member.delete(sandbox).status == 200
    assert member.get("/v1/quota").json["used"]["sandboxes"] == 0


def test_use_is_what_lives(stack, tenant, member):
    sandbox = member.create("shell", "sleep 60", timeout_ms=60000, memory_limit_mb=32)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        run = pool.submit(member.try_execute, sandbox)
        eventually(lambda: member.info(sandbox)["status"] == "Running")
        used = member.get("/v1/quota").json["used"]
        assert (used["sandboxes"], used["memory_mb"]) == (1, 32)
        assert used["cpu_milli"] == 1000 and used["processes"] == 256
        assert member.delete(sandbox).status == 200
        run.result(timeout=30)
    assert set(member.get("/v1/quota").json["used"].values()) == {0}
