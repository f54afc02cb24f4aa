-- The rows of one table in a small batch. A variable has no statistics, whose changes would have the statements that
-- read it compiled anew, and nothing to empty afterwards.
DECLARE {inbox} TABLE (
    {columns}
);
INSERT INTO {inbox} ({names})
VALUES
    {values};
