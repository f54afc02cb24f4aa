package sample

import (
	"context"
	"database/sql"
	_ "embed" // the schema and the view are data, not code
	"fmt"
	"strings"
	"time"
)

//go:embed warehouse.sql
var warehouseDDL string

//go:embed stock_sheet.sql
var stockSheet string

// WarehouseLedger is how many bins make up the warehouse's ledger: the slots 1 to
// WarehouseLedger of site AA/1, which hold no part, so each is in the view once as long
// as it is not empty. Loads move quantities between them and do nothing else to them.
const WarehouseLedger = 32

// WarehouseView is the text of the warehouse's view file, StockSheet. Its output key is
// (Region, SiteCode, Slot, Supplier, Since); the last two are NULL where a left join
// finds nothing.
func WarehouseView() string { return stockSheet }

// WarehouseSelect is the view's SELECT on one line, without a semicolon.
func WarehouseSelect() string { return selectOf(stockSheet) }

// WarehouseSource is the view as the table expression that WarehouseDigest takes on the
// source's side.
func WarehouseSource() string { return "(" + WarehouseSelect() + ") AS v" }

// WarehouseDigest is FlatDigest for StockSheet; the sum is that of Quantity.
func WarehouseDigest(d Dialect, from, where string) string {
	columns := []digestColumn{
		{"Region", digestText}, {"SiteCode", digestInteger}, {"Slot", digestInteger}, {"SiteLabel", digestText}, {"PartNo", digestText},
		{"PartLabel", digestText}, {"AssemblyLabel", digestText}, {"Quantity", digestInteger}, {"CountedAt", digestTime},
		{"Supplier", digestBytes}, {"Since", digestTime}, {"Price", digestPrice},
	}
	return digestSQL(d, columns, "Quantity", from, where)
}

// WarehouseLedgerSum is a statement that answers with the total quantity of the ledger's
// bins, from the view's rows. It never changes while any warehouse load runs.
func WarehouseLedgerSum(d Dialect, from, where string) string {
	cond := fmt.Sprintf("%s = 'AA' AND %s = 1 AND %s BETWEEN 1 AND %d",
		quoteColumn(d, "Region"), quoteColumn(d, "SiteCode"), quoteColumn(d, "Slot"), WarehouseLedger)
	if where != "" {
		cond = "(" + where + ") AND " + cond
	}
	return fmt.Sprintf("SELECT COALESCE(SUM(%s), 0) FROM %s WHERE %s", quoteColumn(d, "Quantity"), from, cond)
}

// CreateWarehouse is Create for the warehouse sample.
func CreateWarehouse(ctx context.Context, db *sql.DB, schema string) error {
	return create(ctx, db, schema, warehouseDDL)
}

// SeedWarehouse is Seed for the warehouse sample. At scale 1 it has about 8,000 bins.
func SeedWarehouse(ctx context.Context, db *sql.DB, schema string, o Options) error {
	s, err := newStock(o)
	if err != nil {
		return fmt.Errorf("seed %s: %w", schema, err)
	}
	return fill(ctx, db, schema, s.tables(), o.Progress)
}

// NewWarehouseLoad prepares a load on a schema of CreateWarehouse that SeedWarehouse
// filled. In mode KeepSum it does what TransfersOnly does, and renames.
func NewWarehouseLoad(db *sql.DB, schema string, o LoadOptions) *Load {
	return newLoad(db, schema, o, warehouseKinds(o.Mode))
}

const (
	siteCodes   = 10   // of each region; bins exist at code 11 as well, where no site is
	minSlots    = 40   // room for the ledger
	slotsPer    = 133  // of each site, at scale 1
	partsPer    = 2000 // at scale 1
	maxQuantity = "18446744073709551615"
)

func regions() []string { return []string{"AA", "BB", "cc", "Dd", "ÄÖ", "北京"} }

func suppliers() [][]byte {
	return [][]byte{{0}, {0, 0}, {0xff}, {0x7f, 0x80}, []byte("acme"), []byte("ACME"), {0xc3, 0x28}, []byte("12345678")}
}

// stock is the warehouse of one seed and scale.
type stock struct {
	seed         int64
	slots, parts int
}

func newStock(o Options) (stock, error) {
	scale := o.Scale
	if scale == 0 {
		scale = 1
	}
	if scale < 0 || scale > 10_000 {
		return stock{}, fmt.Errorf("scale %v is outside 0..10000", o.Scale)
	}
	return stock{o.Seed, max(int(slotsPer*scale), minSlots), max(int(partsPer*scale), 100)}, nil
}

func (s stock) dice(table string, row int) dice { return newDice(s.seed, table, row) }

// partNo is the key of part n: neighbours differ only in case, some are not ASCII.
func partNo(n int) string {
	switch {
	case n%7 == 0:
		return fmt.Sprintf("p%d", n-1)
	case n%11 == 0:
		return fmt.Sprintf("P%d-é日", n)
	}
	return fmt.Sprintf("P%d", n)
}

// somePart draws a part's key, one time in ten of a part that is not there, or NULL.
func (s stock) somePart(d *dice, nullPercent int) any {
	if d.percent(nullPercent) {
		return nil
	}
	return partNo(1 + d.below(s.parts+s.parts/10))
}

