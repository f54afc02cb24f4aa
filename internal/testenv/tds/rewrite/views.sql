-- Views that stand for SQL Server's catalog. A database is a group of PostgreSQL schemas, "database/schema"; the
-- setting tds.database says which one the session is in.
CREATE SCHEMA IF NOT EXISTS "tds/sys";
CREATE SCHEMA IF NOT EXISTS "tds/INFORMATION_SCHEMA";

CREATE TABLE IF NOT EXISTS tds.databases (
  id int GENERATED ALWAYS AS IDENTITY (START WITH 5) PRIMARY KEY,
  name text NOT NULL,
  snapshot_isolation boolean NOT NULL DEFAULT false,
  read_committed_snapshot boolean NOT NULL DEFAULT false
);
CREATE UNIQUE INDEX IF NOT EXISTS databases_name ON tds.databases (lower(name));

CREATE TABLE IF NOT EXISTS tds.properties (
  major oid NOT NULL,
  minor int NOT NULL,
  name text NOT NULL,
  value text,
  PRIMARY KEY (major, minor, name)
);

CREATE OR REPLACE VIEW tds.schemas AS
  SELECT n.oid, split_part(n.nspname, '/', 2) AS name
  FROM pg_catalog.pg_namespace n
  WHERE split_part(n.nspname, '/', 1) = current_setting('tds.database') AND n.nspname LIKE '%/%';

CREATE OR REPLACE VIEW tds.columns AS
  SELECT a.attrelid, a.attnum, a.attname, a.attnotnull, a.attidentity <> '' AS identity, a.atthasdef,
    split_part(split_part(d.description, ' ', 1), '(', 1) AS base,
    string_to_array(substring(split_part(d.description, ' ', 1) FROM '\((.*)\)'), ',') AS sizes,
    nullif(split_part(d.description, ' ', 2), '') AS collation
  FROM pg_catalog.pg_attribute a
  JOIN pg_catalog.pg_description d ON d.objoid = a.attrelid AND d.classoid = 'pg_class'::regclass AND d.objsubid = a.attnum
  WHERE a.attnum > 0 AND NOT a.attisdropped;

CREATE OR REPLACE VIEW tds.indexes AS
  SELECT i.indexrelid, i.indrelid, i.indisunique,
    split_part(split_part(d.description, E'\n', 1), ' ', 1) AS kind,
    split_part(split_part(d.description, E'\n', 1), ' ', 2) = 'clustered' AS clustered,
    substring(split_part(d.description, E'\n', 1) FROM '^\S+ \S+ (.*)$') AS name,
    d.description, i.indpred IS NOT NULL AS filtered,
    (1 + row_number() OVER (PARTITION BY i.indrelid ORDER BY i.indexrelid))::int4 AS ordinal
  FROM pg_catalog.pg_index i
  JOIN pg_catalog.pg_description d ON d.objoid = i.indexrelid AND d.classoid = 'pg_class'::regclass AND d.objsubid = 0;

CREATE OR REPLACE FUNCTION tds.type_id(base text) RETURNS int LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE base WHEN 'bit' THEN 104 WHEN 'tinyint' THEN 48 WHEN 'smallint' THEN 52 WHEN 'int' THEN 56
    WHEN 'bigint' THEN 127 WHEN 'decimal' THEN 106 WHEN 'real' THEN 59 WHEN 'float' THEN 62 WHEN 'date' THEN 40
    WHEN 'time' THEN 41 WHEN 'datetime2' THEN 42 WHEN 'datetimeoffset' THEN 43 WHEN 'nvarchar' THEN 231
    WHEN 'nchar' THEN 239 WHEN 'varchar' THEN 167 WHEN 'char' THEN 175 WHEN 'varbinary' THEN 165
    WHEN 'binary' THEN 173 WHEN 'uniqueidentifier' THEN 36 END
$$;

CREATE OR REPLACE FUNCTION tds.type_name(id int) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT b FROM unnest(ARRAY['bit','tinyint','smallint','int','bigint','decimal','real','float','date','time','datetime2',
    'datetimeoffset','nvarchar','nchar','varchar','char','varbinary','binary','uniqueidentifier']) b WHERE tds.type_id(b) = id
