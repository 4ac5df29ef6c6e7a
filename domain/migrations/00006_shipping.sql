-- +goose Up

-- What the carrier is told of an order has a sequence of its own: a change takes
-- the next, and so does taking a change back.
alter table orders add column carrier_sequence integer not null default 0;

-- Changes of where an order goes. They hold no address: that stands in
-- shipping_infos, under the version, and goes with the person.
create table shipping_changes (
  change_id text primary key,
  order_id  text not null references orders,
  version   integer not null check (version > 1), -- 1 is what was ordered with
  sequence  integer not null,
  saga      text not null,
  state     text not null check (state in ('pending', 'synced', 'superseded', 'failed')),
  taken_by  text not null, -- the event that has the carrier told, empty before
  unique (order_id, version)
);

-- +goose Down
drop table shipping_changes;
alter table orders drop column carrier_sequence;
