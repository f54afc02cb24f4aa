// Package clickhouse delivers streams to ClickHouse 23.8 or later, over HTTP or the native protocol.
//
// # What is where
//
// Rows of a target named T lie in T_versions, a ReplacingMergeTree(cdc_version, cdc_deleted) sorted by the
// target's key. cdc_version is the Seq of the unit that a row comes from; the highest of a key counts. The view
// T shows it: SELECT ... FINAL, without what was deleted. cdc_progress and cdc_quarantine are tables of the same
// kind: read them with FINAL.
//
// Deleted rows stay as tombstones, with the values that they had, until somebody lets the table have merges with
// cleanup (setting allow_experimental_replacing_merge_with_cleanup) and runs OPTIMIZE TABLE T_versions FINAL
// CLEANUP. That is for moments when the sink is caught up: a tombstone is what an older block, should one still
// come, loses to.
//
// # How a batch is written
//
// There is no transaction. A Batch is its plan, its blocks, and the Mark, in this order:
//
//  1. the plan goes to cdc_progress: what the blocks of the batch are;
//  2. each table's rows go as one block, or as several of BlockRows each, under a deduplication token that names
//     the block; before each, the writer in cdc_progress is looked at;
//  3. the Mark and the states of all tables go to cdc_progress, as one block.
//
// The statements of 1 and 3 look at the writer themselves, and fail if it is another or the Mark is not where
// this process left it. So a batch of one block is three statements, each further block two, and a batch without
// rows one.
//
// A batch that was cut off is written again from its plan: blocks that are there are passed over by their
// tokens, and if they are remembered no more, the same rows under the same versions change nothing. A batch that
// does not fit into memory is netted in a table at the destination first.
//
// Each start of a sink begins a new term in cdc_progress. What a writer of an earlier term still writes there
// is not the newest; what it still writes to tables has versions that lose. Tables of one batch or cover have
// names that are never used again, so it cannot touch those of its successor either.
//
// # What a reader sees
//
// A batch with rows of one table that fit into one block (and one partition) appears in one moment. Several
// blocks or tables appear one after the other: while plan in cdc_progress is not empty, a reader may see a part
// of the batch, each row as before it or as after it. The same holds at the end of a heal that changes more than
// a million rows. It lasts until the batch is through, and, when the sink or the server dies, until the batch is
// written again. At all other times what is shown is the state of the source at cdc_progress.position.
//
// A query that must stand at one position looks at cdc_progress before and after, and counts if both looks say
// the same and plan is empty:
//
//	SELECT progress_id, seq, position, plan FROM cdc_progress FINAL WHERE stream = 'NAME' AND table_name = ''
//
// This is what Reader.Range does. A WHERE on cdc_version does not pin anything: merges drop old versions.
//
// # What is refused
//
// Values beyond what the column's type holds are poison, found before a block is sent: nothing is clamped,
// wrapped or rounded. DATE and DATETIME become Date32 and DateTime64(6), which hold 1900 to 2299. A CHECK
// constraint that refuses a row makes it poison, too.
//
// # Why the view uses FINAL
//
// argMax over GROUP BY gives the same rows. Over many keys FINAL, which merges sorted parts, is two to three times
// faster than argMax, which hashes all keys; for a single key it is the other way round, by milliseconds
// (BenchmarkView). And argMax would have to name each column, with NULLs that it passes over.
//
// The user needs SELECT, INSERT, CREATE TABLE, CREATE VIEW, DROP TABLE, DROP VIEW and ALTER TABLE on the
// databases it delivers to. Replicated engines and clusters are not set up here.
package clickhouse
