-- +goose Up

-- What came of each message, by Message-ID: a repeat of one that was accepted
-- is not delivered again, and flaky counts its failures here.
CREATE TABLE sandbox.message (
    message_id text    NOT NULL,
    recipient  text    NOT NULL,
    failures   int     NOT NULL DEFAULT 0,
    accepted   boolean NOT NULL DEFAULT false,
    PRIMARY KEY (message_id, recipient)
);

-- One row per attempt to deliver.
CREATE TABLE sandbox.mail (
    id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    recipient text NOT NULL,
    subject   text NOT NULL,
    body      text NOT NULL,
    kind      text NOT NULL,
    at        timestamptz NOT NULL,
    status    text NOT NULL
);

CREATE TABLE sandbox.intent (
    id        text PRIMARY KEY,
    key       text   NOT NULL, -- metadata
    reference text   NOT NULL, -- metadata
    amount    bigint NOT NULL,
    currency  text   NOT NULL, -- lower case, as on the wire
    status    text   NOT NULL DEFAULT 'requires_payment_method',
    card      text   NOT NULL DEFAULT '', -- the token it was confirmed with
    failures  int    NOT NULL DEFAULT 0,
    created   timestamptz NOT NULL
);
CREATE INDEX intent_key ON sandbox.intent (key);
CREATE INDEX intent_reference ON sandbox.intent (reference);

CREATE TABLE sandbox.refund (
    id        text PRIMARY KEY,
    intent    text   NOT NULL REFERENCES sandbox.intent,
    key       text   NOT NULL, -- metadata
    reference text   NOT NULL, -- metadata
    amount    bigint NOT NULL,
    seq       bigint GENERATED ALWAYS AS IDENTITY,
    created   timestamptz NOT NULL
);
CREATE INDEX refund_intent ON sandbox.refund (intent);

-- The first answer to each Idempotency-Key, given again to a repeat.
CREATE TABLE sandbox.answer (
    key     text PRIMARY KEY,
    request text NOT NULL, -- fingerprint of path and parameters
    status  int  NOT NULL,
    body    text NOT NULL,
    item    bigint,        -- the attempt below that it answered
    created timestamptz NOT NULL
);

-- One row per attempt to charge, refund or cancel.
CREATE TABLE sandbox.payment (
    id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind      text   NOT NULL,
    key       text   NOT NULL,
    reference text   NOT NULL,
    amount    bigint NOT NULL,
    currency  text   NOT NULL,
    at        timestamptz NOT NULL,
    status    text   NOT NULL
);

-- +goose Down
DROP TABLE sandbox.payment, sandbox.answer, sandbox.refund, sandbox.intent, sandbox.mail, sandbox.message;
