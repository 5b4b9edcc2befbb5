-- A webhook gets no event from while it was not active, wherever webhook_cursor stands: that moves
-- with the events of active ones only, and stood still where there was no other.
ALTER TABLE webhooks ADD COLUMN active_since timestamptz NOT NULL DEFAULT now();
UPDATE webhooks SET active_since = created_at;
