-- Orders, each counted once.
create table orders (
  order_id  text primary key,
  currency  text not null,
  total     bigint not null,
  confirmed boolean not null default false,
  refunded  boolean not null default false
);

-- What was sold on the day it was confirmed, and given back on the day it was.
create table days (
  day      date not null, -- UTC
  currency text not null,
  orders   bigint not null default 0,
  gross    bigint not null default 0,
  refunded bigint not null default 0,
  primary key (day, currency)
);
