-- What may pile up, and how much one query may look at. docs/database.md explains it.

-- A delivery that nobody can send ends at an age; one that is sent anew begins it again.
ALTER TABLE webhook_deliveries ADD COLUMN pending_since timestamptz NOT NULL DEFAULT now();
CREATE INDEX webhook_deliveries_waiting ON webhook_deliveries (pending_since)
    WHERE state = 'pending';
GRANT UPDATE (pending_since) ON webhook_deliveries TO atoll_app;
