package tsql

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/etlsandbox/cdc/internal/testenv/tds/datatype"
)

// parser turns tokens into statements. After its first failure it sees the end of the text and nothing else, so
// that every loop over tokens must end there.
type parser struct {
	text   string
	tokens []token
	at     int
	err    error
	depth  int
}

// deepest is how far expressions and statements may nest; SQL Server stops at about the same.
const deepest = 200

// Parse parses a batch.
func Parse(text string) ([]Statement, error) {
	tokens, err := lex(text)
	if err != nil {
		return nil, err
	}
	p := &parser{text: text, tokens: tokens}
	out := p.statements()
	if p.err == nil && !p.atEnd() {
		p.unexpected("a statement")
	}
	return out, p.err
}

// ParseParameters parses the declarations of sp_executesql: "@a int, @b nvarchar(10) OUTPUT".
func ParseParameters(text string) ([]VariableDef, error) {
	tokens, err := lex(text)
	if err != nil {
		return nil, err
	}
	p := &parser{text: text, tokens: tokens}
	if p.atEnd() {
		return nil, nil
	}
	var out []VariableDef
	for {
		v := VariableDef{Name: p.variable()}
		v.Type = p.dataType()
		_ = p.accept("OUTPUT") || p.accept("OUT") // the call itself says whether the value goes back
		out = append(out, v)
		if !p.accept(",") {
			break
		}
	}
	if p.err == nil && !p.atEnd() {
		p.unexpected("a comma")
	}
	return out, p.err
}

func (p *parser) peek() token { return p.ahead(0) }

func (p *parser) ahead(n int) token {
	if p.err != nil || p.at+n >= len(p.tokens) {
		return token{kind: endToken}
	}
	return p.tokens[p.at+n]
}

func (p *parser) atEnd() bool { return p.peek().kind == endToken }

// next takes a token.
func (p *parser) next() token {
	t := p.peek()
	if t.kind != endToken {
		p.at++
	}
	return t
}

// is reports whether a token is that keyword or symbol.
func (t token) is(word string) bool {
	return (t.kind == wordToken || t.kind == symbolToken) && strings.EqualFold(t.text, word)
}

// sees reports whether the next tokens are these keywords and symbols.
func (p *parser) sees(words ...string) bool {
	for i, w := range words {
		if !p.ahead(i).is(w) {
			return false
		}
	}
	return true
}

// accept takes these keywords and symbols if they come next.
func (p *parser) accept(words ...string) bool {
	if !p.sees(words...) {
		return false
	}
	p.at += len(words)
	return true
}

// expect takes these keywords and symbols or fails.
func (p *parser) expect(words ...string) {
	for _, w := range words {
		if !p.accept(w) {
			p.unexpected(w)
		}
	}
}

// unexpected fails at the next token.
func (p *parser) unexpected(wanted string) { p.refuse(p.peek(), "%s is expected", wanted) }

// refuse fails at a token, unless something failed before.
func (p *parser) refuse(t token, format string, args ...any) {
	if p.err != nil {
		return
	}
	near := p.text[min(t.at, len(p.text)):min(t.end, len(p.text))]
	if t.kind == endToken {
		near = "the end"
		t.line = p.tokens[len(p.tokens)-1].line
	}
	p.err = &Error{Line: t.line, Near: near, Text: fmt.Sprintf(format, args...)}
}

// enter guards against nesting without end.
func (p *parser) enter() func() {
	if p.depth++; p.depth > deepest {
		p.refuse(p.peek(), "it nests deeper than %d", deepest)
	}
	return func() { p.depth-- }
}

