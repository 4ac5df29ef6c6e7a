-- +goose Up
create schema choreo;

-- The only clock of the engine. A simulation sets troupe.now in its session.
-- +goose StatementBegin
create function choreo.troupe_now() returns timestamptz language sql volatile as $$
  select coalesce(nullif(current_setting('troupe.now', true), '')::timestamptz, clock_timestamp())
$$;
-- +goose StatementEnd

-- Which database this is, and which of its timelines: ce_source.
create table choreo.source (
  only_row    boolean primary key default true check (only_row),
  database_id text not null,
  epoch       integer not null
);

-- Partition counts as the broker has them; `topics apply` writes them.
create table choreo.topics (
  topic      text primary key,
  partitions integer not null check (partitions > 0),
  held_until timestamptz -- its facts stay in the outbox until then: the topic grows
);

-- Facts committed and not yet sequenced, in emission order.
create table choreo.outbox (
  id          bigint generated always as identity primary key,
  event_id    text not null,
  type        text not null,
  key         text not null,
  saga        text not null,
  causation   text not null,
  emitter     text not null,
  ran_in      text not null,
  traceparent text not null,
  at          timestamptz not null,
  data        bytea not null
);

-- One row per topic partition and source: the sequence of its last fact. A new
-- epoch of the source has streams of its own, which start again.
create table choreo.streams (
  id        integer generated always as identity primary key,
  source    text not null,
  topic     text not null,
  partition integer not null,
  head      bigint not null default 0,
  unique (source, topic, partition)
);

-- Up to which sequence a stream stands on Kafka, and the offset after it. Apart
-- from the head, so that the forwarder never waits for the sequencer.
create table choreo.forwarded (
  stream      integer primary key references choreo.streams,
  sequence    bigint not null,
  next_offset bigint not null default 0
);

-- The last global position given out: one row, locked by the sequencer. What
-- stands at or below begins_after was dropped.
create table choreo.log_head (
  only_row     boolean primary key default true check (only_row),
  position     bigint not null,
  begins_after bigint not null default 0
);
insert into choreo.log_head (position) values (0);

-- The event store: append only, in partitions that end with a day. stream and
-- sequence are null for a foreign event, whose source stands here; the source of
-- one of ours is its stream's.
create table choreo.event_log (
  position    bigint not null,
  stream      integer, -- of choreo.streams; a foreign key would be asked for every row
  sequence    bigint,
  event_id    text not null,
  type        text not null,
  key         text not null,
  saga        text not null,
  causation   text not null,
  emitter     text not null,
  ran_in      text not null,
  traceparent text not null,
  at          timestamptz not null,
  data        bytea not null,
  source      text not null default '',
  primary key (position)
) partition by range (position);
create index event_log_saga on choreo.event_log (saga, position);

-- Its partitions, each with room for 10^8 positions: none opened is ahead, one
-- opened and not closed is written.
create table choreo.log_partitions (
  number        integer primary key, -- choreo.event_log_<number>
  opened_at     timestamptz,
  closed_at     timestamptz,
  last_position bigint,              -- once it is closed
  dropped_at    timestamptz          -- to be dropped, since nobody needs it
);

-- Where each stream stood when a partition was closed at a position: what has a
-- higher sequence stands behind it. So readers by sequence look only there.
create table choreo.log_cuts (
  source    text not null,
  topic     text not null,
  partition integer not null,
  sequence  bigint not null,
  position  bigint not null,
  primary key (position, source, topic, partition)
);

-- Who reads the log by position, and has come how far: it is kept for them.
create table choreo.log_readers (
  reader   text primary key,
  position bigint not null
);

-- The foreign events of the log, and where each stood on Kafka.
create table choreo.foreign_records (
  position      bigint primary key,
  topic         text not null,
  topic_id      text not null,
  partition     integer not null,
  record_offset bigint not null,
  unique (topic_id, partition, record_offset)
);

