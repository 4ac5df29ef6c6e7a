package choreo

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"troupe/choreo/internal/safeguard"
	"troupe/choreo/pgarray"
)

// writeOutbox inserts the facts in emission order, in one statement. Domain
// facts are not among them.
func (u *Unit) writeOutbox(ctx context.Context) (bool, error) {
	if u.err != nil {
		return false, u.err
	}
	facts := u.queue
	if len(u.db.flow.domain) > 0 {
		facts = slices.DeleteFunc(slices.Clone(facts), func(p *pending) bool { return u.db.flow.IsDomain(p.Type) })
	}
	if len(facts) == 0 {
		return false, nil
	}
	statement, args := insertion(facts, u.now)
	if _, err := u.sql.ExecContext(ctx, statement, args...); err != nil {
		return false, fmt.Errorf("writing %d facts to the outbox: %w", len(facts), err)
	}
	if safeguard.Off("lock then emit") {
		u.placeFirst(ctx, texts(facts, outboxColumns[0].of))
	}
	return true, u.err
}

// outboxColumns are the columns of the outbox that are text.
var outboxColumns = [...]struct {
	name string
	of   func(*pending) string
}{
	{"event_id", func(p *pending) string { return p.ID }},
	{"type", func(p *pending) string { return p.Type }},
	{"key", func(p *pending) string { return p.Key }},
	{"saga", func(p *pending) string { return p.Saga }},
	{"causation", func(p *pending) string { return p.Causation }},
	{"emitter", func(p *pending) string { return p.Emitter }},
	{"ran_in", func(p *pending) string { return strings.Join(p.RanIn, ",") }},
	{"traceparent", func(p *pending) string { return p.TraceParent }},
}

// insertion is the statement that inserts the facts. A column in which they are
// all alike, as type and emitter are in most batches, is one value and no array:
// four arrays fewer are a fifth of what the insertion costs Postgres.
//
// One fact, as of most commands, needs no array at all.
func insertion(facts []*pending, at time.Time) (statement string, args []any) {
	data := make(pgarray.Bytea, len(facts))
	for i, p := range facts {
		data[i] = p.data
	}
	args = []any{at, data}
	var into, values, arrays, names strings.Builder
	for _, c := range outboxColumns {
		column := texts(facts, c.of)
		fmt.Fprintf(&into, "%s, ", c.name)
		if alike(column) {
			args = append(args, column[0])
			fmt.Fprintf(&values, "$%d::text, ", len(args))
			continue
		}
		args = append(args, column)
		fmt.Fprintf(&values, "f.%s, ", c.name)
		fmt.Fprintf(&arrays, "$%d::text[], ", len(args))
		fmt.Fprintf(&names, "%s, ", c.name)
	}
	insert := `insert into choreo.outbox (` + into.String() + `at, data)
		select ` + values.String() + `$1::timestamptz, `
	if len(facts) == 1 {
		args[1] = facts[0].data
		return insert + `$2::bytea`, args
	}
	return insert + `f.data
		from unnest(` + arrays.String() + `$2::bytea[]) with ordinality as f (` + names.String() + `data, n)
		order by f.n`, args
}

func texts(facts []*pending, of func(*pending) string) pgarray.Text {
	column := make(pgarray.Text, len(facts))
	for i, p := range facts {
		column[i] = of(p)
	}
	return column
}

func alike(column []string) bool {
	return !slices.ContainsFunc(column, func(s string) bool { return s != column[0] })
}
