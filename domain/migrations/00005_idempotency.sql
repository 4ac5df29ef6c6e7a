-- +goose Up

-- The first answers to commands that came with an Idempotency-Key, written in
-- the command's own transaction, for 24 hours. What identifies the request is
-- hashed under a key of ours: a body may hold a password.
create table idempotency_keys (
  scope      bytea primary key,  -- of caller, method, path and key
  request    bytea not null,     -- of the body
  account_id text not null,      -- whose data the answer may hold; empty: nobody's
  status     integer not null,
  headers    jsonb not null,
  body       bytea not null,
  at         timestamptz not null
);
create index idempotency_keys_at on idempotency_keys (at);
create index idempotency_keys_account on idempotency_keys (account_id);

-- +goose Down
drop table idempotency_keys;