$$;

CREATE OR REPLACE FUNCTION tds.schema_name(id int) RETURNS text LANGUAGE sql STABLE AS $$
  SELECT name FROM tds.schemas WHERE oid::int8 = id
$$;

CREATE OR REPLACE FUNCTION tds.object_name(id int) RETURNS text LANGUAGE sql STABLE AS $$
  SELECT c.relname::text FROM pg_catalog.pg_class c JOIN tds.schemas s ON s.oid = c.relnamespace WHERE c.oid::int8 = id
$$;

-- A type's length in bytes, its precision and its scale, as sys.columns has them.
CREATE OR REPLACE FUNCTION tds.max_length(base text, sizes text[]) RETURNS int2 LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE
    WHEN sizes[1] = 'max' THEN -1
    WHEN base IN ('nvarchar', 'nchar') THEN 2 * sizes[1]::int
    WHEN base IN ('varchar', 'char', 'varbinary', 'binary') THEN sizes[1]::int
    WHEN base = 'decimal' THEN CASE WHEN sizes[1]::int <= 9 THEN 5 WHEN sizes[1]::int <= 19 THEN 9 WHEN sizes[1]::int <= 28 THEN 13 ELSE 17 END
    WHEN base IN ('time', 'datetime2', 'datetimeoffset') THEN
      CASE WHEN sizes[1]::int <= 2 THEN 3 WHEN sizes[1]::int <= 4 THEN 4 ELSE 5 END
      + CASE base WHEN 'datetime2' THEN 3 WHEN 'datetimeoffset' THEN 5 ELSE 0 END
    WHEN base IN ('bit', 'tinyint') THEN 1 WHEN base = 'smallint' THEN 2 WHEN base IN ('int', 'real') THEN 4
    WHEN base IN ('bigint', 'float') THEN 8 WHEN base = 'date' THEN 3 WHEN base = 'uniqueidentifier' THEN 16 END::int2
$$;

CREATE OR REPLACE FUNCTION tds.precision(base text, sizes text[]) RETURNS int2 LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE base WHEN 'decimal' THEN sizes[1]::int WHEN 'bit' THEN 1 WHEN 'tinyint' THEN 3 WHEN 'smallint' THEN 5
    WHEN 'int' THEN 10 WHEN 'bigint' THEN 19 WHEN 'real' THEN 24 WHEN 'float' THEN 53 WHEN 'date' THEN 10
    WHEN 'time' THEN 8 + sign(sizes[1]::int)::int + sizes[1]::int
    WHEN 'datetime2' THEN 19 + sign(sizes[1]::int)::int + sizes[1]::int
    WHEN 'datetimeoffset' THEN 26 + sign(sizes[1]::int)::int + sizes[1]::int ELSE 0 END::int2
$$;

CREATE OR REPLACE FUNCTION tds.scale(base text, sizes text[]) RETURNS int2 LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN base = 'decimal' THEN sizes[2]::int WHEN base IN ('time', 'datetime2', 'datetimeoffset') THEN sizes[1]::int ELSE 0 END::int2
$$;

CREATE OR REPLACE VIEW "tds/sys".databases AS
  SELECT name, id AS database_id, 'SQL_Latin1_General_CP1_CI_AS'::text AS collation_name, 160::int2 AS compatibility_level,
    snapshot_isolation::int::int2 AS snapshot_isolation_state,
    CASE WHEN snapshot_isolation THEN 'ON' ELSE 'OFF' END AS snapshot_isolation_state_desc,
    read_committed_snapshot::int::int2 AS is_read_committed_snapshot_on, 0::int2 AS is_read_only,
    0::int2 AS state, 'ONLINE'::text AS state_desc
  FROM tds.databases;

CREATE OR REPLACE VIEW "tds/sys".schemas AS
  SELECT name, oid::int8::int4 AS schema_id FROM tds.schemas;

