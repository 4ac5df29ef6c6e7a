-- +goose Up

-- Uploaded files: what they are, never their bytes.
create table attachments (
  attachment_id text primary key,
  owner_id      text not null,
  name          text not null,
  mime_type     text not null,
  size          bigint not null check (size > 0), -- bytes
  uploaded_at   timestamptz not null,
  post_id       text -- in whose folder it stands; null while it is temporary
);

create table blog_posts (
  post_id    text primary key, -- UUIDv7: newest last
  author_id  text not null,
  anonymous  boolean not null default false, -- the author is erased
  title      text not null,
  contents   text not null,   -- a JSON array, byte for byte as it was sent but for URLs
  tag_names  text[] not null, -- asked for, folded
  files      text[] not null, -- attachment ids, asked for
  state      text not null check (state in ('processing', 'published', 'withdrawn', 'deleted')),
  reason     text not null default '', -- of a withdrawal
  mail_event text not null default '', -- that the mail of the withdrawal answers
  saga       text not null,
  created_at timestamptz not null
);

-- For which post a file is reserved: no two share one.
create table blog_post_files (
  attachment_id text primary key,
  post_id       text not null
);
create index blog_post_files_post on blog_post_files (post_id);

-- The attachments that stand in a post's folder.
create table blog_post_attachments (
  post_id       text not null,
  attachment_id text not null,
  primary key (post_id, attachment_id)
);

-- One row per folded name. In the C collation all transactions lock them in
-- the same order.
create table tags (
  name       text collate "C" primary key,
  created_at timestamptz not null
);

create table blog_post_tags (
  post_id  text not null,
  tag_name text collate "C" not null references tags,
  position integer not null,
  primary key (post_id, tag_name)
);
create index blog_post_tags_tag on blog_post_tags (tag_name);

-- +goose Down
drop table blog_post_tags, tags, blog_post_attachments, blog_post_files, blog_posts, attachments;
