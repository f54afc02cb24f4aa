-- The warehouse sample: keys of several columns, of strings and of bytes, and no
-- foreign keys, so rows may refer to what is not there (yet, or any more).
-- The first table's comment is the mark by which cdc recognises its own schema.
-- Statements end with a semicolon at the end of a line.

CREATE TABLE IF NOT EXISTS site (
  region CHAR(2) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  code SMALLINT UNSIGNED NOT NULL,
  label VARCHAR(60) NOT NULL,
  opened DATE DEFAULT NULL,
  PRIMARY KEY (region, code)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci COMMENT='created by cdc seed';

CREATE TABLE IF NOT EXISTS part (
  part_no VARCHAR(24) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  label VARCHAR(80) DEFAULT NULL,
  parent_no VARCHAR(24) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT NULL,
  weight DECIMAL(12,4) DEFAULT NULL,
  state ENUM('new','active','retired') NOT NULL DEFAULT 'new',
  PRIMARY KEY (part_no),
  KEY parent (parent_no)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;

CREATE TABLE IF NOT EXISTS bin (
  region CHAR(2) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  code SMALLINT UNSIGNED NOT NULL,
  slot INT NOT NULL,
  part_no VARCHAR(24) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT NULL,
  quantity BIGINT UNSIGNED NOT NULL,
  counted_at DATETIME(6) DEFAULT NULL,
  PRIMARY KEY (region, code, slot),
  KEY part (part_no)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;

CREATE TABLE IF NOT EXISTS offer (
  part_no VARCHAR(24) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  supplier VARBINARY(8) NOT NULL,
  since DATE NOT NULL,
  price DECIMAL(18,6) NOT NULL,
  PRIMARY KEY (part_no, supplier, since)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;
