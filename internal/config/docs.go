package config

import (
	"fmt"
	"reflect"
	"strings"
)

// Reference returns the reference of all keys in Markdown.
func Reference() string {
	var b strings.Builder
	b.WriteString(referenceHead)
	referenceRows(&b, typeConfig, "", reflect.ValueOf(Default()).Elem())
	return b.String()
}

const referenceHead = `# Configuration

<!-- Generated from internal/config; do not edit. -->

One YAML file: the one named by ` + "`--config`" + `, else ` + "`./cdc.yaml`" + `, else ` + "`/etc/cdc/cdc.yaml`" + `. ` +
	"`cdc config check`" + ` reports everything
that is wrong in it at once, with line and column; ` + "`cdc config show`" + ` prints what is in effect and where it was written;
` + "`cdc config schema`" + ` prints a JSON Schema for editors.

- Order: defaults, then the file, then the environment, then ` + "`--set KEY=VALUE`" + `; the later wins.
- Environment: ` + "`CDC_`" + ` and the path in capitals, levels joined by ` + "`__`" + `: ` + "`CDC_SOURCE__HOST`, `CDC_SINKS__NEPTUNE__PASSWORD`" + `.
- Durations (` + "`5s`, `168h`" + `) and sizes (` + "`512MiB`" + `) carry a unit.
- Secrets are never written in the file, only where they are: ` + "`${env:NAME}`, `${env:NAME:-default}`, `${file:PATH}`" + `. Any
  other value may be such a reference too; it is always the whole value.
- Relative paths start at the folder of the file.
- A key marked *live* changes by ` + "`cdc reload`" + ` or SIGHUP; the others need a restart.
- A key marked *later* belongs to a feature that this version does not have yet: it is accepted at its default and refused at
  any other value. So is a source.start or source.snapshot.mode other than
  the default.

| key | holds | default | live | meaning |
|---|---|---|---|---|
`

func referenceRows(b *strings.Builder, t reflect.Type, path string, defaults reflect.Value) {
	for _, f := range fieldsOf(t) {
		p := join(path, f.key)
		v := defaults.Field(f.index)
		switch {
		case isSection(f.typ):
			referenceRows(b, f.typ, p, v)
		case f.typ.Kind() == reflect.Map && isSection(f.typ.Elem()):
			referenceRow(b, p, "named sections", f, v)
			referenceRows(b, f.typ.Elem(), p+".NAME", newElement(f.typ.Elem()))
		case f.typ.Kind() == reflect.Slice && isSection(f.typ.Elem()):
			referenceRow(b, p, "list of sections", f, v)
			referenceRows(b, f.typ.Elem(), p+"[]", newElement(f.typ.Elem()))
		default:
			holds := typeName(f.typ)
			if f.enum != nil {
				holds = strings.Join(f.enum, ", ")
			}
			if f.enum != nil && f.typ.Kind() == reflect.Slice {
				holds = "list of " + holds
			}
			referenceRow(b, p, holds, f, v)
		}
	}
}

func referenceRow(b *strings.Builder, path, holds string, f field, v reflect.Value) {
	def := "required"
	if !f.need {
		def = "`" + flow(v) + "`"
		if flow(v) == "" {
			def = ""
		}
	}
	live := ""
	if f.live {
		live = "live"
	}
	doc := strings.ReplaceAll(f.doc, "|", `\|`)
	if isLater(path) {
		doc += " *(later)*"
	}
	fmt.Fprintf(b, "| `%s` | %s | %s | %s | %s |\n", path, holds, def, live, doc)
}
