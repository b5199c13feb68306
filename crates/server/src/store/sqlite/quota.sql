-- What each tenant stores: its objects, its unfinished uploads with their parts, and the headers that are kept with
-- both. Of these the brackets around the list do not count, so that none are no bytes.
PRAGMA temp_store = MEMORY;

CREATE TEMP TABLE stored (
  tenant  TEXT    NOT NULL PRIMARY KEY,
  bytes   INTEGER NOT NULL,
  objects INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO stored
SELECT owner, sum(bytes), sum(objects) FROM (
  SELECT owner, 0 AS bytes, 0 AS objects FROM main.bucket
  UNION ALL
  SELECT owner, length + octet_length(headers) - 2, 1 FROM main.object JOIN main.bucket USING (bucket)
  UNION ALL
  SELECT owner, octet_length(headers) - 2, 0 FROM main.upload JOIN main.bucket USING (bucket)
  UNION ALL
  SELECT owner, part.length, 0
  FROM main.upload JOIN main.part USING (manifest) JOIN main.bucket ON bucket.bucket = upload.bucket
) GROUP BY owner;

CREATE TEMP TRIGGER stored_bucket AFTER INSERT ON main.bucket BEGIN
  INSERT OR IGNORE INTO stored VALUES (NEW.owner, 0, 0);
END;

CREATE TEMP TRIGGER stored_object AFTER INSERT ON main.object BEGIN
  UPDATE stored SET bytes = bytes + NEW.length + octet_length(NEW.headers) - 2, objects = objects + 1
  WHERE tenant = (SELECT owner FROM bucket WHERE bucket.bucket = NEW.bucket);
END;

CREATE TEMP TRIGGER stored_object_grown AFTER UPDATE OF length, headers ON main.object BEGIN
  UPDATE stored
  SET bytes = bytes + NEW.length - OLD.length + octet_length(NEW.headers) - octet_length(OLD.headers)
  WHERE tenant = (SELECT owner FROM bucket WHERE bucket.bucket = NEW.bucket);
END;

CREATE TEMP TRIGGER stored_object_gone AFTER DELETE ON main.object BEGIN
  UPDATE stored
  SET bytes = bytes - OLD.length - octet_length(OLD.headers) + 2, objects = objects - 1
  WHERE tenant = (SELECT owner FROM bucket WHERE bucket.bucket = OLD.bucket);
END;

-- Parts of objects belong to no upload: these change nothing here.
CREATE TEMP TRIGGER stored_part AFTER INSERT ON main.part BEGIN
  UPDATE stored SET bytes = bytes + NEW.length
  WHERE tenant = (SELECT owner FROM upload JOIN bucket ON bucket.bucket = upload.bucket
                  WHERE upload.manifest = NEW.manifest);
END;

CREATE TEMP TRIGGER stored_part_gone AFTER DELETE ON main.part BEGIN
  UPDATE stored SET bytes = bytes - OLD.length
  WHERE tenant = (SELECT owner FROM upload JOIN bucket ON bucket.bucket = upload.bucket
                  WHERE upload.manifest = OLD.manifest);
END;

CREATE TEMP TRIGGER stored_upload AFTER INSERT ON main.upload BEGIN
  UPDATE stored SET bytes = bytes + octet_length(NEW.headers) - 2
  WHERE tenant = (SELECT owner FROM bucket WHERE bucket.bucket = NEW.bucket);
END;

-- An upload goes before its parts do, or before they become those of an object.
CREATE TEMP TRIGGER stored_upload_gone AFTER DELETE ON main.upload BEGIN
  UPDATE stored
  SET bytes = bytes - octet_length(OLD.headers) + 2
    - (SELECT coalesce(sum(length), 0) FROM part WHERE manifest = OLD.manifest)
  WHERE tenant = (SELECT owner FROM bucket WHERE bucket.bucket = OLD.bucket);
END;
