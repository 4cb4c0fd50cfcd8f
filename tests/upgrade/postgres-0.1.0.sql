--
-- PostgreSQL database dump
--


-- Dumped from database version 15.18 (Debian 15.18-0+deb12u1)
-- Dumped by pg_dump version 15.18 (Debian 15.18-0+deb12u1)

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

--
-- Name: amber; Type: SCHEMA; Schema: -; Owner: -
--

CREATE SCHEMA amber;


--
-- Name: amber_store; Type: SCHEMA; Schema: -; Owner: -
--

CREATE SCHEMA amber_store;


SET default_tablespace = '';

SET default_table_access_method = heap;

--
-- Name: climate_data; Type: TABLE; Schema: amber_store; Owner: -
--

CREATE TABLE amber_store.climate_data (
    "time" timestamp with time zone NOT NULL,
    series_id bigint NOT NULL,
    received_at timestamp with time zone NOT NULL,
    temperature double precision,
    count bigint,
    open boolean,
    note text,
    raw jsonb,
    seen timestamp with time zone
);


--
-- Name: COLUMN climate_data."time"; Type: COMMENT; Schema: amber_store; Owner: -
--

COMMENT ON COLUMN amber_store.climate_data."time" IS 'Time of the reading';


--
-- Name: COLUMN climate_data.received_at; Type: COMMENT; Schema: amber_store; Owner: -
--

COMMENT ON COLUMN amber_store.climate_data.received_at IS 'Receipt of the message that it came with';


--
-- Name: COLUMN climate_data.temperature; Type: COMMENT; Schema: amber_store; Owner: -
--

COMMENT ON COLUMN amber_store.climate_data.temperature IS '°C';


--
-- Name: COLUMN climate_data.count; Type: COMMENT; Schema: amber_store; Owner: -
--

COMMENT ON COLUMN amber_store.climate_data.count IS '°C';


--
-- Name: COLUMN climate_data.open; Type: COMMENT; Schema: amber_store; Owner: -
--

COMMENT ON COLUMN amber_store.climate_data.open IS '°C';


--
-- Name: COLUMN climate_data.note; Type: COMMENT; Schema: amber_store; Owner: -
--

COMMENT ON COLUMN amber_store.climate_data.note IS '°C';


--
-- Name: COLUMN climate_data.raw; Type: COMMENT; Schema: amber_store; Owner: -
--

COMMENT ON COLUMN amber_store.climate_data.raw IS '°C';


--
-- Name: COLUMN climate_data.seen; Type: COMMENT; Schema: amber_store; Owner: -
--

COMMENT ON COLUMN amber_store.climate_data.seen IS '°C';


--
-- Name: climate_series; Type: TABLE; Schema: amber_store; Owner: -
--

CREATE TABLE amber_store.climate_series (
    series_id bigint NOT NULL,
    retired_at timestamp with time zone,
    room text DEFAULT ''::text NOT NULL COLLATE pg_catalog."C",
    device text DEFAULT ''::text NOT NULL COLLATE pg_catalog."C"
);


--
-- Name: climate; Type: VIEW; Schema: amber; Owner: -
--

CREATE VIEW amber.climate AS
 SELECT d."time",
    s.room,
    s.device,
    d.temperature,
    d.count,
    d.open,
    d.note,
    d.raw,
    d.seen,
    d.received_at
   FROM (amber_store.climate_data d
     LEFT JOIN amber_store.climate_series s ON ((s.series_id = d.series_id)));


--
-- Name: COLUMN climate."time"; Type: COMMENT; Schema: amber; Owner: -
--

COMMENT ON COLUMN amber.climate."time" IS 'Time of the reading';


--
-- Name: COLUMN climate.temperature; Type: COMMENT; Schema: amber; Owner: -
--

COMMENT ON COLUMN amber.climate.temperature IS '°C';


--
-- Name: COLUMN climate.count; Type: COMMENT; Schema: amber; Owner: -
--

COMMENT ON COLUMN amber.climate.count IS '°C';


--
-- Name: COLUMN climate.open; Type: COMMENT; Schema: amber; Owner: -
--

COMMENT ON COLUMN amber.climate.open IS '°C';


--
-- Name: COLUMN climate.note; Type: COMMENT; Schema: amber; Owner: -
--

COMMENT ON COLUMN amber.climate.note IS '°C';


--
-- Name: COLUMN climate.raw; Type: COMMENT; Schema: amber; Owner: -
--