func someLabel(d *dice) string {
	if d.percent(20) {
		return pick(d, oddNames())
	}
	return fmt.Sprintf("%s %d", pick(d, titleWords()), d.below(1000))
}

func someQuantity(d *dice) string {
	switch d.below(20) {
	case 0:
		return maxQuantity
	case 1, 2:
		return "0"
	}
	return fmt.Sprint(1 + d.below(10_000))
}

func someTime(d *dice) any {
	if d.percent(10) {
		return nil
	}
	at := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(d.below(200_000_000)) * time.Second)
	return fmt.Sprintf("%s.%06d", at.Format(timeLayout), d.below(1_000_000))
}

func someDay(d *dice) string {
	return time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC).AddDate(0, 0, d.below(2000)).Format(time.DateOnly)
}

func somePrice(d *dice) string { return fmt.Sprintf("%d.%06d", d.below(1000), d.below(1_000_000)) }

func (s stock) tables() []tableRows {
	return []tableRows{s.siteRows(), s.partRows(), counted(s.binRows()), counted(s.offerRows())}
}

func (s stock) siteRows() tableRows {
	n := len(regions()) * siteCodes
	return tableRows{"site", []string{"region", "code", "label", "opened"}, n, numbered(n, func(i int) []any {
		d := s.dice("site", i)
		var opened any
		if !d.percent(20) {
			opened = someDay(&d)
		}
		return []any{regions()[(i-1)/siteCodes], 1 + (i-1)%siteCodes, someLabel(&d), opened}
	})}
}

func (s stock) partRows() tableRows {
	return tableRows{"part", []string{"part_no", "label", "parent_no", "weight", "state"}, s.parts, numbered(s.parts, func(i int) []any {
		d := s.dice("part", i)
		parent := s.somePart(&d, 40)
		if d.percent(3) {
			parent = partNo(i) // its own
		}
		var label, weight any
		if !d.percent(10) {
			label = someLabel(&d)
		}
		if !d.percent(30) {
			weight = fmt.Sprintf("%d.%04d", d.below(100), d.below(10_000))
		}
		return []any{partNo(i), label, parent, weight, pick(&d, []string{"new", "active", "retired"})}
	})}
}

func (s stock) binRows() tableRows {
	return tableRows{"bin", []string{"region", "code", "slot", "part_no", "quantity", "counted_at"}, 0, func(yield func([]any) bool) {
		row := 0
		for _, region := range regions() {
			for code := 1; code <= siteCodes+1; code++ {
				for slot := 1; slot <= s.slots; slot++ {
					row++
					d := s.dice("bin", row)
					values := []any{region, code, slot, s.somePart(&d, 10), someQuantity(&d), someTime(&d)}
					if region == "AA" && code == 1 && slot <= WarehouseLedger {
						values[3], values[4] = nil, 1000+d.below(1000)
					} else if code == siteCodes || d.percent(15) { // nothing at the last site
						continue
					}
					if !yield(values) {
						return
					}
				}
			}
		}
	}}
}

func (s stock) offerRows() tableRows {
	return tableRows{"offer", []string{"part_no", "supplier", "since", "price"}, 0, func(yield func([]any) bool) {
		for part := 1; part <= s.parts+s.parts/10; part++ {
			d := s.dice("offer", part)
			first := d.below(len(suppliers()))
			for k := range max(0, d.below(6)-2) { // none for half of the parts
				supplier := suppliers()[(first+k)%len(suppliers())]
				if !yield([]any{partNo(part), supplier, someDay(&d), somePrice(&d)}) {
					return
				}
			}
		}
	}}
}

// warehouseKinds is what a load on the warehouse does in a mode, with how often.
func warehouseKinds(m Mode) []kind {
	kinds := []kind{{"transfer", 10, moveQuantity}}
	if m == TransfersOnly {
		return kinds
	}
	kinds = append(kinds, kind{"rename site", 3, sized(renameSite)}, kind{"rename part", 6, sized(renamePart)})
	if m == KeepSum {
		return kinds
	}
	return append(kinds,
		kind{"put", 10, sized(put)}, kind{"put many", 2, sized(putMany)}, kind{"take away", 8, sized(takeAway)},
		kind{"recount", 10, sized(recount)}, kind{"restock", 10, sized(restock)}, kind{"move bin", 6, sized(moveBin)},
		kind{"close site", 1, sized(closeSite)}, kind{"open site", 6, sized(openSite)},
		kind{"reparent part", 5, sized(reparent)}, kind{"delete part", 3, sized(deletePart)},
		kind{"new part", 5, sized(newPart)}, kind{"move part key", 3, sized(movePart)},
		kind{"offer", 8, sized(makeOffer)}, kind{"withdraw offers", 4, sized(withdrawOffers)},
		kind{"change prices", 5, sized(changePrices)}, kind{"move offer", 3, sized(moveOffer)},
		kind{"rollback", 2, sized(rollbackStock)}, kind{"savepoint", 2, sized(savepointStock)})
}

// questionMarks is a list of n placeholders.
func questionMarks(n int) string { return strings.TrimSuffix(strings.Repeat("?, ", n), ", ") }