-- Up to which offset Kafka was searched for foreign records, and where the last
-- one stood.
create table choreo.collected (
  topic_id    text not null,
  partition   integer not null,
  topic       text not null,
  next_offset bigint not null,
  last_offset bigint,
  primary key (topic_id, partition)
);

-- The next partition, made apart and attached: no reader or writer waits, as all
-- would behind CREATE … PARTITION OF.
-- +goose StatementBegin
create function choreo.add_log_partition() returns integer language plpgsql as $$
declare
  n integer := (select coalesce(max(number), 0) + 1 from choreo.log_partitions);
begin
  insert into choreo.log_partitions (number) values (n);
  execute format('create table choreo.event_log_%s (like choreo.event_log including defaults)', n);
  execute format('create unique index on choreo.event_log_%s (stream, sequence)', n);
  execute format('create unique index on choreo.event_log_%s (event_id, source)', n);
  execute format('alter table choreo.event_log attach partition choreo.event_log_%s for values from (%s) to (%s)',
    n, (n - 1) * 100000000::bigint + 1, n * 100000000::bigint + 1);
  return n;
end
$$;
-- +goose StatementEnd
select choreo.add_log_partition();

-- The oldest facts of the outbox above an id, as many as most and no more than make
-- up so many bytes of data, the last of them reaching beyond; how many partitions
-- topics have; and which transactions were under way in that same snapshot: of the
-- caller's statement, since it is stable. Facts of topics that are held stay, which
-- held tells. The facts come as one text, each column with the separator behind it:
-- to make rows of them, and to read these, cost more than the rest. Data are JSON, and
-- come as text: as bytea they would double. Lengths are read without the data where
-- these are large.
-- +goose StatementBegin
create function choreo.claim_outbox(most bigint, bytes bigint, above bigint, separator text, out low text, out high text,
    out held boolean, out claimed bigint, out packed text, out topics text[], out partitions bigint[])
  language plpgsql stable set plan_cache_mode = force_generic_plan as $$
declare
  holding text[] := array(select t.topic from choreo.topics t where t.held_until > choreo.troupe_now());
begin
  held := holding <> '{}';
  if (select sum(octet_length(x.data)) from (select o.data from choreo.outbox o where o.id > above
        and (not held or split_part(o.type, '.', 1) <> all (holding)) order by o.id limit most) x) > bytes then
    select count(*) into most from (
      select sum(octet_length(x.data)) over (order by x.id) - octet_length(x.data) as before
      from (select o.id, o.data from choreo.outbox o where o.id > above
        and (not held or split_part(o.type, '.', 1) <> all (holding)) order by o.id limit most) x) y where y.before < bytes;
  end if;
  select pg_snapshot_xmin(pg_current_snapshot()), pg_snapshot_xmax(pg_current_snapshot()), count(*),
      coalesce(string_agg(concat_ws(separator, o.id, o.event_id, o.type, o.key, o.saga, o.causation, o.emitter, o.ran_in,
        o.traceparent, o.at, convert_from(o.data, 'utf8'), ''), ''), '')
    into low, high, claimed, packed
    from (select * from choreo.outbox x where x.id > above and (not held or split_part(x.type, '.', 1) <> all (holding))
      order by x.id limit most) o;
  select array_agg(t.topic), array_agg(t.partitions) into topics, partitions from choreo.topics t where claimed > 0;
end
$$;
-- +goose StatementEnd

-- Moves facts from the outbox to the log: those of one of the given topic
-- partitions have its next sequences, all have the next positions, behind one
-- that was given. Where these stood comes back, and how many facts were moved.
-- Streams that are missing are made. A plan for all sizes must not compare each
-- fact with each, nor read through the dead rows of the outbox; what seems dear for
-- that need not be compiled.
-- +goose StatementBegin
create function choreo.append_log(of_source text, behind bigint, topics text[], partitions bigint[], counts bigint[],
  ids bigint[], places bigint[], nths bigint[], out numbers bigint[], out heads bigint[], out start bigint, out moved bigint)
  language plpgsql volatile set plan_cache_mode = force_generic_plan set enable_nestloop = off set enable_seqscan = off
  set jit = off as $$
