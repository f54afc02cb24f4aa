CREATE TABLE public.cdc_progress (
  stream text COLLATE "C" NOT NULL,
  table_name text COLLATE "C" NOT NULL,
  cover_id text NOT NULL DEFAULT '',
  incarnation bigint NOT NULL DEFAULT 0,
  progress_offset bigint NOT NULL DEFAULT 0,
  progress_id text NOT NULL DEFAULT '',
  seq bigint NOT NULL DEFAULT 0,
  position text NOT NULL DEFAULT '{}',
  committed_at timestamptz,
  applied_at timestamptz NOT NULL DEFAULT now(),
  writer text NOT NULL DEFAULT '',
  format_version integer NOT NULL,
  stage text NOT NULL DEFAULT '',
  begun bigint NOT NULL DEFAULT 0,
  PRIMARY KEY (stream, table_name));
CREATE TABLE public.cdc_quarantine (
  stream text COLLATE "C" NOT NULL,
  table_name text COLLATE "C" NOT NULL,
  row_key text COLLATE "C" NOT NULL,
  seq bigint NOT NULL,
  reason text NOT NULL,
  at timestamptz NOT NULL DEFAULT now());
CREATE UNIQUE INDEX cdc_quarantine_key ON public.cdc_quarantine (stream, table_name, md5(row_key));
INSERT INTO public.cdc_progress VALUES
  ('s', '', '', 1, 5, 'm5', 5, '{"server":"u","gtid":"u:1-5","file":"log.000003","offset":777}', '2026-01-02 03:04:05+00', now(), 'somebody', 1, '', 0),
  ('s', 'Simple', 'c', 1, 3, 'm3', 3, '{"server":"u","gtid":"u:1-3"}', NULL, now(), '', 1, 'staged', 4);
INSERT INTO public.cdc_quarantine VALUES
  ('s', 'Simple', '[1]', 5, 'text with a NUL byte', now()),
  ('s', 'Simple', '[2]', 2, 'text with a NUL byte', now());
CREATE TABLE public."Simples" ("Id" integer NOT NULL, "Text" character varying(20), PRIMARY KEY ("Id"));
COMMENT ON TABLE public."Simples" IS '[cdc stream=s from=Simple v=1]';
INSERT INTO public."Simples" VALUES (1, 'kept'), (2, 'goes');
CREATE TABLE public."cdc_stage_Simples" ("Id" integer, "Text" character varying(20), PRIMARY KEY ("Id"));
INSERT INTO public."cdc_stage_Simples" VALUES (3, 'staged');
