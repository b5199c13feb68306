-- Version 3: what more applications say about videos, images beside them, and the reports of uploaders.

ALTER TABLE video ADD COLUMN kind              TEXT NOT NULL DEFAULT 'video';
ALTER TABLE video ADD COLUMN template_group_id TEXT NOT NULL DEFAULT '';
ALTER TABLE video ADD COLUMN workflow_id       TEXT NOT NULL DEFAULT '';
ALTER TABLE video ADD COLUMN app_id            TEXT NOT NULL DEFAULT '';
ALTER TABLE video ADD COLUMN transcode_mode    TEXT NOT NULL DEFAULT '';
ALTER TABLE video ADD COLUMN image_type        TEXT NOT NULL DEFAULT '';

-- The newest so many: an older one goes when another comes.
CREATE TABLE report (
  report      INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  received_ms INTEGER NOT NULL,
  video_id    TEXT    NOT NULL,
  attempt     TEXT    NOT NULL,
  document    TEXT    NOT NULL
) STRICT;