declare
  number integer;
  before bigint;
begin
  update choreo.log_head h set position = greatest(h.position, behind) + cardinality(ids)
    returning h.position - cardinality(ids) into start;
  numbers := '{}';
  heads := '{}';
  for i in 1 .. cardinality(topics) loop
    update choreo.streams s set head = s.head + counts[i]
      where s.source = of_source and s.topic = topics[i] and s.partition = partitions[i]
      returning s.id, s.head - counts[i] into number, before;
    if not found then
      insert into choreo.streams (source, topic, partition, head) values (of_source, topics[i], partitions[i], counts[i])
        returning id into number;
      insert into choreo.forwarded (stream, sequence) values (number, 0);
      before := 0;
    end if;
    numbers := numbers || number::bigint;
    heads := heads || before;
  end loop;
  with gone as (delete from choreo.outbox o where o.id = any (ids)
      returning o.id, o.event_id, o.type, o.key, o.saga, o.causation, o.emitter, o.ran_in, o.traceparent, o.at, o.data),
  appended as (insert into choreo.event_log (position, stream, sequence, event_id, type, key, saga, causation, emitter,
      ran_in, traceparent, at, data)
    select start + x.n, numbers[x.place], heads[x.place] + x.nth, g.event_id, g.type, g.key, g.saga, g.causation, g.emitter,
      g.ran_in, g.traceparent, g.at, g.data
    from unnest(ids, places, nths) with ordinality as x (id, place, nth, n) join gone g on g.id = x.id returning 1)
  select count(*) into moved from appended;
  perform pg_notify('choreo_log', '');
end
$$;
-- +goose StatementEnd

-- The consumers that this database knows, each with its first position.
create table choreo.consumers (
  consumer      text primary key,
  topics        text[] not null,
  local         boolean not null, -- fed from the log
  registered_at timestamptz not null,
  paused_at     timestamptz       -- while an operator holds it still
);

-- How far each consumer has come: of our own events the last sequence of each
-- topic partition. It never forgets and does not grow.
create table choreo.watermarks (
  consumer  text not null,
  source    text not null,
  topic     text not null,
  partition integer not null,
  sequence  bigint not null,
  primary key (consumer, source, topic, partition)
);

-- What each batch of a consumer begins with, in one round trip and planned once
-- per session: the clock, the watermarks of some topic partitions, locked in the
-- order in which they are given, those that are missing made, and whether the
-- consumer has an unfinished step, looked up when the locks are held.
-- +goose StatementBegin
create function choreo.begin_batch(who text, sources text[], topics text[], partitions bigint[],
  out clock timestamptz, out marks bigint[], out busy boolean)
  language plpgsql volatile set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off as $$
declare
  mark bigint;
begin
  perform pg_current_xact_id();
  clock := choreo.troupe_now();
  marks := '{}';
  for i in 1 .. cardinality(topics) loop
    select w.sequence into mark from choreo.watermarks w
      where w.consumer = who and w.source = sources[i] and w.topic = topics[i] and w.partition = partitions[i] for update;
    if not found then
      insert into choreo.watermarks values (who, sources[i], topics[i], partitions[i], 0) on conflict do nothing;
      select w.sequence into mark from choreo.watermarks w
        where w.consumer = who and w.source = sources[i] and w.topic = topics[i] and w.partition = partitions[i] for update;
    end if;
    marks := marks || mark;
  end loop;
  busy := exists (select from choreo.steps s where s.consumer = who and s.state in ('waiting', 'calling', 'parked')
    and s.place is not null);
end
$$;
-- +goose StatementEnd
-- +goose StatementBegin
-- False for a consumer that is paused: who pauses it waits for the rows' locks,
-- and so for the batches that have not seen it.
create function choreo.advance_watermarks(who text, sources text[], topics text[], partitions bigint[], marks bigint[])
  returns boolean language plpgsql volatile set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off as $$
