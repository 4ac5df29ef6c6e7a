-- +goose Up

-- For an exclusion constraint over a text and a range. It comes with every
-- packaged Postgres, and the owner of a database may create it.
create extension if not exists btree_gist;

create table rooms (
  room_id  text primary key,
  currency text not null,
  price    bigint not null check (price > 0) -- of a night, in minor units
);

-- Rentals: what was asked for, how far it came, and what of it is taken back.
create table rentals (
  rental_id         text primary key, -- UUIDv7: newest last
  account_id        text not null,
  saga              text not null, -- later commands on the rental join it
  mode              text not null check (mode in ('choreography', 'manager')),
  room_id           text not null references rooms,
  from_day          text not null, -- YYYY-MM-DD
  to_day            text not null, -- exclusive
  currency          text not null,
  price             bigint not null check (price > 0),
  payment_method_id text not null,
  -- How far it came, and how far it is taken back. Apart, so that no step can
  -- overwrite that it is.
  reached           text not null check (reached in ('requested', 'charged', 'occupied', 'completed')),
  ending            text not null check (ending in ('', 'asked', 'undoing', 'flagged', 'withdrawn')),
  reason            text not null, -- of the ending, empty before
  refund_status     text not null check (refund_status in ('none', 'started', 'completed', 'failed')),
  charged_by        text not null, -- the event that has the card charged, empty before
  payment_id        text not null, -- the provider's, empty until a charge is known
  captured          bigint not null check (captured >= 0),
  refund_id         text not null,
  refunded          bigint not null check (refunded between 0 and captured),
  sms               text not null check (sms in ('none', 'pending', 'sent', 'failed')),
  texted_for        text not null, -- the event that has the guest told, empty before
  requested_at      timestamptz not null
);
create index rentals_account on rentals (account_id, rental_id);

-- Whom to tell. Apart from the rental: these rows are personal.
create table rental_guests (
  rental_id text primary key references rentals,
  phone     text not null
);

-- Who holds which room. One room is never held twice for a day.
create table room_nights (
  rental_id text primary key references rentals,
  room_id   text not null references rooms,
  nights    daterange not null,
  constraint room_held_once exclude using gist (room_id with =, nights with &&)
);

-- The streams of the process managers, one per rental: what each received, and
-- what it commanded. Rows are added and never changed. A confirmation stands at
-- the position of its command.
create table rental_process (
  rental_id text not null,
  position  integer not null check (position > 0),
  kind      text not null check (kind in ('Started', 'Received', 'CommandIssued', 'PublishingConfirmed', 'PublishingRejected')),
  name      text not null, -- of the event or the command
  ref       text not null, -- its id; of Started the saga
  reason    text not null, -- of a rejection
  at        timestamptz not null,
  primary key (rental_id, position, kind)
);

-- +goose Down
drop table rental_process, room_nights, rental_guests, rentals, rooms;
