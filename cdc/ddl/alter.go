package ddl

import (
	"github.com/pingcap/tidb/pkg/parser/ast"

	"github.com/etlsandbox/cdc/schemas/change"
)

func alter(n *ast.AlterTableStmt, db string) []Change {
	table := id(n.Table, db)
	var all []Change
	for _, spec := range n.Specs {
		for _, c := range alterSpec(spec, db) {
			// The partner of EXCHANGE PARTITION comes with a name of its own.
			if c.Table == (change.TableID{}) {
				c.Table = table
			}
			// One statement, one new shape.
			if n := len(all); n > 0 && c.Action == AddColumns && all[n-1].Action == AddColumns {
				all[n-1].Columns = append(all[n-1].Columns, c.Columns...)
				continue
			}
			all = append(all, c)
		}
	}
	return all
}

func alterSpec(s *ast.AlterTableSpec, db string) []Change {
	switch s.Tp {
	case ast.AlterTableAddColumns:
		return addColumns(s)
	case ast.AlterTableAddConstraint, ast.AlterTableDropPrimaryKey, ast.AlterTableDropIndex, ast.AlterTableDropForeignKey:
		return []Change{{Action: Keys, What: "ALTER TABLE … ADD or DROP a key"}}
	case ast.AlterTableDropColumn:
		return []Change{{Action: Reshape, Columns: []Column{{Name: s.OldColumnName.Name.O}}, What: "DROP COLUMN"}}
	case ast.AlterTableModifyColumn:
		return []Change{{Action: Reshape, Columns: named(s.NewColumns), What: "MODIFY COLUMN"}}
	case ast.AlterTableChangeColumn:
		return []Change{{Action: Reshape, Columns: append(named(s.NewColumns), Column{Name: s.OldColumnName.Name.O}), What: "CHANGE COLUMN"}}
	case ast.AlterTableRenameColumn:
		return []Change{{Action: Reshape, Columns: []Column{{Name: s.OldColumnName.Name.O}, {Name: s.NewColumnName.Name.O}}, What: "RENAME COLUMN"}}
	case ast.AlterTableRenameTable:
		return []Change{{Action: Rename, To: id(s.NewTable, db), What: "ALTER TABLE … RENAME"}}
	case ast.AlterTableOption:
		for _, o := range s.Options {
			if o.Tp == ast.TableOptionCharset && o.UintValue == ast.TableOptionCharsetWithConvertTo {
				return []Change{{Action: Reshape, What: "CONVERT TO CHARACTER SET"}}
			}
		}
	case ast.AlterTableCoalescePartitions, ast.AlterTableAlterColumn, ast.AlterTableLock, ast.AlterTableAlgorithm,
		ast.AlterTableWriteable, ast.AlterTableRenameIndex, ast.AlterTableForce, ast.AlterTableAddPartitions,
		ast.AlterTablePartitionAttributes, ast.AlterTablePartitionOptions, ast.AlterTablePartition,
		ast.AlterTableEnableKeys, ast.AlterTableDisableKeys, ast.AlterTableRemovePartitioning,
		ast.AlterTableWithValidation, ast.AlterTableWithoutValidation, ast.AlterTableSecondaryLoad,
		ast.AlterTableSecondaryUnload, ast.AlterTableRebuildPartition, ast.AlterTableReorganizePartition,
		ast.AlterTableCheckPartitions, ast.AlterTableOptimizePartition, ast.AlterTableAlterCheck,
		ast.AlterTableDropCheck, ast.AlterTableIndexInvisible, ast.AlterTableOrderByColumns, ast.AlterTableAttributes,
		ast.AlterTableCache, ast.AlterTableNoCache, ast.AlterTableStatsOptions:
		return nil
	case ast.AlterTableDropPartition, ast.AlterTableDropFirstPartition:
		return []Change{{Action: Rows, What: "DROP PARTITION"}}
	case ast.AlterTableTruncatePartition:
		return []Change{{Action: Rows, What: "TRUNCATE PARTITION"}}
	case ast.AlterTableExchangePartition:
		other := Change{Action: Rows, What: "EXCHANGE PARTITION"}
		if s.NewTable != nil {
			return []Change{other, {Action: Rows, What: "EXCHANGE PARTITION", Table: id(s.NewTable, db)}}
		}
		return []Change{other}
	case ast.AlterTableImportTablespace, ast.AlterTableDiscardTablespace, ast.AlterTableImportPartitionTablespace,
		ast.AlterTableDiscardPartitionTablespace, ast.AlterTableRepairPartition:
		return []Change{{Action: Rows, What: "IMPORT or DISCARD TABLESPACE"}}
	default:
		return []Change{{Action: Reshape, What: "an ALTER TABLE that this build does not know"}}
	}
	return nil
}

func named(defs []*ast.ColumnDef) []Column {
	cs := make([]Column, len(defs))
	for i, d := range defs {
		cs[i].Name = d.Name.Name.O
	}
	return cs
}

func addColumns(s *ast.AlterTableSpec) []Change {
	add := Change{Action: AddColumns, What: "ADD COLUMN"}
	keys := len(s.NewConstraints) > 0
	for _, d := range s.NewColumns {
		c := Column{Name: d.Name.Name.O, Filled: filled(d)}
		if s.Position != nil {
			c.First = s.Position.Tp == ast.ColumnPositionFirst
			if s.Position.Tp == ast.ColumnPositionAfter {
				c.After = s.Position.RelativeColumn.Name.O
			}
		}
		for _, o := range d.Options {
			keys = keys || o.Tp == ast.ColumnOptionPrimaryKey || o.Tp == ast.ColumnOptionUniqKey || o.Tp == ast.ColumnOptionReference
		}
		add.Columns = append(add.Columns, c)
	}
	if keys {
		return []Change{add, {Action: Keys, What: "ADD COLUMN with a key"}}
	}
	return []Change{add}
}

// filled reports whether existing rows get a value other than NULL in the new column: unless it may be
// NULL and has no default, or DEFAULT NULL.
func filled(d *ast.ColumnDef) bool {
	for _, o := range d.Options {
		switch o.Tp {
		case ast.ColumnOptionNotNull, ast.ColumnOptionPrimaryKey, ast.ColumnOptionAutoIncrement, ast.ColumnOptionGenerated:
			return true
		case ast.ColumnOptionDefaultValue:
			if v, ok := o.Expr.(ast.ValueExpr); !ok || v.GetValue() != nil {
				return true
			}
		}
	}
	return false
}
