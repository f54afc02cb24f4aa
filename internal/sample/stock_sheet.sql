-- StockSheet: what lies in every bin that is not empty, what it is part of and who
-- offers it at which price.
CREATE VIEW StockSheet AS
SELECT
  b.region      AS Region,
  b.code        AS SiteCode,
  b.slot        AS Slot,
  s.label       AS SiteLabel,
  p.part_no     AS PartNo,
  p.label       AS PartLabel,
  a.label       AS AssemblyLabel,
  b.quantity    AS Quantity,
  b.counted_at  AS CountedAt,
  o.supplier    AS Supplier,
  o.since       AS Since,
  o.price       AS Price
FROM bin b
JOIN site s       ON s.region = b.region AND s.code = b.code
LEFT JOIN part p  ON p.part_no = b.part_no
LEFT JOIN part a  ON a.part_no = p.parent_no
LEFT JOIN offer o ON o.part_no = p.part_no
WHERE b.quantity > 0;
