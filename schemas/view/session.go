package view

// The settings of a session under which a server answers a view's SQL exactly as a Plan does.
const (
	sessionCollation = "utf8mb4_bin"
	divIncrement     = 4 // digits that a division adds to its scale
)

// Session returns the statements that fix a session of a MySQL or MariaDB server to the semantics that
// plans have. They work on MySQL 5.7 and later and on MariaDB 10.5 and later.
func Session() []string {
	return []string{
		"SET NAMES utf8mb4 COLLATE " + sessionCollation,
		"SET SESSION time_zone = '+00:00'",
		"SET SESSION sql_mode = 'NO_ENGINE_SUBSTITUTION'",
		"SET SESSION div_precision_increment = 4",
		"SET SESSION default_week_format = 0",
		"SET SESSION lc_time_names = 'en_US'",
		"SET SESSION sql_auto_is_null = 0",
		"SET SESSION group_concat_max_len = 1048576",
		"SET SESSION sql_select_limit = DEFAULT",
	}
}