CREATE OR REPLACE VIEW "tds/sys".objects AS
  SELECT c.relname::text AS name, c.oid::int8::int4 AS object_id, s.oid::int8::int4 AS schema_id,
    CASE c.relkind WHEN 'r' THEN 'U ' ELSE 'V ' END AS type,
    CASE c.relkind WHEN 'r' THEN 'USER_TABLE' ELSE 'VIEW' END AS type_desc
  FROM pg_catalog.pg_class c JOIN tds.schemas s ON s.oid = c.relnamespace WHERE c.relkind IN ('r', 'v');

CREATE OR REPLACE VIEW "tds/sys".tables AS SELECT * FROM "tds/sys".objects WHERE type = 'U ';
CREATE OR REPLACE VIEW "tds/sys".views AS SELECT * FROM "tds/sys".objects WHERE type = 'V ';

CREATE OR REPLACE VIEW "tds/sys".types AS
  SELECT b AS name, tds.type_id(b)::int2 AS system_type_id, tds.type_id(b) AS user_type_id, 0::int2 AS is_user_defined
  FROM unnest(ARRAY['bit','tinyint','smallint','int','bigint','decimal','real','float','date','time','datetime2',
    'datetimeoffset','nvarchar','nchar','varchar','char','varbinary','binary','uniqueidentifier']) b;

CREATE OR REPLACE VIEW "tds/sys".columns AS
  SELECT c.attrelid::int8::int4 AS object_id, c.attname::text AS name, c.attnum::int4 AS column_id,
    tds.type_id(c.base)::int2 AS system_type_id, tds.type_id(c.base) AS user_type_id,
    tds.max_length(c.base, c.sizes) AS max_length, tds.precision(c.base, c.sizes) AS precision, tds.scale(c.base, c.sizes) AS scale,
    c.collation AS collation_name, (NOT c.attnotnull)::int::int2 AS is_nullable, c.identity::int::int2 AS is_identity,
    0::int2 AS is_computed, CASE WHEN c.atthasdef THEN 1 ELSE 0 END AS default_object_id,
    0::int2 AS generated_always_type
  FROM tds.columns c JOIN pg_catalog.pg_class t ON t.oid = c.attrelid JOIN tds.schemas s ON s.oid = t.relnamespace;

CREATE OR REPLACE VIEW "tds/sys".indexes AS
  SELECT i.indrelid::int8::int4 AS object_id, i.name, i.ordinal AS index_id, CASE WHEN i.clustered THEN 1 ELSE 2 END::int2 AS type,
    CASE WHEN i.clustered THEN 'CLUSTERED' ELSE 'NONCLUSTERED' END AS type_desc, i.indisunique::int::int2 AS is_unique,
    (i.kind = 'primary')::int::int2 AS is_primary_key, (i.kind = 'constraint')::int::int2 AS is_unique_constraint,
    0::int2 AS is_disabled, 0::int2 AS is_hypothetical, i.filtered::int::int2 AS has_filter, 0::int2 AS ignore_dup_key
  FROM tds.indexes i JOIN pg_catalog.pg_class t ON t.oid = i.indrelid JOIN tds.schemas s ON s.oid = t.relnamespace;

CREATE OR REPLACE VIEW "tds/sys".index_columns AS
  SELECT i.indrelid::int8::int4 AS object_id, i.ordinal AS index_id, k.o::int4 AS index_column_id, c.attnum::int4 AS column_id,
    CASE WHEN left(k.line, 1) = '*' THEN 0 ELSE k.o END::int2 AS key_ordinal,
    (left(k.line, 1) = '-')::int::int2 AS is_descending_key, (left(k.line, 1) = '*')::int::int2 AS is_included_column
  FROM tds.indexes i JOIN pg_catalog.pg_class t ON t.oid = i.indrelid JOIN tds.schemas s ON s.oid = t.relnamespace
  CROSS JOIN LATERAL unnest(string_to_array(rtrim(substring(i.description FROM E'\n(.*)$'), E'\n'), E'\n')) WITH ORDINALITY k(line, o)
  JOIN tds.columns c ON c.attrelid = i.indrelid AND lower(c.attname) = lower(substr(k.line, 2));

