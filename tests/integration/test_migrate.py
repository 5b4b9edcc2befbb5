"""`atoll migrate` on a database that is new, up to date, ahead, or changed under it."""

import concurrent.futures

import pytest

from conftest import running

REVERSE_LAST = ("UPDATE schema_migrations SET sha256 = reverse(sha256)"
                " WHERE version = (SELECT max(version) FROM schema_migrations)")

@pytest.fixture(scope="module")
def migrated():
    with running() as stack:
        yield stack


def test_again_changes_nothing(migrated):
    before = migrated.postgres.rows("SELECT * FROM schema_migrations ORDER BY 1")
    assert migrated.atoll("migrate").returncode == 0
    assert migrated.postgres.rows("SELECT * FROM schema_migrations ORDER BY 1") == before


def test_many_at_once_wait_for_each_other(migrated):
    """On a new database, where each of them would have work to do."""
    migrated.postgres.execute("CREATE DATABASE fresh OWNER atoll_owner")
    migrated.environment["ATOLL_DATABASE_OWNER_URL"] = migrated.postgres.url("atoll_owner", "fresh")
    try:
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            runs = list(pool.map(lambda _: migrated.atoll("migrate", check=False), range(4)))
    finally:
        migrated.environment["ATOLL_DATABASE_OWNER_URL"] = migrated.postgres.url("atoll_owner")
    assert [run.returncode for run in runs] == [0] * 4, runs
    code, count, _ = migrated.postgres.psql("SELECT count(*) FROM tenants", database="fresh")
    assert (code, count) == (0, "1")


@pytest.mark.parametrize(
    "change, restore, words",
    [
        (REVERSE_LAST, REVERSE_LAST, "SHA-256"),
        ("INSERT INTO schema_migrations (version, name, sha256) VALUES (999, 'ahead', '')",
         "DELETE FROM schema_migrations WHERE version = 999", "999"),
    ],
    ids=["another script", "a newer database"],
)
def test_a_schema_that_is_not_ours_stops_everybody(migrated, change, restore, words):
    postgres = migrated.postgres
    postgres.execute(change)
    try:
        refused = migrated.atoll("migrate", check=False)
        assert refused.returncode != 0
        assert words in refused.stderr
        with pytest.raises(RuntimeError, match="ended with"):
            migrated.another_server()
    finally:
        postgres.execute(restore)
    assert migrated.atoll("migrate").returncode == 0
