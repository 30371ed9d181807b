-- Accounts that staff linked; and what finds callers' addresses of a user, and users of an address.
SET ROLE tracker_projector;

CREATE TABLE read.linked_account (
  user_id uuid PRIMARY KEY,
  group_id uuid NOT NULL,
  reason text NOT NULL,
  linked_by uuid NOT NULL,
  linked_at timestamptz NOT NULL,
  position bigint NOT NULL
);
CREATE INDEX linked_account_group ON read.linked_account (group_id, position);

RESET ROLE;

CREATE INDEX command_actor ON es.command (actor_id);
CREATE INDEX command_context_ip ON es.command_context (ip) WHERE ip IS NOT NULL;
