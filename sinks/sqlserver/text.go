package sqlserver

import (
	"embed"
	"fmt"
	"strings"
)

//go:embed sql/*.sql
var files embed.FS

// text names a file of sql/ that holds one T-SQL text. In it {name} stands for what differs from table to table:
// quoted names, lists of columns, conditions. Values travel as parameters, never in the text.
type text string

// The texts, by what they are for.
const (
	sessionSQL text = "session"

	beginSQL            text = "begin"
	commitSQL           text = "commit"
	rollbackSQL         text = "rollback"
	abortOnSQL          text = "abort_on"
	abortOffSQL         text = "abort_off"
	savepointSQL        text = "savepoint"
	rollbackToSQL       text = "rollback_to_savepoint"
	serverSQL           text = "server"
	grantsSQL           text = "grants"
	createProgressSQL   text = "create_progress"
	createQuarantineSQL text = "create_quarantine"
	formatVersionSQL    text = "format_version"

	takeSQL        text = "progress_take"
	fenceSQL       text = "progress_fence"
	writerSQL      text = "progress_writer"
	loadSQL        text = "progress_load"
	markSQL        text = "progress_mark"
	storeStateSQL  text = "progress_store_state"
	deleteStateSQL text = "progress_delete_state"
	shownSQL       text = "progress_shown"

	existsSQL       text = "exists"
	relationSQL     text = "catalog_table"
	columnsSQL      text = "catalog_columns"
	indexesSQL      text = "catalog_indexes"
	ownedSQL        text = "catalog_owned"
	leftSQL         text = "catalog_left"
	isEmptySQL      text = "is_empty"
	ownSQL          text = "own"
	disownSQL       text = "disown"
	createTableSQL  text = "create_table"
	dropTableSQL    text = "drop_table"
	truncateSQL     text = "truncate"
	addColumnsSQL   text = "add_columns"
	alterColumnSQL  text = "alter_column"
	createIndexSQL  text = "create_index"
	createUniqueSQL text = "create_unique_index"

	deleteSQL      text = "delete"
	softDeleteSQL  text = "soft_delete"
	deleteMovedSQL text = "delete_moved"
	updateSQL      text = "update"
	insertSQL      text = "insert"
	smallSQL       text = "small"
	smallRowsSQL   text = "small_rows"
	netSQL         text = "net"

	removeRangeSQL     text = "remove_where"
	softRemoveRangeSQL text = "soft_remove_where"
	candidatesSQL      text = "range_candidates"
	noteSQL            text = "note_keys"
	differenceSQL      text = "difference"

	refusedRowSQL      text = "refused_row"
	setAsideSQL        text = "set_aside"
	quarantineSQL      text = "quarantine"
	anyQuarantinedSQL  text = "quarantine_any"
	quarantinedKeysSQL text = "quarantine_keys"
	clearQuarantineSQL text = "quarantine_clear"
	forgetKeySQL       text = "quarantine_forget_key"
	forgetBeforeSQL    text = "quarantine_forget_before"
	forgetEntrySQL     text = "quarantine_forget_entry"

	planOwnSQL          text = "plan_own"
	planDisownSQL       text = "plan_disown"
	planWaitSQL         text = "plan_wait"
	migrationsExistSQL  text = "migrations_exist"
	createMigrationsSQL text = "migrations_create"
	latestMigrationSQL  text = "migrations_latest"
	insertMigrationSQL  text = "migrations_insert"
	listMigrationsSQL   text = "migrations_list"

	quarantineEntriesSQL text = "quarantine_entries"
	forgetStreamSQL      text = "forget_stream"
	countRowsSQL         text = "count_rows"
	snapshotSQL          text = "isolation_snapshot"
	repeatableReadSQL    text = "isolation_repeatable_read"
	snapshotAllowedSQL   text = "snapshot_allowed"
	readRowsSQL          text = "read_rows"
)

// with fills the places of a text: pairs of a place's name and what to put there. The file's comment is left out.
func (t text) with(pairs ...string) string {
	raw, err := files.ReadFile("sql/" + string(t) + ".sql")
	if err != nil {
		panic(fmt.Sprintf("the text %s is not embedded: %v", t, err)) // a constant of this file without its file
	}
	s := string(raw)
	for strings.HasPrefix(s, "--") {
		_, s, _ = strings.Cut(s, "\n")
	}
	places := make([]string, len(pairs))
	for i, p := range pairs {
		places[i] = p
		if i%2 == 0 {
			places[i] = "{" + p + "}"
		}
	}
	return strings.TrimSpace(strings.NewReplacer(places...).Replace(s))
}

// ident quotes a name of one or more parts.
func ident(parts ...string) string {
	quoted := make([]string, len(parts))
	for i, p := range parts {
		quoted[i] = "[" + strings.ReplaceAll(p, "]", "]]") + "]"
	}
	return strings.Join(quoted, ".")
}

// literal quotes text for statements that are written down before they run, and so have no parameters.
func literal(s string) string { return "N'" + strings.ReplaceAll(s, "'", "''") + "'" }
