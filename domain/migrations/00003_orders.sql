-- +goose Up

-- Orders: what was asked for, and how far it is.
create table orders (
  order_id         text primary key,
  account_id       text not null,
  saga             text not null, -- later commands on the order join it
  state            text not null check (state in ('submitted', 'confirmed', 'canceled', 'shipped')),
  refund_status    text not null check (refund_status in ('none', 'started', 'completed', 'failed')),
  currency         text not null,
  total            bigint not null check (total >= 0),
  lines            jsonb not null,
  shipping_version integer not null,
  mailed_for       text not null, -- the event that asked for the mail, empty before
  placed_at        timestamptz not null
);
create index orders_account on orders (account_id, order_id);

-- Where an order goes, by version. Apart from the order: these rows are
-- personal.
create table shipping_infos (
  order_id    text not null references orders,
  version     integer not null,
  name        text not null,
  street      text not null,
  city        text not null,
  postal_code text not null,
  country     text not null,
  primary key (order_id, version)
);

-- Buyers: accounts that have ordered something.
create table buyers (
  account_id text primary key,
  created_at timestamptz not null
);

-- Payment methods: the only place where a card token stands, encrypted. The
-- fingerprint is a keyed hash of account and card: one row per card.
create table payment_methods (
  payment_method_id text primary key,
  account_id        text not null references buyers on delete cascade,
  fingerprint       bytea not null,
  card              bytea not null,
  created_at        timestamptz not null,
  unique (account_id, fingerprint)
);

-- Payments: one per order, from the moment that a charge was intended.
create table payments (
  order_id     text primary key,
  requested_by text not null, -- the event that asked for the charge
  state        text not null check (state in ('requested', 'captured', 'refunded', 'released')),
  currency     text not null,
  amount       bigint not null check (amount >= 0),
  payment_id   text not null, -- the provider's, empty until a charge is known
  captured     bigint not null check (captured >= 0),
  refund_id    text not null,
  refunded     bigint not null check (refunded between 0 and captured),
  created_at   timestamptz not null,
  updated_at   timestamptz not null
);

-- +goose Down
drop table payments, payment_methods, buyers, shipping_infos, orders;
