-- What the topic orders tells of an order.
create table orders (
  order_id   text primary key,
  account_id text not null,
  lines      jsonb not null,
  currency   text not null,
  total      bigint not null,
  state      text not null check (state in ('submitted', 'confirmed', 'canceled', 'shipped')),
  settled    boolean not null default false, -- nothing is owed to the buyer any more
  change_id  text not null default '',          -- the newest of where it goes
  version    integer not null default 0,        -- of that change
  carrier    text not null default 'none' check (carrier in ('none', 'pending', 'synced', 'failed'))
);

-- What the topic payments tells: apart from the order, since neither topic waits
-- for the other.
create table payments (
  order_id text primary key,
  captured bigint not null default 0,
  refunded bigint not null default 0,
  refund   text not null default '' check (refund in ('', 'done', 'not-needed', 'failed'))
);