COMMENT ON COLUMN amber.climate.raw IS '°C';


--
-- Name: COLUMN climate.seen; Type: COMMENT; Schema: amber; Owner: -
--

COMMENT ON COLUMN amber.climate.seen IS '°C';


--
-- Name: COLUMN climate.received_at; Type: COMMENT; Schema: amber; Owner: -
--

COMMENT ON COLUMN amber.climate.received_at IS 'Receipt of the message that it came with';


--
-- Name: field; Type: TABLE; Schema: amber_store; Owner: -
--

CREATE TABLE amber_store.field (
    measurement text NOT NULL COLLATE pg_catalog."C",
    name text NOT NULL COLLATE pg_catalog."C",
    "position" integer NOT NULL,
    type text NOT NULL,
    kind text NOT NULL,
    unit text,
    description text,
    decimals integer,
    min double precision,
    max double precision
);


--
-- Name: TABLE field; Type: COMMENT; Schema: amber_store; Owner: -
--

COMMENT ON TABLE amber_store.field IS 'The fields of every measurement, as the mapping states them';


--
-- Name: COLUMN field."position"; Type: COMMENT; Schema: amber_store; Owner: -
--

COMMENT ON COLUMN amber_store.field."position" IS 'Place among the fields of the mapping, from 0';


--
-- Name: COLUMN field.type; Type: COMMENT; Schema: amber_store; Owner: -
--

COMMENT ON COLUMN amber_store.field.type IS 'float, int, bool, text, json or time';


--
-- Name: COLUMN field.kind; Type: COMMENT; Schema: amber_store; Owner: -
--

COMMENT ON COLUMN amber_store.field.kind IS 'gauge, or total for a counter that only grows but for resets';


--
-- Name: COLUMN field.unit; Type: COMMENT; Schema: amber_store; Owner: -
--

COMMENT ON COLUMN amber_store.field.unit IS 'As people write it: °C, %, kWh';


--
-- Name: COLUMN field.decimals; Type: COMMENT; Schema: amber_store; Owner: -
--

COMMENT ON COLUMN amber_store.field.decimals IS 'Decimals worth showing';


--
-- Name: COLUMN field.min; Type: COMMENT; Schema: amber_store; Owner: -
--

COMMENT ON COLUMN amber_store.field.min IS 'Smallest sensible value, in the unit';


--
-- Name: COLUMN field.max; Type: COMMENT; Schema: amber_store; Owner: -
--

COMMENT ON COLUMN amber_store.field.max IS 'Largest sensible value, in the unit';


--
-- Name: fields; Type: VIEW; Schema: amber; Owner: -
--

CREATE VIEW amber.fields AS
 SELECT field.measurement,
    field.name,
    field."position",
    field.type,
    field.kind,
    field.unit,
    field.description,
    field.decimals,
    field.min,
    field.max
   FROM amber_store.field;


--
-- Name: VIEW fields; Type: COMMENT; Schema: amber; Owner: -
--

COMMENT ON VIEW amber.fields IS 'The fields of every measurement: type, unit, range';


--
-- Name: measurement; Type: TABLE; Schema: amber_store; Owner: -
--

CREATE TABLE amber_store.measurement (
    name text NOT NULL COLLATE pg_catalog."C",
    tags text[] NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);


--
-- Name: TABLE measurement; Type: COMMENT; Schema: amber_store; Owner: -
--

COMMENT ON TABLE amber_store.measurement IS 'Every measurement that a mapping has ever fed';


--
-- Name: COLUMN measurement.tags; Type: COMMENT; Schema: amber_store; Owner: -
--

COMMENT ON COLUMN amber_store.measurement.tags IS 'The tags that name a series, in the order of the columns';


--
-- Name: measurements; Type: VIEW; Schema: amber; Owner: -
--

CREATE VIEW amber.measurements AS
 SELECT measurement.name,
    measurement.tags,
    measurement.created_at
   FROM amber_store.measurement;


--
-- Name: VIEW measurements; Type: COMMENT; Schema: amber; Owner: -
--

COMMENT ON VIEW amber.measurements IS 'Every measurement; the view of the same name has its readings';


--
-- Name: reject; Type: TABLE; Schema: amber_store; Owner: -
--

