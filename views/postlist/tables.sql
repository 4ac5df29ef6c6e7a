create table posts (
  post_id    text primary key, -- UUIDv7: newest last
  author_id  text not null,
  title      text not null,
  tags       text[] not null,
  state      text not null check (state in ('processing', 'published', 'withdrawn', 'deleted')),
  created_at timestamptz not null
);

-- Authors whose accounts are erased: their posts stay without author.
create table erased (author_id text primary key);
create index posts_author on posts (author_id);

-- One for each reader: everybody, an author, staff. Each page reads as many rows
-- as it has.
create index posts_published on posts (post_id) where state = 'published';
create index posts_of_author on posts (author_id, post_id) where state in ('processing', 'withdrawn');
create index posts_kept on posts (post_id) where state <> 'deleted';