begin
  if exists (select from choreo.consumers c where c.consumer = who and c.paused_at is not null) then
    return false;
  end if;
  for i in 1 .. cardinality(topics) loop
    update choreo.watermarks w set sequence = marks[i]
      where w.consumer = who and w.source = sources[i] and w.topic = topics[i] and w.partition = partitions[i];
  end loop;
  return true;
end
$$;
-- +goose StatementEnd

-- The ids that the log has from one sequence of a topic partition to before
-- another, each with a space behind it; all of them stand behind a position.
-- +goose StatementBegin
create function choreo.log_ids(sources text[], topics text[], partitions bigint[], firsts bigint[], nexts bigint[],
  after bigint)
  returns setof text language plpgsql stable set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off as $$
begin
  for i in 1 .. cardinality(topics) loop
    return next (select string_agg(l.event_id || ' ', '' order by l.sequence) from choreo.event_log l
      where l.stream = (select s.id from choreo.streams s
          where s.source = sources[i] and s.topic = topics[i] and s.partition = partitions[i])
        and l.sequence >= firsts[i] and l.sequence < nexts[i] and l.position > after);
  end loop;
end
$$;
-- +goose StatementEnd

-- Of foreign records: the next offset, of one incarnation of a topic.
create table choreo.foreign_offsets (
  consumer    text not null,
  topic_id    text not null,
  partition   integer not null,
  next_offset bigint not null,
  primary key (consumer, topic_id, partition)
);

-- Foreign events that a consumer has taken, for seven days.
create table choreo.inbox (
  consumer text not null,
  source   text not null,
  event_id text not null,
  at       timestamptz not null,
  primary key (consumer, source, event_id)
);
create index inbox_age on choreo.inbox (consumer, at);

-- Places in the lines of steps, given when a step joins its line.
create sequence choreo.steps_place;

-- Every reaction that is not simply applied and forgotten.
create table choreo.steps (
  id          bigint generated always as identity primary key,
  consumer    text not null,
  source      text not null,
  event_id    text not null,  -- empty: undone before its event came
  type        text not null,
  key         text not null,
  saga        text not null,
  line        text not null,
  place       bigint,          -- in its line; null while it is delayed, or of an unknown type
  meta        jsonb not null, -- the event's Meta
  data        bytea not null,
  state       text not null check (state in
    ('waiting','calling','done','gave-up','undone','dropped','parked','unknown')),
  head        boolean not null default false, -- first unfinished of its line
  attempts    integer not null default 0,
  due_at      timestamptz not null,
  begun_at    timestamptz,          -- first attempt
  called      boolean not null default false, -- an intent was committed
  effect_key  text not null,        -- idempotency key of the call
  round       integer not null default 0, -- how often it was redone
  lease       text not null default '',
  lease_until timestamptz,
  result      jsonb,
  error       text not null default '',
  watch_since timestamptz,          -- when it gave up without anybody knowing what came of its call
  watch_at    timestamptz,          -- when that is asked next, null where it is not
  created_at  timestamptz not null,
  updated_at  timestamptz not null
);
create unique index steps_event on choreo.steps (consumer, source, event_id) where event_id <> '';
create index steps_due on choreo.steps (consumer, due_at) where head and state = 'waiting';
create index steps_lease on choreo.steps (consumer, lease_until) where state = 'calling';
create index steps_line on choreo.steps (consumer, line, place) where state in ('waiting','calling','parked') and place is not null;
create index steps_delayed on choreo.steps (consumer, due_at) where state = 'waiting' and place is null;
create index steps_delayed_line on choreo.steps (consumer, line, due_at) where state = 'waiting' and place is null;
create index steps_unknown on choreo.steps (consumer, id) where state = 'unknown';
create index steps_watch on choreo.steps (consumer, watch_at) where watch_at is not null;
create index steps_saga on choreo.steps (saga, consumer, key);

-- Those of some lines of a consumer that have an unfinished step, whose last row is
-- locked in each. Most have none, and are found to have none before any is sorted.
-- +goose StatementBegin
create function choreo.busy_lines(who text, lines text[]) returns setof text
  language plpgsql volatile set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off as $$