CREATE TABLE amber_store.reject (
    id bigint NOT NULL,
    received_at timestamp with time zone NOT NULL,
    payload_bytes bigint NOT NULL,
    qos smallint NOT NULL,
    retain boolean NOT NULL,
    topic text NOT NULL,
    payload bytea NOT NULL,
    mapping text,
    reason text NOT NULL COLLATE pg_catalog."C",
    detail text NOT NULL
);


--
-- Name: TABLE reject; Type: COMMENT; Schema: amber_store; Owner: -
--

COMMENT ON TABLE amber_store.reject IS 'Messages, and rows of them, that could not be stored as readings';


--
-- Name: COLUMN reject.received_at; Type: COMMENT; Schema: amber_store; Owner: -
--

COMMENT ON COLUMN amber_store.reject.received_at IS 'Receipt of the message';


--
-- Name: COLUMN reject.payload_bytes; Type: COMMENT; Schema: amber_store; Owner: -
--

COMMENT ON COLUMN amber_store.reject.payload_bytes IS 'Size of the whole payload in bytes';


--
-- Name: COLUMN reject.qos; Type: COMMENT; Schema: amber_store; Owner: -
--

COMMENT ON COLUMN amber_store.reject.qos IS 'Quality of service of the delivery: 0, 1 or 2';


--
-- Name: COLUMN reject.retain; Type: COMMENT; Schema: amber_store; Owner: -
--

COMMENT ON COLUMN amber_store.reject.retain IS 'RETAIN flag of the delivery';


--
-- Name: COLUMN reject.payload; Type: COMMENT; Schema: amber_store; Owner: -
--

COMMENT ON COLUMN amber_store.reject.payload IS 'The payload, cut at 64 KiB';


--
-- Name: COLUMN reject.mapping; Type: COMMENT; Schema: amber_store; Owner: -
--

COMMENT ON COLUMN amber_store.reject.mapping IS 'The mapping that took the message; null if none could';


--
-- Name: COLUMN reject.reason; Type: COMMENT; Schema: amber_store; Owner: -
--

COMMENT ON COLUMN amber_store.reject.reason IS 'One word of a closed set';


--
-- Name: COLUMN reject.detail; Type: COMMENT; Schema: amber_store; Owner: -
--

COMMENT ON COLUMN amber_store.reject.detail IS 'What was expected, what came, and where';


--
-- Name: rejects; Type: VIEW; Schema: amber; Owner: -
--

CREATE VIEW amber.rejects AS
 SELECT reject.received_at,
    reject.topic,
    reject.mapping,
    reject.reason,
    reject.detail,
    encode(reject.payload, 'escape'::text) AS payload_text,
    reject.payload,
    reject.payload_bytes,
    reject.qos,
    reject.retain,
    reject.id
   FROM amber_store.reject;


--
-- Name: VIEW rejects; Type: COMMENT; Schema: amber; Owner: -
--

COMMENT ON VIEW amber.rejects IS 'Messages that could not be stored as readings, with the reason and the raw bytes';


--
-- Name: total_data; Type: TABLE; Schema: amber_store; Owner: -
--

CREATE TABLE amber_store.total_data (
    "time" timestamp with time zone NOT NULL,
    series_id bigint NOT NULL,
    received_at timestamp with time zone NOT NULL,
    energy double precision
);


--
-- Name: COLUMN total_data."time"; Type: COMMENT; Schema: amber_store; Owner: -
--

COMMENT ON COLUMN amber_store.total_data."time" IS 'Time of the reading';


--
-- Name: COLUMN total_data.received_at; Type: COMMENT; Schema: amber_store; Owner: -
--

COMMENT ON COLUMN amber_store.total_data.received_at IS 'Receipt of the message that it came with';


--
-- Name: total_series; Type: TABLE; Schema: amber_store; Owner: -
--

CREATE TABLE amber_store.total_series (
    series_id bigint NOT NULL,
    retired_at timestamp with time zone
);


--
-- Name: total; Type: VIEW; Schema: amber; Owner: -
--

CREATE VIEW amber.total AS
 SELECT d."time",
    d.energy,
    d.received_at
   FROM (amber_store.total_data d
     LEFT JOIN amber_store.total_series s ON ((s.series_id = d.series_id)));


--
-- Name: COLUMN total."time"; Type: COMMENT; Schema: amber; Owner: -
--

COMMENT ON COLUMN amber.total."time" IS 'Time of the reading';


--
-- Name: COLUMN total.received_at; Type: COMMENT; Schema: amber; Owner: -
--

