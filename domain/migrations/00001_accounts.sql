-- +goose Up

-- Accounts: how a person signs in, and what became of the newest mail.
create table accounts (
  account_id    text primary key,
  email         text unique,         -- in its one spelling; null once it is erased
  name          text not null,
  password_hash bytea not null,
  state         text not null check (state in ('unverified', 'active', 'closing', 'erased')),
  mail_id       text not null,        -- the newest verification mail
  mail          text not null check (mail in ('pending', 'sent', 'failed')),
  created_at    timestamptz not null,

  -- While it is closing: for which saga, what it was before, how far its own
  -- half of the deletion is, and which halves erase-account has heard of.
  closing_saga    text not null default '',
  state_before    text not null default '' check (state_before in ('', 'unverified', 'active')),
  deletion        text not null default '' check (deletion in ('', 'requested', 'deleted', 'refused')),
  joined_account  boolean not null default false,
  joined_projects boolean not null default false,
  check ((state = 'erased') = (email is null)),
  check ((state = 'closing') = (closing_saga <> ''))
);

-- Verification mails that are owed or were sent. Their tokens are stored
-- nowhere: each is derived from a secret and the mail's id.
create table verification_mails (
  mail_id    text primary key,
  account_id text not null references accounts on delete cascade,
  expires_at timestamptz not null,
  sent_at    timestamptz
);
create index verification_mails_account on verification_mails (account_id);

-- Sessions: a keyed hash of the bearer token, never the token.
create table sessions (
  token_hash bytea primary key,
  account_id text not null references accounts on delete cascade,
  created_at timestamptz not null,
  expires_at timestamptz not null
);
create index sessions_account on sessions (account_id);

-- +goose Down
drop table sessions, verification_mails, accounts;
