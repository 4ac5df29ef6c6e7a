create table accounts (
  account_id text primary key,
  verified   boolean not null default false,
  mail_id    text not null, -- the newest verification mail
  mail       text not null check (mail in ('pending', 'sent', 'failed')),
  leaving    text not null default '' check (leaving in ('', 'closing', 'erased'))
);