COMMENT ON COLUMN amber.total.received_at IS 'Receipt of the message that it came with';


--
-- Name: climate_series_series_id_seq; Type: SEQUENCE; Schema: amber_store; Owner: -
--

ALTER TABLE amber_store.climate_series ALTER COLUMN series_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME amber_store.climate_series_series_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: delivery; Type: TABLE; Schema: amber_store; Owner: -
--

CREATE TABLE amber_store.delivery (
    writer text NOT NULL COLLATE pg_catalog."C",
    owner bigint NOT NULL,
    epoch bigint NOT NULL,
    seq bigint DEFAULT 0 NOT NULL,
    packets bytea DEFAULT '\x01'::bytea NOT NULL,
    filters text DEFAULT ''::text NOT NULL,
    spool uuid,
    updated_at timestamp with time zone DEFAULT now() NOT NULL
)
WITH (fillfactor='50', autovacuum_vacuum_scale_factor='0', autovacuum_vacuum_threshold='500', toast.autovacuum_vacuum_scale_factor='0', toast.autovacuum_vacuum_threshold='5000');
ALTER TABLE ONLY amber_store.delivery ALTER COLUMN packets SET STORAGE EXTERNAL;


--
-- Name: TABLE delivery; Type: COMMENT; Schema: amber_store; Owner: -
--

COMMENT ON TABLE amber_store.delivery IS 'The delivery ledger, one row per writer: what makes each message exactly one row';


--
-- Name: COLUMN delivery.writer; Type: COMMENT; Schema: amber_store; Owner: -
--

COMMENT ON COLUMN amber_store.delivery.writer IS 'Client identifier of the MQTT session';


--
-- Name: COLUMN delivery.owner; Type: COMMENT; Schema: amber_store; Owner: -
--

COMMENT ON COLUMN amber_store.delivery.owner IS 'Drawn at random by each process; who holds the row';


--
-- Name: COLUMN delivery.epoch; Type: COMMENT; Schema: amber_store; Owner: -
--

COMMENT ON COLUMN amber_store.delivery.epoch IS 'One more with each connection: statements of older ones store nothing';


--
-- Name: COLUMN delivery.seq; Type: COMMENT; Schema: amber_store; Owner: -
--

COMMENT ON COLUMN amber_store.delivery.seq IS 'Number of the newest batch stored';


--
-- Name: COLUMN delivery.packets; Type: COMMENT; Schema: amber_store; Owner: -
--

COMMENT ON COLUMN amber_store.delivery.packets IS 'Deliveries stored whose acknowledgement the broker has not confirmed; version byte first';


--
-- Name: COLUMN delivery.filters; Type: COMMENT; Schema: amber_store; Owner: -
--

COMMENT ON COLUMN amber_store.delivery.filters IS 'What is subscribed at the broker, JSON; empty if nothing is known';


--
-- Name: COLUMN delivery.spool; Type: COMMENT; Schema: amber_store; Owner: -
--

COMMENT ON COLUMN amber_store.delivery.spool IS 'The spool file that continues the numbers of this row';


--
-- Name: instance; Type: TABLE; Schema: amber_store; Owner: -
--

CREATE TABLE amber_store.instance (
    one boolean DEFAULT true NOT NULL,
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    CONSTRAINT instance_one_check CHECK (one)
);


--
-- Name: TABLE instance; Type: COMMENT; Schema: amber_store; Owner: -
--

COMMENT ON TABLE amber_store.instance IS 'Which store this is; one row';


--
-- Name: migrations; Type: TABLE; Schema: amber_store; Owner: -
--

CREATE TABLE amber_store.migrations (
    version bigint NOT NULL,
    description text NOT NULL,
    installed_on timestamp with time zone DEFAULT now() NOT NULL,
    success boolean NOT NULL,
    checksum bytea NOT NULL,
    execution_time bigint NOT NULL
);


--
-- Name: reject_id_seq; Type: SEQUENCE; Schema: amber_store; Owner: -
--

ALTER TABLE amber_store.reject ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME amber_store.reject_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: total_series_series_id_seq; Type: SEQUENCE; Schema: amber_store; Owner: -
--

ALTER TABLE amber_store.total_series ALTER COLUMN series_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME amber_store.total_series_series_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Data for Name: climate_data; Type: TABLE DATA; Schema: amber_store; Owner: -
--

