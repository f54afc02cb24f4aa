-- Removes rows whose value in another unique index changes; they are inserted again, so that two can swap it.
DELETE t
FROM {table} AS t
INNER JOIN {source} AS s ON {match}
WHERE {rows} AND NOT EXISTS (SELECT {uniques} INTERSECT SELECT {new_uniques});
