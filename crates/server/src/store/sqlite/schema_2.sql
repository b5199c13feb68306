-- Version 2: what is kept of buckets beside their names; blobs that several objects share; objects that grow.

ALTER TABLE bucket ADD COLUMN owner         TEXT NOT NULL DEFAULT 'main';
ALTER TABLE bucket ADD COLUMN acl           TEXT NOT NULL DEFAULT 'private';
ALTER TABLE bucket ADD COLUMN storage_class TEXT NOT NULL DEFAULT 'Standard';

CREATE TABLE bucket_document (
  bucket   TEXT NOT NULL REFERENCES bucket,
  kind     TEXT NOT NULL,
  document TEXT NOT NULL,
  PRIMARY KEY (bucket, kind)
) STRICT, WITHOUT ROWID;

ALTER TABLE object ADD COLUMN appendable INTEGER NOT NULL DEFAULT 0;
ALTER TABLE upload ADD COLUMN sequential INTEGER NOT NULL DEFAULT 0;

CREATE INDEX upload_key ON upload (bucket, key, upload_id);

-- A copy names the blobs of its original. The parts of an object that grows count from 1,000,001 on, as it may be
-- appended to more often than an upload may have parts.
CREATE TABLE part_2 (
  manifest    INTEGER NOT NULL REFERENCES manifest,
  number      INTEGER NOT NULL CHECK (number BETWEEN 1 AND 10000 OR number > 1000000),
  blob        TEXT    NOT NULL,
  length      INTEGER NOT NULL CHECK (length >= 0),
  md5         BLOB    NOT NULL CHECK (length(md5) = 16),
  crc64       INTEGER NOT NULL,
  modified_ms INTEGER NOT NULL,
  PRIMARY KEY (manifest, number)
) STRICT, WITHOUT ROWID;
INSERT INTO part_2 SELECT manifest, number, blob, length, md5, crc64, modified_ms FROM part;
DROP TABLE part;
ALTER TABLE part_2 RENAME TO part;
CREATE INDEX part_blob ON part (blob);