INSERT INTO amber_store.climate_data VALUES ('2026-11-25 12:00:00+00', 2, '2026-11-25 12:00:00.001+00', 21.5, 9223372036854775807, true, 'it''s °C', '{"a": 1}', '2026-11-25 12:00:00+00');
INSERT INTO amber_store.climate_data VALUES ('2026-11-25 12:00:00+00', 1, '2026-11-25 12:00:00.001+00', -3.25, 9223372036854775807, true, 'it''s °C', '{"a": 1}', '2026-11-25 12:00:00+00');
INSERT INTO amber_store.climate_data VALUES ('2026-11-25 12:00:00+00', 2, '2026-11-25 12:00:00.001+00', NULL, NULL, NULL, NULL, NULL, NULL);


--
-- Data for Name: climate_series; Type: TABLE DATA; Schema: amber_store; Owner: -
--

INSERT INTO amber_store.climate_series OVERRIDING SYSTEM VALUE VALUES (1, NULL, 'attic', 't2');
INSERT INTO amber_store.climate_series OVERRIDING SYSTEM VALUE VALUES (2, NULL, 'kitchen', 't1');


--
-- Data for Name: delivery; Type: TABLE DATA; Schema: amber_store; Owner: -
--

INSERT INTO amber_store.delivery VALUES ('gateway 7', 1, 1, 2, '\x016b657973', '[]', NULL, '2026-11-25 19:11:00.886812+00');


--
-- Data for Name: field; Type: TABLE DATA; Schema: amber_store; Owner: -
--

INSERT INTO amber_store.field VALUES ('climate', 'temperature', 0, 'float', 'gauge', '°C', NULL, NULL, NULL, NULL);
INSERT INTO amber_store.field VALUES ('climate', 'count', 1, 'int', 'gauge', '°C', NULL, NULL, NULL, NULL);
INSERT INTO amber_store.field VALUES ('climate', 'open', 2, 'bool', 'gauge', '°C', NULL, NULL, NULL, NULL);
INSERT INTO amber_store.field VALUES ('climate', 'note', 3, 'text', 'gauge', '°C', NULL, NULL, NULL, NULL);
INSERT INTO amber_store.field VALUES ('climate', 'raw', 4, 'json', 'gauge', '°C', NULL, NULL, NULL, NULL);
INSERT INTO amber_store.field VALUES ('climate', 'seen', 5, 'time', 'gauge', '°C', NULL, NULL, NULL, NULL);
INSERT INTO amber_store.field VALUES ('total', 'energy', 0, 'float', 'gauge', NULL, NULL, NULL, NULL, NULL);


--
-- Data for Name: instance; Type: TABLE DATA; Schema: amber_store; Owner: -
--

INSERT INTO amber_store.instance VALUES (true, '72f0d953-daa3-4145-867f-10a575d90616');


--
-- Data for Name: measurement; Type: TABLE DATA; Schema: amber_store; Owner: -
--

INSERT INTO amber_store.measurement VALUES ('climate', '{room,device}', '2026-11-25 19:11:00.599221+00');
INSERT INTO amber_store.measurement VALUES ('total', '{}', '2026-11-25 19:11:00.599221+00');


--
-- Data for Name: migrations; Type: TABLE DATA; Schema: amber_store; Owner: -
--

INSERT INTO amber_store.migrations VALUES (1, 'fixed tables', '2026-11-25 19:11:00.599221+00', true, '\xbc7e0d9245c3a3122742c33f6188b7030f8e241282ebd275b698a30ec083cc6d186e7ce3300a418a295d2cb1434da4b8', 95697556);


--
-- Data for Name: reject; Type: TABLE DATA; Schema: amber_store; Owner: -
--

INSERT INTO amber_store.reject OVERRIDING SYSTEM VALUE VALUES (1, '2026-11-25 12:00:00.001+00', 2, 1, false, 'home/kitchen/t1', '\xff7b', 'plant', 'payload', 'no JSON at byte 0');


--
-- Data for Name: total_data; Type: TABLE DATA; Schema: amber_store; Owner: -
--

INSERT INTO amber_store.total_data VALUES ('2026-11-25 12:00:00+00', 1, '2026-11-25 12:00:00.001+00', 1234.5);


--
-- Data for Name: total_series; Type: TABLE DATA; Schema: amber_store; Owner: -
--

INSERT INTO amber_store.total_series OVERRIDING SYSTEM VALUE VALUES (1, NULL);


