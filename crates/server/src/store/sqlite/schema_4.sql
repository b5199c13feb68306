-- Version 4: the bytes of small bodies, which several parts may share as they share blobs; the MD5 of what a sequential upload
-- has so far.

ALTER TABLE upload ADD COLUMN md5 BLOB;

CREATE TABLE small (
  small INTEGER PRIMARY KEY,
  bytes BLOB NOT NULL
) STRICT;

-- A part is a blob or a small body.
CREATE TABLE part_4 (
  manifest    INTEGER NOT NULL REFERENCES manifest,
  number      INTEGER NOT NULL CHECK (number BETWEEN 1 AND 10000 OR number > 1000000),
  blob        TEXT,
  small       INTEGER,
  length      INTEGER NOT NULL CHECK (length >= 0),
  md5         BLOB    NOT NULL CHECK (length(md5) = 16),
  crc64       INTEGER NOT NULL,
  modified_ms INTEGER NOT NULL,
  PRIMARY KEY (manifest, number),
  CHECK ((blob IS NULL) <> (small IS NULL))
) STRICT, WITHOUT ROWID;
INSERT INTO part_4
SELECT manifest, number, blob, NULL, length, md5, crc64, modified_ms FROM part;
DROP TABLE part;
ALTER TABLE part_4 RENAME TO part;
CREATE INDEX part_blob ON part (blob) WHERE blob IS NOT NULL;
CREATE INDEX part_small ON part (small) WHERE small IS NOT NULL;

-- A small body goes with the last row that has it, whatever takes that away.
CREATE TRIGGER part_gone AFTER DELETE ON part WHEN OLD.small IS NOT NULL BEGIN
  DELETE FROM small
  WHERE small = OLD.small AND NOT EXISTS (SELECT 1 FROM part WHERE part.small = OLD.small);
END;
