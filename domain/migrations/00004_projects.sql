-- +goose Up

create table projects (
  project_id text primary key, -- UUIDv7: newest last
  account_id text not null,    -- the owner's
  name       text not null,
  deleted_by text not null default '', -- the saga that deleted it; empty: it is there
  created_at timestamptz not null
);
create index projects_account on projects (account_id, project_id);

-- Who works in a project; the owner is one of them.
create table project_members (
  project_id text not null references projects on delete cascade,
  account_id text not null,
  joined_at  timestamptz not null,
  primary key (project_id, account_id)
);
create index project_members_account on project_members (account_id);

-- What became of the projects of an account in a saga that deletes it: the
-- first answer stands, until it is restored, once.
create table project_deletions (
  account_id text not null,
  saga       text not null,
  state      text not null check (state in ('deleted', 'refused', 'restored')),
  primary key (account_id, saga)
);

-- +goose Down
drop table project_deletions, project_members, projects;