begin
  return query
    with held as materialized (select distinct u.line from unnest(lines) as u (line),
      lateral (select from choreo.steps s where s.consumer = who and s.line = u.line
               and s.state in ('waiting','calling','parked') and s.place is not null limit 1) s)
    select l.line from (select h.line from held h order by h.line) l,
    lateral (select s.id from choreo.steps s where s.consumer = who and s.line = l.line
             and s.state in ('waiting','calling','parked') and s.place is not null
             order by s.place desc limit 1 for share) s;
end
$$;
-- +goose StatementEnd

-- From when to when a process saw that a provider did not answer: it counts for
-- no step that waits to give up.
create table choreo.outages (
  provider text not null,
  process  text not null,
  opened   timestamptz not null, -- by the clock of that process
  since    timestamptz not null,
  until    timestamptz not null, -- as far as is known
  primary key (provider, process, opened)
);
create index outages_until on choreo.outages (provider, until);

-- Records that no consumer could read, kept for a look.
create table choreo.quarantine (
  topic         text not null,
  topic_id      text not null,
  partition     integer not null,
  record_offset bigint not null,
  consumer      text not null,   -- that met it first
  reason        text not null,
  headers       jsonb not null,
  key           bytea,
  data          bytea,           -- at most the first 64 KiB
  size          bigint not null,
  at            timestamptz not null,
  primary key (topic, topic_id, partition, record_offset)
);

-- The views that live here, each with the statements that made its tables.
create table choreo.views (
  view   text primary key,
  tables text not null
);

-- Who is the one active relay.
create table choreo.leases (
  name   text primary key,
  holder text not null,
  until  timestamptz not null
);

-- One row per saga, kept by a cursor over the log: it serves lists. What it says
-- may be a moment old; what is shown of a saga is computed anew.
create table choreo.sagas (
  saga       text primary key,
  first      bigint not null unique, -- position of its first fact
  status     text not null check (status in ('running','overdue','parked','settled')),
  outcome    text not null,
  owed       integer not null,       -- how many undos are
  started_by text not null,
  started_at timestamptz not null,
  settled_at timestamptz,
  due_at     timestamptz,            -- of one that is running: when it will be overdue
  look_at    timestamptz             -- when to look at it again though nothing new is told of it
);
create index sagas_status on choreo.sagas (status, first);
create index sagas_overdue on choreo.sagas (due_at) where status = 'running';
create index sagas_owed on choreo.sagas (saga) where owed > 0;
create index sagas_look on choreo.sagas (look_at) where look_at is not null;

-- How far into the log the sagas' rows have come. Who holds the row locked is the
-- one that writes.
create table choreo.saga_cursor (
  only_row boolean primary key default true check (only_row),
  position bigint not null
);
insert into choreo.saga_cursor (position) values (0);

-- Sagas of which a step has ended, was parked or is to run again, for the cursor.
create table choreo.saga_touched (
  id   bigint generated always as identity primary key,
  saga text not null
);
-- +goose StatementBegin
create function choreo.touch_saga() returns trigger language plpgsql as $$
begin
  insert into choreo.saga_touched (saga) values (new.saga);
  return null;
end
$$;
-- +goose StatementEnd
create trigger steps_touch_saga after update of state on choreo.steps for each row
  when (case when old.state in ('waiting','calling') then 'open' when old.state in ('parked','unknown') then old.state else 'ended' end
     <> case when new.state in ('waiting','calling') then 'open' when new.state in ('parked','unknown') then new.state else 'ended' end)
  execute function choreo.touch_saga();

-- Who did what, when, to how many: every command of an operator that changed
-- something. It holds no data of events.
create table choreo.audit (
  id     bigint generated always as identity primary key,
  at     timestamptz not null,
  who    text not null,
  action text not null,
  target text not null,
  count  bigint not null,
  detail text not null
);

-- +goose Down
drop schema choreo cascade;
