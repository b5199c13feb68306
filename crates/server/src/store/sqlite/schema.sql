-- Version 1. Times are milliseconds since 1970; a CRC64 is kept as the signed integer of the same bits.

CREATE TABLE bucket (
  bucket     TEXT NOT NULL PRIMARY KEY,
  created_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- A list of blobs. An upload owns one and fills it with parts; Complete hands it over to the object,
-- so the rows of the parts stay where they are.
CREATE TABLE manifest (
  manifest INTEGER PRIMARY KEY AUTOINCREMENT
) STRICT;

CREATE TABLE part (
  manifest    INTEGER NOT NULL REFERENCES manifest,
  number      INTEGER NOT NULL CHECK (number BETWEEN 1 AND 10000),
  blob        TEXT    NOT NULL,
  length      INTEGER NOT NULL CHECK (length >= 0),
  md5         BLOB    NOT NULL CHECK (length(md5) = 16),
  crc64       INTEGER NOT NULL,
  modified_ms INTEGER NOT NULL,
  PRIMARY KEY (manifest, number)
) STRICT, WITHOUT ROWID;

-- A blob has one name at most.
CREATE UNIQUE INDEX part_blob ON part (blob);

CREATE TABLE object (
  bucket      TEXT    NOT NULL REFERENCES bucket,
  key         TEXT    NOT NULL,
  manifest    INTEGER NOT NULL UNIQUE REFERENCES manifest,
  etag        TEXT    NOT NULL,
  length      INTEGER NOT NULL,
  crc64       INTEGER NOT NULL,
  md5         BLOB,
  modified_ms INTEGER NOT NULL,
  headers     TEXT    NOT NULL, -- JSON: [[name, value], …]
  PRIMARY KEY (bucket, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE upload (
  upload_id    TEXT    NOT NULL PRIMARY KEY,
  bucket       TEXT    NOT NULL REFERENCES bucket,
  key          TEXT    NOT NULL,
  manifest     INTEGER NOT NULL UNIQUE REFERENCES manifest,
  initiated_ms INTEGER NOT NULL,
  headers      TEXT    NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX upload_initiated ON upload (initiated_ms);

-- Answers of Complete, for those who did not hear them.
CREATE TABLE completion (
  upload_id    TEXT    NOT NULL PRIMARY KEY,
  bucket       TEXT    NOT NULL,
  key          TEXT    NOT NULL,
  parts_sha256 BLOB    NOT NULL,
  etag         TEXT    NOT NULL,
  length       INTEGER NOT NULL,
  crc64        INTEGER NOT NULL,
  completed_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX completion_completed ON completion (completed_ms);

-- Blobs to be deleted. The file goes first, the row after it.
CREATE TABLE garbage (
  blob     TEXT    NOT NULL PRIMARY KEY,
  since_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX garbage_since ON garbage (since_ms);

CREATE TABLE video (
  video_id    TEXT    NOT NULL PRIMARY KEY,
  bucket      TEXT    NOT NULL REFERENCES bucket,
  key         TEXT    NOT NULL,
  status      TEXT    NOT NULL,
  title       TEXT    NOT NULL,
  file_name   TEXT    NOT NULL,
  size        INTEGER NOT NULL,
  description TEXT    NOT NULL,
  tags        TEXT    NOT NULL,
  cover_url   TEXT    NOT NULL,
  cate_id     INTEGER,
  user_data   TEXT    NOT NULL,
  created_ms  INTEGER NOT NULL,
  modified_ms INTEGER NOT NULL,
  UNIQUE (bucket, key)
) STRICT, WITHOUT ROWID;