// reserved are the keywords that cannot be names unless quoted: T-SQL's own, as far as a statement may meet them.
var reserved = wordSet(`ADD ALL ALTER AND ANY AS ASC AUTHORIZATION BACKUP BEGIN BETWEEN BREAK BROWSE BULK BY CASCADE CASE
 CHECK CHECKPOINT CLOSE CLUSTERED COALESCE COLLATE COLUMN COMMIT COMPUTE CONSTRAINT CONTAINS CONTAINSTABLE CONTINUE
 CONVERT CREATE CROSS CURRENT CURRENT_DATE CURRENT_TIME CURRENT_TIMESTAMP CURRENT_USER CURSOR DATABASE DBCC DEALLOCATE
 DECLARE DEFAULT DELETE DENY DESC DISK DISTINCT DISTRIBUTED DOUBLE DROP DUMP ELSE END ERRLVL ESCAPE EXCEPT EXEC EXECUTE
 EXISTS EXIT EXTERNAL FETCH FILE FILLFACTOR FOR FOREIGN FREETEXT FREETEXTTABLE FROM FULL FUNCTION GOTO GRANT GROUP
 HAVING HOLDLOCK IDENTITY IDENTITY_INSERT IDENTITYCOL IF IN INDEX INNER INSERT INTERSECT INTO IS JOIN KEY KILL LEFT LIKE
 LINENO LOAD MERGE NATIONAL NOCHECK NONCLUSTERED NOT NULL NULLIF OF OFF OFFSETS ON OPEN OPENDATASOURCE OPENQUERY
 OPENROWSET OPENXML OPTION OR ORDER OUTER OVER PERCENT PIVOT PLAN PRECISION PRIMARY PRINT PROC PROCEDURE PUBLIC
 RAISERROR READ READTEXT RECONFIGURE REFERENCES REPLICATION RESTORE RESTRICT RETURN REVERT REVOKE RIGHT ROLLBACK ROWCOUNT
 ROWGUIDCOL RULE SAVE SCHEMA SECURITYAUDIT SELECT SEMANTICKEYPHRASETABLE SESSION_USER SET SETUSER SHUTDOWN SOME
 STATISTICS SYSTEM_USER TABLE TABLESAMPLE TEXTSIZE THEN TO TOP TRAN TRANSACTION TRIGGER TRUNCATE TRY_CONVERT TSEQUAL
 UNION UNIQUE UNPIVOT UPDATE UPDATETEXT USE USER VALUES VARYING VIEW WAITFOR WHEN WHERE WHILE WITH WITHIN WRITETEXT`)

func wordSet(words string) map[string]bool {
	out := map[string]bool{}
	for _, w := range strings.Fields(words) {
		out[w] = true
	}
	return out
}

// isName reports a token that can be a name.
func (t token) isName() bool {
	return t.kind == quotedToken || t.kind == wordToken && !reserved[strings.ToUpper(t.text)]
}

// identifier takes one name.
func (p *parser) identifier() string {
	t := p.peek()
	if !t.isName() {
		p.unexpected("a name")
		return ""
	}
	if strings.HasPrefix(t.text, "@") {
		p.refuse(t, "a name that begins like a variable")
	}
	p.at++
	return t.text
}

// name takes a name of up to three parts. An empty middle part (a..b) stays empty.
func (p *parser) name() Name {
	n := Name{p.identifier()}
	for p.accept(".") {
		if p.sees(".") {
			n = append(n, "")
			continue
		}
		n = append(n, p.identifier())
	}
	if len(n) > 3 {
		p.refuse(p.peek(), "a name of %d parts", len(n))
	}
	return n
}

// tableName takes the name of a table or, where a statement may have one, a table variable.
func (p *parser) tableName() Name {
	if t := p.peek(); t.kind == variableToken && !strings.HasPrefix(t.text, "@@") {
		p.at++
		return Name{t.text}
	}
	return p.name()
}

func (p *parser) variable() string {
	t := p.next()
	if t.kind != variableToken || strings.HasPrefix(t.text, "@@") {
		p.refuse(t, "a variable is expected")
		return ""
	}
	return t.text
}

// names takes a list of names in parentheses.
func (p *parser) names() []string {
	p.expect("(")
	var out []string
	for {
		out = append(out, p.identifier())
		if !p.accept(",") {
			break
		}
	}
	p.expect(")")
	return out
}

// integer takes a number with an optional sign.
func (p *parser) integer() int64 {
	sign := ""
	if p.accept("-") {
		sign = "-"
	}
	t := p.next()
	n, err := strconv.ParseInt(sign+t.text, 10, 64)
	if t.kind != numberToken || err != nil {
		p.refuse(t, "a whole number is expected")
	}
	return n
}

// dataType takes a type.
func (p *parser) dataType() datatype.Type {
	t := p.peek()
	name := p.name()
	if len(name) == 2 && strings.EqualFold(name[0], "sys") {
		name = name[1:]
	}
	if len(name) != 1 {
		p.refuse(t, "the type is not one that the double implements")
		return datatype.Type{}
	}
	var sizes []int
	if p.accept("(") {
		for {
			if p.accept("max") {
				sizes = append(sizes, datatype.Max)
			} else {
				n := p.integer()
				if n < 0 || n > 8000 {
					p.refuse(t, "the type's size is impossible")
					return datatype.Type{}
				}
				sizes = append(sizes, int(n))
			}
			if !p.accept(",") {
				break
			}
		}
		p.expect(")")
	}
	typ, err := datatype.New(name[0], sizes)
	if err != nil {
		p.refuse(t, "%v", err)
	}
	return typ
}

func (p *parser) collation() datatype.Collation {
	t := p.peek()
	c, err := datatype.ParseCollation(p.identifier())
	if err != nil {
		p.refuse(t, "%v", err)
	}
	return c
}

// IsRefusal reports an error of this package.
func IsRefusal(err error) bool {
	var e *Error
	return errors.As(err, &e)
}