CREATE OR REPLACE VIEW "tds/sys".extended_properties AS
  SELECT 1::int2 AS class, 'OBJECT_OR_COLUMN'::text AS class_desc, p.major::int8::int4 AS major_id, p.minor AS minor_id, p.name, p.value
  FROM tds.properties p JOIN pg_catalog.pg_class t ON t.oid = p.major JOIN tds.schemas s ON s.oid = t.relnamespace;

CREATE OR REPLACE VIEW "tds/INFORMATION_SCHEMA"."TABLES" AS
  SELECT current_setting('tds.database') AS "TABLE_CATALOG", s.name AS "TABLE_SCHEMA", c.relname::text AS "TABLE_NAME",
    CASE c.relkind WHEN 'r' THEN 'BASE TABLE' ELSE 'VIEW' END AS "TABLE_TYPE"
  FROM pg_catalog.pg_class c JOIN tds.schemas s ON s.oid = c.relnamespace WHERE c.relkind IN ('r', 'v');

CREATE OR REPLACE VIEW "tds/INFORMATION_SCHEMA"."COLUMNS" AS
  SELECT current_setting('tds.database') AS "TABLE_CATALOG", s.name AS "TABLE_SCHEMA", t.relname::text AS "TABLE_NAME",
    c.attname::text AS "COLUMN_NAME",
    (row_number() OVER (PARTITION BY t.oid ORDER BY c.attnum))::int4 AS "ORDINAL_POSITION",
    CASE WHEN c.attnotnull THEN 'NO' ELSE 'YES' END AS "IS_NULLABLE", c.base AS "DATA_TYPE",
    CASE WHEN c.base IN ('nvarchar','nchar','varchar','char','varbinary','binary')
      THEN CASE WHEN c.sizes[1] = 'max' THEN -1 ELSE c.sizes[1]::int END END AS "CHARACTER_MAXIMUM_LENGTH",
    CASE WHEN c.base IN ('tinyint','smallint','int','bigint','decimal','real','float') THEN tds.precision(c.base, c.sizes) END AS "NUMERIC_PRECISION",
    CASE WHEN c.base IN ('tinyint','smallint','int','bigint','decimal') THEN tds.scale(c.base, c.sizes)::int END AS "NUMERIC_SCALE",
    CASE WHEN c.base = 'date' THEN 0 WHEN c.base IN ('time','datetime2','datetimeoffset') THEN tds.scale(c.base, c.sizes) END::int2 AS "DATETIME_PRECISION",
    c.collation AS "COLLATION_NAME"
  FROM tds.columns c JOIN pg_catalog.pg_class t ON t.oid = c.attrelid JOIN tds.schemas s ON s.oid = t.relnamespace;

-- The types that T-SQL gives these columns.
DO $$
DECLARE v record;
BEGIN
  FOR v IN
    SELECT n.nspname, c.relname, a.attname, a.attnotnull,
      CASE WHEN a.attname ~ '^(is_|has_|ignore_)' THEN 'bit'
        WHEN a.attname IN ('precision', 'scale', 'system_type_id', 'key_ordinal', 'snapshot_isolation_state', 'state', 'compatibility_level', 'class', 'NUMERIC_PRECISION')
          OR a.attname = 'type' AND a.atttypid = 'int2'::regtype THEN 'tinyint'
        WHEN a.attname = 'type' THEN 'char(2) SQL_Latin1_General_CP1_CI_AS'
        WHEN a.attname = 'value' THEN 'nvarchar(max) SQL_Latin1_General_CP1_CI_AS'
        WHEN a.atttypid = 'int2'::regtype THEN 'smallint'
        WHEN a.atttypid = 'int4'::regtype THEN 'int'
        ELSE 'nvarchar(128) SQL_Latin1_General_CP1_CI_AS' END AS typ
    FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname IN ('tds/sys', 'tds/INFORMATION_SCHEMA') AND c.relkind = 'v' AND a.attnum > 0 AND NOT a.attisdropped
  LOOP
    EXECUTE format('COMMENT ON COLUMN %I.%I.%I IS %L', v.nspname, v.relname, v.attname, v.typ);
  END LOOP;
END $$;
