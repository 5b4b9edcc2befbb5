"""The database's own walls: they hold when the code above them is wrong."""

import pytest

from support.stack import DEFAULT_TENANT

TENANT_TABLES = ["projects", "sandboxes", "sandbox_files", "processes", "samples", "events"]


@pytest.fixture(scope="module")
def postgres(stack):
    stack.client().create()
    stack.tenant_client("other").create()
    return stack.postgres


def as_tenant(tenant, sql):
    return f"BEGIN; SELECT set_config('atoll.tenant', '{tenant}', true); {sql}; COMMIT"


def test_service_roles_have_no_power(postgres):
    rows = postgres.rows(
        "SELECT rolname, rolsuper, rolbypassrls, rolcreaterole, rolcreatedb FROM pg_roles "
        "WHERE rolname IN ('atoll_app', 'atoll_system')"
    )
    assert len(rows) == 2
    for row in rows:
        assert not any(value for name, value in row.items() if name != "rolname"), row


def test_service_roles_own_nothing(postgres):
    assert postgres.rows(
        "SELECT relname FROM pg_class "
        "WHERE pg_get_userbyid(relowner) IN ('atoll_app', 'atoll_system') "
        "AND relpersistence <> 't'"
    ) == []


def test_every_tenant_table_forces_row_level_security(postgres):
    rows = postgres.rows(
        "SELECT c.relname, c.relrowsecurity, c.relforcerowsecurity FROM pg_class c "
        "JOIN pg_namespace n ON n.oid = c.relnamespace "
        "JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id' "
        "WHERE c.relkind IN ('r', 'p') AND n.nspname = 'public'"
    )
    assert {row["relname"] for row in rows} >= set(TENANT_TABLES)
    for row in rows:
        assert row["relrowsecurity"] and row["relforcerowsecurity"], row


def test_tenants_see_no_other_tenant(postgres):
    output = postgres.execute(as_tenant(DEFAULT_TENANT, "SELECT name FROM tenants"), "atoll_app")
    assert output.splitlines()[1:] == ["default"]


@pytest.mark.parametrize("table", TENANT_TABLES)
def test_no_tenant_no_rows(postgres, table):
    code, output, _ = postgres.psql(f"SELECT count(*) FROM {table}", role="atoll_app")
    assert code != 0 or output == "0"


def test_a_tenant_sees_its_own_rows_only(postgres, stack):
    def visible(tenant):
        count = "SELECT count(*), count(DISTINCT tenant_id) FROM sandboxes"
        output = postgres.execute(as_tenant(tenant, count), "atoll_app")
        return output.splitlines()[-1]

    own, other = visible(DEFAULT_TENANT), visible(stack.extra_tenants["other"])
    assert own.endswith("|1") and other.endswith("|1")
    assert not own.startswith("0|") and not other.startswith("0|")


FORBIDDEN = [
    "INSERT INTO events (tenant_id, kind) VALUES ('{other}', 'forged')",
    "INSERT INTO sandboxes (id, tenant_id, project_id, state, runtime, code, env, timeout_ms, "
    "memory_limit_mb, idle_timeout_s, expires_at) SELECT gen_random_uuid(), '{other}', p.id, "
    "'stopped', 'shell', 'true', '{{}}', 1, 16, 1, now() FROM projects p",
    "UPDATE sandboxes SET tenant_id = '{other}'",
    "UPDATE sandboxes SET created_at = 'infinity'",
    "DELETE FROM sandboxes",
    "DELETE FROM events",
    "UPDATE events SET kind = 'forged'",
    "TRUNCATE sandboxes",
    "ALTER TABLE sandboxes DISABLE ROW LEVEL SECURITY",
    "DROP TABLE sandboxes",
    "CREATE TABLE mine (x int)",
    "SET ROLE atoll_owner",
    "COPY sandboxes TO PROGRAM 'id'",
    "SELECT pg_read_file('/etc/passwd')",
    "SELECT events_prune(now(), 1)",
]
REFUSALS = ("permission denied", "row-level security", "must be owner", "must be superuser")


@pytest.mark.parametrize("sql", FORBIDDEN)
def test_the_server_role_may_not(postgres, stack, sql):
    statement = sql.format(other=stack.extra_tenants["other"])
    code, output, errors = postgres.psql(as_tenant(DEFAULT_TENANT, statement), role="atoll_app")
    assert code != 0, output
    assert any(refusal in errors for refusal in REFUSALS), errors


def test_the_server_role_may_write_its_own_tenants_events(postgres):
    """The control of the list above."""
    sql = f"INSERT INTO events (tenant_id, kind) VALUES ('{DEFAULT_TENANT}', 'test')"
    code, _, errors = postgres.psql(as_tenant(DEFAULT_TENANT, sql), role="atoll_app")
    assert code == 0, errors


def test_the_tenant_does_not_outlive_its_transaction(postgres):
    sql = as_tenant(DEFAULT_TENANT, "SELECT 1") + "; SELECT count(*) FROM sandboxes"
    code, output, _ = postgres.psql(sql, role="atoll_app")
    assert code != 0 or output.splitlines()[-1] == "0"


def test_the_tenant_does_not_outlive_a_failed_transaction(postgres):
    sql = (
        "\\set ON_ERROR_STOP off\n"
        f"BEGIN; SELECT set_config('atoll.tenant', '{DEFAULT_TENANT}', true); "
        "SELECT 1/0; ROLLBACK; SELECT count(*) FROM sandboxes;"
    )
    _, output, errors = postgres.psql(sql, role="atoll_app")
    assert "division by zero" in errors
    assert output.splitlines()[-1] in ("0", DEFAULT_TENANT)


def test_states_change_only_along_the_drawn_lines(postgres, client):
    sandbox_id = client.create()
    client.delete(sandbox_id)
    for state in ("running", "stopped", "creating", "paused", "nonsense"):
        code, _, errors = postgres.psql(
            f"UPDATE sandboxes SET state = '{state}' WHERE id = '{sandbox_id}'", role="postgres"
        )
        assert code != 0, f"deleted became {state}"
        assert "ERROR" in errors


INJECTIONS = ["'; DROP TABLE sandboxes; --", "\\'; SELECT 1; --", "$$; SELECT 1; $$", "1 OR 1=1"]


@pytest.mark.parametrize("text", INJECTIONS)
def test_text_stays_text(client, text):
    files = [{"path": f"f{text}".replace("/", ""), "content": text}]
    result = client.run(
        "python",
        "import os; print(os.environ['V'])\n"
        "for name in os.listdir('.'): name.startswith('f') and print(open(name).read())",
        env_vars={"V": text}, files=files,
    )
    assert result["stdout"].splitlines() == [text, text]
