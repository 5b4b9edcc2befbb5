"""Lists of /v1/sandboxes when there are many of many tenants."""

import pytest

from support.wait import eventually

# A million rows take minutes; what matters is that the list does not look at others' rows.
TENANTS = 100
SANDBOXES_OF_EACH = 200

MAKE = f"""
INSERT INTO tenants (name) SELECT 'many-' || i FROM generate_series(1, {TENANTS}) i;
INSERT INTO sandboxes (id, tenant_id, project_id, kind, state, image, env, memory_limit_mb,
                       idle_timeout_s, max_lifetime_s, cpu_milli, disk_mb, pids_max, expires_at,
                       labels, node_id)
SELECT gen_random_uuid(), p.tenant_id, p.id, 'container', 'stopped', 'base', '{{}}', 64, 3600, 86400,
       1000, 256, 64, now() + interval '1 day', jsonb_build_object('n', i::text), 'nowhere'
FROM projects p JOIN tenants t ON t.id = p.tenant_id, generate_series(1, {SANDBOXES_OF_EACH}) i
WHERE t.name LIKE 'many-%';
ANALYZE sandboxes;
"""

REMOVE = """
DELETE FROM sandboxes WHERE node_id = 'nowhere';
DELETE FROM projects WHERE tenant_id IN (SELECT id FROM tenants WHERE name LIKE 'many-%');
DELETE FROM tenants WHERE name LIKE 'many-%';
"""

# The conditions of lib/db/store_container.c, planned as the server has them planned.
EXPLAIN = """
SET plan_cache_mode = force_generic_plan;
PREPARE page AS SELECT * FROM sandboxes
WHERE tenant_id = $1::uuid AND kind = 'container' AND deleted_at IS NULL AND id < $2::uuid
AND ($3::uuid IS NULL OR project_id = $3::uuid) AND ($4::text IS NULL OR state = $4::text)
AND ($5::text IS NULL OR image = $5::text) AND ($6::text IS NULL OR labels @> $6::text::jsonb)
ORDER BY id DESC LIMIT $7::bigint;
BEGIN;
SELECT set_config('atoll.tenant', '{tenant}', true), set_config('enable_sort', 'off', true),
       set_config('enable_bitmapscan', 'off', true);
EXPLAIN (ANALYZE, COSTS off, TIMING off)
EXECUTE page('{tenant}', '{before}', NULL, {state}, NULL, NULL, 51);
COMMIT
"""
BEHIND_ALL = "ffffffff-ffff-ffff-ffff-ffffffffffff"


@pytest.fixture(scope="module")
def many(stack):
    stack.postgres.execute(MAKE)
    yield stack.postgres
    stack.postgres.execute(REMOVE)


def tenant_of(postgres, name):
    return postgres.value(f"SELECT id FROM tenants WHERE name = '{name}'")


@pytest.mark.parametrize("state", ["NULL", "'stopped'"])
def test_a_page_is_read_by_index_in_its_order(many, state):
    tenant = tenant_of(many, "many-7")
    text = many.execute(
        EXPLAIN.format(tenant=tenant, before=BEHIND_ALL, state=state), "atoll_app"
    )
    assert "Index Scan Backward using sandboxes_container_list" in text, text
    assert "Index Cond: ((tenant_id = $1) AND (id < $2))" in text, text
    assert "Sort" not in text and "rows=51" in text, text


def test_a_page_reads_no_more_than_it_shows(many, stack):
    """As PostgreSQL counts it, for the statements that the server itself runs."""
    client = stack.client(stack.token(tenant_of(many, "many-5").replace("-", "")))
    reads = (
        "SELECT idx_tup_read FROM pg_stat_user_indexes"
        " WHERE indexrelname = 'sandboxes_container_list'"
    )
    shown = 0

    def counted():
        return many.value(reads)

    many.hand_in_counts()
    before = counted()
    for _ in range(20):
        shown += len(client.get("/v1/sandboxes?limit=5").json["items"])
    assert shown == 100
    eventually(lambda: counted() >= before + shown, 30, "PostgreSQL has counted the reads")
    # One more a page tells whether another follows. Whole lists would be 4,000.
    assert counted() - before <= 2 * shown


def test_the_whole_list_by_pages(many, stack):
    tenant = tenant_of(many, "many-3")
    client = stack.client(stack.token(tenant.replace("-", "")))
    seen, cursor = [], ""
    while cursor is not None:
        page = client.get(f"/v1/sandboxes?limit=50{cursor and '&cursor=' + cursor}").json
        seen += [item["id"] for item in page["items"]]
        cursor = page["next_cursor"]
    assert len(seen) == SANDBOXES_OF_EACH and seen == sorted(set(seen), reverse=True)
    narrowed = client.get("/v1/sandboxes?label=n:7").json["items"]
    assert [item["labels"] for item in narrowed] == [{"n": "7"}]



# A copy without rows, as every table is after an installation, and without statistics.
POINT = """
BEGIN;
CREATE TABLE point_sandboxes (LIKE sandboxes INCLUDING ALL) WITH (autovacuum_enabled = off);
SET LOCAL plan_cache_mode = force_generic_plan;
SET LOCAL enable_bitmapscan = off;
PREPARE point AS SELECT * FROM point_sandboxes WHERE tenant_id = $1::uuid AND id = $2::uuid
AND kind = '{kind}' AND state <> 'deleted';
EXPLAIN (COSTS off) EXECUTE point('{id}', '{id}');
DEALLOCATE point;
ROLLBACK
"""


@pytest.mark.parametrize("kind", ["definition", "container"])
def test_one_sandbox_is_found_by_its_id_before_there_are_statistics(stack, kind):
    """Any other index would read all that the tenant ever had."""
    plan = stack.postgres.execute(POINT.format(kind=kind, id=BEHIND_ALL))
    assert "Index Scan using point_sandboxes_pkey" in plan, plan
