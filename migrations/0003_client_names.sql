-- Containers that their client finds by a name of his own (docs/api/containers.md).

-- One of a name in a project while it is not deleted; NULL for all others.
ALTER TABLE sandboxes ADD COLUMN client_name text;
CREATE UNIQUE INDEX sandboxes_client_name ON sandboxes (client_name, project_id, tenant_id)
    WHERE client_name IS NOT NULL AND deleted_at IS NULL;
