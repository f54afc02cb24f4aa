-- Writes down a version.
INSERT INTO {migrations} ([version_id], [statement])
VALUES (@p1, @p2);
