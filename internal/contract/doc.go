// Package contract checks rows against data contracts before a destination gets them: a JSON Schema for the
// row of a table or view, and CEL rules for single columns. It acts at the sink and never before the join, so
// that what one contract withholds is listed at that destination and nothing else changes.
//
// A contract is one JSON file:
//
//	{
//	  "version": 1,
//	  "stream": "OpenOrders",
//	  "action": "quarantine",
//	  "schema": {"type": "object", "required": ["CustomerName"], "properties": {"CustomerName": {"minLength": 1}}},
//	  "rules": [{"name": "amount_not_negative", "column": "Amount", "expr": "value >= 0", "action": "warn"}]
//	}
//
// stream names a view, or a table as database.table. In the schema a row is an object of its columns: numbers
// (decimals too, exactly), texts, null; binary strings in base64, temporals as texts, JSON columns as what they
// hold, with numbers as doubles. In a rule value is the
// column and row the whole row; decimals are doubles there. A rule passes where its column is NULL, as a CHECK
// does; the schema can forbid NULL. Deletes are not checked.
package contract
