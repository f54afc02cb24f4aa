-- Functions that give PostgreSQL the behaviour of T-SQL where its own differs. An error of the server is raised with
-- SQLSTATE TSQLE and SQL Server's number in DETAIL.
CREATE SCHEMA IF NOT EXISTS tds;

CREATE OR REPLACE FUNCTION tds.raise(number int, message text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION USING ERRCODE = 'TSQLE', MESSAGE = message, DETAIL = number::text;
END $$;

-- The length of text in UTF-16 units.
CREATE OR REPLACE FUNCTION tds.units(s text) RETURNS int LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT CASE WHEN octet_length(s) = length(s) THEN length(s)
    ELSE length(s) + length(regexp_replace(s, '[^\U00010000-\U0010FFFF]', '', 'g')) END
$$;

-- The first n units of text.
CREATE OR REPLACE FUNCTION tds.cut_units(s text, n int) RETURNS text LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE k int := n;
BEGIN
  IF octet_length(s) <= n OR tds.units(s) <= n THEN RETURN s; END IF;
  WHILE tds.units(left(s, k)) > n LOOP k := k - 1; END LOOP;
  RETURN left(s, k);
END $$;

CREATE OR REPLACE FUNCTION tds.cut_bytes(s text, n int) RETURNS text LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE k int := n;
BEGIN
  IF octet_length(s) <= n THEN RETURN s; END IF;
  WHILE octet_length(left(s, k)) > n LOOP k := k - 1; END LOOP;
  RETURN left(s, k);
END $$;

-- Text that must fit into n units; trailing spaces are given up silently.
CREATE OR REPLACE FUNCTION tds.fit_units(s text, n int) RETURNS text LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
  IF octet_length(s) <= n OR s IS NULL OR tds.units(s) <= n THEN RETURN s; END IF;
  IF tds.units(rtrim(s, ' ')) > n THEN
    PERFORM tds.raise(2628, 'String or binary data would be truncated. Truncated value: ''' || tds.cut_units(s, n) || '''.');
  END IF;
  RETURN tds.cut_units(s, n);
END $$;

CREATE OR REPLACE FUNCTION tds.fit_bytes(s text, n int) RETURNS text LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
  IF octet_length(s) <= n OR s IS NULL THEN RETURN s; END IF;
  IF octet_length(rtrim(s, ' ')) > n THEN
    PERFORM tds.raise(2628, 'String or binary data would be truncated. Truncated value: ''' || tds.cut_bytes(s, n) || '''.');
  END IF;
  RETURN tds.cut_bytes(s, n);
END $$;

CREATE OR REPLACE FUNCTION tds.fit_binary(b bytea, n int) RETURNS bytea LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
  IF octet_length(b) <= n OR b IS NULL THEN RETURN b; END IF;
  IF octet_length(rtrim(b, '\x00')) > n THEN
    PERFORM tds.raise(2628, 'String or binary data would be truncated.');
  END IF;
  RETURN substr(b, 1, n);
END $$;

CREATE OR REPLACE FUNCTION tds.ascii(s text) RETURNS text LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
  IF octet_length(s) <> length(s) THEN
    PERFORM tds.raise(50700, 'the double does not implement text beyond ASCII in varchar without a UTF-8 collation');
  END IF;
  RETURN s;
END $$;

CREATE OR REPLACE FUNCTION tds.pad(s text, n int) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT s || repeat(' ', greatest(0, n - tds.units(s)))
$$;

CREATE OR REPLACE FUNCTION tds.pad_binary(b bytea, n int) RETURNS bytea LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT b || decode(repeat('00', greatest(0, n - octet_length(b))), 'hex')
$$;

CREATE OR REPLACE FUNCTION tds.pad_left(b bytea, n int) RETURNS bytea LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT decode(repeat('00', greatest(0, n - octet_length(b))), 'hex') || b
$$;

CREATE OR REPLACE FUNCTION tds.to_tinyint(n int8) RETURNS int2 LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
  IF n < 0 OR n > 255 THEN
    PERFORM tds.raise(220, 'Arithmetic overflow error for data type tinyint, value = ' || n || '.');
  END IF;
  RETURN n;
END $$;

CREATE OR REPLACE FUNCTION tds.to_smallint(n int8) RETURNS int2 LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
  IF n < -32768 OR n > 32767 THEN
    PERFORM tds.raise(220, 'Arithmetic overflow error for data type smallint, value = ' || n || '.');
  END IF;
  RETURN n;
END $$;

CREATE OR REPLACE FUNCTION tds.to_integer(s text, wanted text) RETURNS numeric LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE t text := btrim(s, ' ');
BEGIN
  IF t = '' THEN RETURN 0; END IF;
  IF wanted = 'bit' THEN
    IF lower(t) = 'true' THEN RETURN 1; END IF;
    IF lower(t) = 'false' THEN RETURN 0; END IF;
  END IF;
  IF t !~ '^[+-]?[0-9]+$' THEN
    PERFORM tds.raise(245, 'Conversion failed when converting the varchar value ''' || s || ''' to data type ' || wanted || '.');
  END IF;
  RETURN t::numeric;
END $$;

CREATE OR REPLACE FUNCTION tds.bytes_to_integer(b bytea) RETURNS int8 LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT ('x' || lpad(encode(substr(b, greatest(1, octet_length(b) - 7)), 'hex'), 16, '0'))::bit(64)::int8
$$;

CREATE OR REPLACE FUNCTION tds.to_numeric(s text) RETURNS numeric LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE t text := btrim(s, ' ');
BEGIN
  IF t !~ '^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)$' THEN
    PERFORM tds.raise(8114, 'Error converting data type nvarchar to numeric.');
  END IF;
  RETURN t::numeric;
END $$;

CREATE OR REPLACE FUNCTION tds.to_float(s text) RETURNS float8 LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE t text := btrim(s, ' ');
BEGIN
  IF t !~ '^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$' THEN
    PERFORM tds.raise(8114, 'Error converting data type nvarchar to float.');
  END IF;
  RETURN t::float8;
END $$;

CREATE OR REPLACE FUNCTION tds.number_to_text(s text, n int) RETURNS text LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
  IF length(s) > n THEN
    PERFORM tds.raise(8115, 'Arithmetic overflow error converting expression to data type nvarchar.');
  END IF;
  RETURN s;
END $$;

CREATE OR REPLACE FUNCTION tds.to_guid(s text) RETURNS uuid LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
  IF btrim(s, '{}') !~* '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$' THEN
    PERFORM tds.raise(8169, 'Conversion failed when converting from a character string to uniqueidentifier.');
  END IF;
  RETURN btrim(s, '{}')::uuid;
END $$;

-- ISO dates and times alone; PostgreSQL reads more than SQL Server does.
CREATE OR REPLACE FUNCTION tds.iso(s text, pattern text) RETURNS text LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE t text := btrim(s, ' ');
BEGIN
  IF t !~ ('^' || pattern || '$') OR t LIKE '0000-%' THEN
    PERFORM tds.raise(241, 'Conversion failed when converting date and/or time from character string.');
  END IF;
  IF t ~ '\.[0-9]{6}[1-9]' THEN
    PERFORM tds.raise(50700, 'the double does not implement a seventh fractional digit of a second: ' || t);
  END IF;
  RETURN t;
END $$;

CREATE OR REPLACE FUNCTION tds.to_date(s text) RETURNS date LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
BEGIN
  RETURN left(tds.iso(s, '[0-9]{4}-[0-9]{2}-[0-9]{2}([ T][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,7})?)?)?'), 10)::date;
EXCEPTION WHEN datetime_field_overflow OR invalid_datetime_format THEN
  PERFORM tds.raise(241, 'Conversion failed when converting date and/or time from character string.');
END $$;

CREATE OR REPLACE FUNCTION tds.to_time(s text) RETURNS time LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
BEGIN
  RETURN tds.iso(s, '([01][0-9]|2[0-3]):[0-9]{2}(:[0-5][0-9](\.[0-9]{1,7})?)?')::time;
EXCEPTION WHEN datetime_field_overflow OR invalid_datetime_format THEN
  PERFORM tds.raise(241, 'Conversion failed when converting date and/or time from character string.');
END $$;

CREATE OR REPLACE FUNCTION tds.to_datetime2(s text) RETURNS timestamp LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
BEGIN
  RETURN tds.iso(s, '[0-9]{4}-[0-9]{2}-[0-9]{2}([ T]([01][0-9]|2[0-3]):[0-9]{2}(:[0-5][0-9](\.[0-9]{1,7})?)?)?')::timestamp;
EXCEPTION WHEN datetime_field_overflow OR invalid_datetime_format THEN
  PERFORM tds.raise(241, 'Conversion failed when converting date and/or time from character string.');
END $$;

CREATE OR REPLACE FUNCTION tds.to_datetimeoffset(s text) RETURNS timestamptz LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
DECLARE t text;
BEGIN
  t := tds.iso(s, '[0-9]{4}-[0-9]{2}-[0-9]{2}([ T]([01][0-9]|2[0-3]):[0-9]{2}(:[0-5][0-9](\.[0-9]{1,7})?)?)?( ?[+-][0-9]{2}:[0-9]{2}|Z)?');
  IF t ~ '[+-][0-9]{2}:[0-9]{2}$' AND right(t, 5) <> '00:00' THEN
    PERFORM tds.raise(50700, 'the double does not implement an offset other than +00:00: ' || t);
  END IF;
  RETURN regexp_replace(t, ' ?[+-]00:00$|Z$', '')::timestamp AT TIME ZONE 'UTC';
EXCEPTION WHEN datetime_field_overflow OR invalid_datetime_format THEN
  PERFORM tds.raise(241, 'Conversion failed when converting date and/or time from character string.');
END $$;

-- The bytes of nvarchar: UTF-16, the low byte first. U+FFFF stands for U+0000.
CREATE OR REPLACE FUNCTION tds.utf16(s text) RETURNS bytea LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
  hex text := '';
  c int;
BEGIN
  IF s IS NULL THEN RETURN NULL; END IF;
  FOR i IN 1..length(s) LOOP
    c := ascii(substr(s, i, 1));
    IF c = 65535 THEN c := 0; END IF;
    IF c < 65536 THEN
      hex := hex || lpad(to_hex(c & 255), 2, '0') || lpad(to_hex(c >> 8), 2, '0');
    ELSE
      c := c - 65536;
      hex := hex || lpad(to_hex(c >> 10 & 255), 2, '0') || to_hex(216 + (c >> 18))
        || lpad(to_hex(c & 255), 2, '0') || to_hex(220 + (c >> 8 & 3));
    END IF;
  END LOOP;
  RETURN decode(hex, 'hex');
END $$;

CREATE OR REPLACE FUNCTION tds.from_utf16(b bytea) RETURNS text LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
  s text := '';
  c int;
  low int;
  i int := 0;
BEGIN
  IF b IS NULL THEN RETURN NULL; END IF;
  WHILE i + 1 < octet_length(b) LOOP
    c := get_byte(b, i) + 256 * get_byte(b, i + 1);
    i := i + 2;
    IF c = 0 THEN c := 65535;
    ELSIF c BETWEEN 55296 AND 56319 AND i + 1 < octet_length(b) THEN
      low := get_byte(b, i) + 256 * get_byte(b, i + 1);
      IF low NOT BETWEEN 56320 AND 57343 THEN
        PERFORM tds.raise(50700, 'the double does not implement half a surrogate pair');
      END IF;
      c := 65536 + (c - 55296) * 1024 + (low - 56320);
      i := i + 2;
    ELSIF c BETWEEN 55296 AND 57343 THEN
      PERFORM tds.raise(50700, 'the double does not implement half a surrogate pair');
    END IF;
    s := s || chr(c);
  END LOOP;
  RETURN s;
END $$;

CREATE OR REPLACE FUNCTION tds.from_ascii(b bytea) RETURNS text LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
  FOR i IN 0..octet_length(b) - 1 LOOP
    IF get_byte(b, i) = 0 OR get_byte(b, i) > 126 THEN
      PERFORM tds.raise(50700, 'the double does not implement the conversion of bytes beyond ASCII to varchar');
    END IF;
  END LOOP;
  RETURN convert_from(b, 'UTF8');
END $$;

CREATE OR REPLACE FUNCTION tds.unhex(s text, style int) RETURNS bytea LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE t text := s;
BEGIN
  IF style = 1 THEN
    IF left(t, 2) <> '0x' THEN PERFORM tds.raise(8114, 'Error converting data type varchar to varbinary.'); END IF;
    t := substr(t, 3);
  END IF;
  IF length(t) % 2 <> 0 OR t !~* '^[0-9a-f]*$' THEN
    PERFORM tds.raise(8114, 'Error converting data type varchar to varbinary.');
  END IF;
  RETURN decode(t, 'hex');
END $$;

-- SUBSTRING by characters. Beyond the basic plane SQL Server counts units, which would cut characters apart.
CREATE OR REPLACE FUNCTION tds.substring(s text, start int, n int) RETURNS text LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
  IF n < 0 THEN PERFORM tds.raise(537, 'Invalid length parameter passed to the LEFT or SUBSTRING function.'); END IF;
  IF tds.units(s) <> length(s) THEN
    PERFORM tds.raise(50700, 'the double does not implement SUBSTRING of characters beyond the basic plane');
  END IF;
  RETURN substr(s, start, n);
END $$;

-- What STRING_AGG may return when its values are not (max).
CREATE OR REPLACE FUNCTION tds.aggregated(s text, n int) RETURNS text LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
  IF tds.units(s) > n THEN
    PERFORM tds.raise(9829, 'STRING_AGG aggregation result exceeded the limit of 8000 bytes. Use LOB types to avoid result truncation.');
  END IF;
  RETURN s;
END $$;