--
-- Name: climate_series_series_id_seq; Type: SEQUENCE SET; Schema: amber_store; Owner: -
--

SELECT pg_catalog.setval('amber_store.climate_series_series_id_seq', 2, true);


--
-- Name: reject_id_seq; Type: SEQUENCE SET; Schema: amber_store; Owner: -
--

SELECT pg_catalog.setval('amber_store.reject_id_seq', 1, true);


--
-- Name: total_series_series_id_seq; Type: SEQUENCE SET; Schema: amber_store; Owner: -
--

SELECT pg_catalog.setval('amber_store.total_series_series_id_seq', 1, true);


--
-- Name: climate_series climate_series_pkey; Type: CONSTRAINT; Schema: amber_store; Owner: -
--

ALTER TABLE ONLY amber_store.climate_series
    ADD CONSTRAINT climate_series_pkey PRIMARY KEY (series_id);


--
-- Name: delivery delivery_pkey; Type: CONSTRAINT; Schema: amber_store; Owner: -
--

ALTER TABLE ONLY amber_store.delivery
    ADD CONSTRAINT delivery_pkey PRIMARY KEY (writer);


--
-- Name: field field_pkey; Type: CONSTRAINT; Schema: amber_store; Owner: -
--

ALTER TABLE ONLY amber_store.field
    ADD CONSTRAINT field_pkey PRIMARY KEY (measurement, name);


--
-- Name: instance instance_pkey; Type: CONSTRAINT; Schema: amber_store; Owner: -
--

ALTER TABLE ONLY amber_store.instance
    ADD CONSTRAINT instance_pkey PRIMARY KEY (one);


--
-- Name: measurement measurement_pkey; Type: CONSTRAINT; Schema: amber_store; Owner: -
--

ALTER TABLE ONLY amber_store.measurement
    ADD CONSTRAINT measurement_pkey PRIMARY KEY (name);


--
-- Name: migrations migrations_pkey; Type: CONSTRAINT; Schema: amber_store; Owner: -
--

ALTER TABLE ONLY amber_store.migrations
    ADD CONSTRAINT migrations_pkey PRIMARY KEY (version);


--
-- Name: reject reject_pkey; Type: CONSTRAINT; Schema: amber_store; Owner: -
--

ALTER TABLE ONLY amber_store.reject
    ADD CONSTRAINT reject_pkey PRIMARY KEY (id);


--
-- Name: total_series total_series_pkey; Type: CONSTRAINT; Schema: amber_store; Owner: -
--

ALTER TABLE ONLY amber_store.total_series
    ADD CONSTRAINT total_series_pkey PRIMARY KEY (series_id);


--
-- Name: climate_data_series_id_time_idx; Type: INDEX; Schema: amber_store; Owner: -
--

CREATE INDEX climate_data_series_id_time_idx ON amber_store.climate_data USING btree (series_id, "time");


--
-- Name: climate_data_time_idx; Type: INDEX; Schema: amber_store; Owner: -
--

CREATE INDEX climate_data_time_idx ON amber_store.climate_data USING brin ("time" timestamptz_minmax_multi_ops) WITH (pages_per_range='32', autosummarize='on');


--
-- Name: climate_series_room_device_idx; Type: INDEX; Schema: amber_store; Owner: -
--

CREATE UNIQUE INDEX climate_series_room_device_idx ON amber_store.climate_series USING btree (room, device);


--
-- Name: reject_received_at_idx; Type: INDEX; Schema: amber_store; Owner: -
--

CREATE INDEX reject_received_at_idx ON amber_store.reject USING btree (received_at);


--
-- Name: total_data_series_id_time_idx; Type: INDEX; Schema: amber_store; Owner: -
--

CREATE INDEX total_data_series_id_time_idx ON amber_store.total_data USING btree (series_id, "time");


--
-- Name: total_data_time_idx; Type: INDEX; Schema: amber_store; Owner: -
--

CREATE INDEX total_data_time_idx ON amber_store.total_data USING brin ("time" timestamptz_minmax_multi_ops) WITH (pages_per_range='32', autosummarize='on');


--
-- Name: total_series_expr_idx; Type: INDEX; Schema: amber_store; Owner: -
--

CREATE UNIQUE INDEX total_series_expr_idx ON amber_store.total_series USING btree ((true));


--
-- PostgreSQL database dump complete
--


