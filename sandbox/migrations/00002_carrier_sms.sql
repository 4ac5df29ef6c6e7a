-- +goose Up

-- One row per attempt to tell the carrier where an order goes.
CREATE TABLE sandbox.update (
    id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    order_id  text   NOT NULL,
    change_id text   NOT NULL,
    sequence  bigint NOT NULL,
    info      text   NOT NULL, -- JSON, as it is listed
    key       text   NOT NULL,
    at        timestamptz NOT NULL,
    status    text   NOT NULL
);
CREATE INDEX update_key ON sandbox.update (key);
CREATE INDEX update_order ON sandbox.update (order_id);

-- One row per attempt to send an SMS.
CREATE TABLE sandbox.sms (
    id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    recipient text NOT NULL,
    body      text NOT NULL,
    key       text NOT NULL,
    at        timestamptz NOT NULL,
    status    text NOT NULL
);
CREATE INDEX sms_key ON sandbox.sms (key);

-- +goose Down
DROP TABLE sandbox.sms, sandbox.update;
