package main

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/lib/pq"
	"golang.org/x/sync/errgroup"

	"troupe/choreo/pgarray"
)

// eventBytes is the size of an event's JSON; eventPartitions of each topic.
const (
	eventBytes      = 278
	eventPartitions = 8
	connections     = 20 // to Postgres, of each side
)

// deposited is the event of the benchmark; booked is the fact that comes of it.
type deposited struct {
	AccountID string `json:"accountId"`
	N         int    `json:"n"` // of the account, from 1
	Amount    int    `json:"amount"`
	Note      string `json:"note"`
}
type booked deposited

func (deposited) FactType() string { return "deposits.Deposited.v1" }
func (f deposited) Key() string    { return f.AccountID }
func (booked) FactType() string    { return "bookings.Booked.v1" }
func (f booked) Key() string       { return f.AccountID }

// note fills an event up to eventBytes.
var note = strings.Repeat("lorem ipsum ", 20)

func newDeposited(key string, n int) deposited {
	d := deposited{AccountID: key, N: n, Amount: amountOf(n)}
	rest := eventBytes - len(fmt.Sprintf(`{"accountId":%q,"n":%d,"amount":%d,"note":""}`, d.AccountID, d.N, d.Amount))
	d.Note = note[:rest]
	return d
}

func amountOf(n int) int { return 1 + n%97 }

// keyOf is the id of the i-th account; ids that follow each other lie apart, as
// those of real aggregates do.
func keyOf(i int) string { return uuid.NewSHA1(uuid.NameSpaceOID, fmt.Appendf(nil, "%d", i)).String() }

// perKey is how many events an account gets. They come in rounds over all
// accounts, so that hardly any batch has two of one: one row update per event.
const perKey = 4

// stream is the events of a run.
type stream struct {
	events int
	keys   []string
	among  int // accounts that there are
}

// accountRows is how many accounts there are: enough for an index to be the way
// to some thousand of them, as in any table that is worth a set-based update.
const accountRows = 300_000

func newStream(events int) *stream { return newStreamOver(events, accountRows) }

// newStreamOver has the accounts of the events spread evenly over all.
func newStreamOver(events, among int) *stream {
	s := &stream{events: events, among: among}
	n := max(1, events/perKey)
	for i := range n {
		s.keys = append(s.keys, keyOf(i*max(1, among/n)))
	}
	return s
}

// accounts are the ids of all accounts, sorted.
func (s *stream) accounts() []string {
	ids := make([]string, s.among)
	for i := range ids {
		ids[i] = keyOf(i)
	}
	slices.Sort(ids)
	return ids
}

func (s *stream) at(i int) deposited { return newDeposited(s.keys[i%len(s.keys)], 1+i/len(s.keys)) }

func (s *stream) ledger() *ledger {
	l := newLedger()
	for i := range s.events {
		l.expects(s.keys[i%len(s.keys)], 1+i/len(s.keys))
	}
	return l
}

// writers is how many commit at the same time where that is not measured.
const writers = 8

// fill hands the events to commit, some at a time, from several goroutines; those
// of one account come in order.
func (s *stream) fill(ctx context.Context, at int, commit func(context.Context, []deposited) error) error {
	g, ctx := errgroup.WithContext(ctx)
	for w := range writers {
		g.Go(func() error {
			var some []deposited
			for i := range s.events {
				if i%len(s.keys)%writers == w {
					some = append(some, s.at(i))
				}
				if len(some) == at || i == s.events-1 && len(some) > 0 {
					if err := commit(ctx, some); err != nil {
						return err
					}
					some = nil
				}
			}
			return nil
		})
	}
	return g.Wait()
}

// one books one event in a statement of its own.
const one = `update accounts set balance = balance + $2, digest = (digest * 31 + $3) % 2147483647 where id = $1`

// many books what some events of each account come to.
const many = `update accounts a set balance = a.balance + b.amount, digest = (a.digest * b.mult + b.add) % 2147483647
	from unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[]) as b (id, amount, mult, add) where a.id = b.id`

type executor interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

// bookOne changes the account of one event.
func bookOne(ctx context.Context, tx executor, d deposited) error {
	result, err := tx.ExecContext(ctx, one, d.AccountID, d.Amount, d.N)
	if err != nil {
		return fmt.Errorf("booking a deposit: %w", err)
	}
	return changed(result, 1)
}

// bookMany changes the accounts of some events.
func bookMany(ctx context.Context, tx executor, deposits func(yield func(deposited) bool)) error {
	index := map[string]int{}
	var ids pgarray.Text
	var folds []fold
	for d := range deposits {
		i, ok := index[d.AccountID]
		if !ok {
			i = len(ids)
			index[d.AccountID] = i
			ids, folds = append(ids, d.AccountID), append(folds, newFold())
		}
		folds[i] = folds[i].then(d.N, d.Amount)
	}
	amount, mult, add := make(pgarray.Int8, len(ids)), make(pgarray.Int8, len(ids)), make(pgarray.Int8, len(ids))
	for i, f := range folds {
		amount[i], mult[i], add[i] = f.amount, f.mult, f.add
	}
	result, err := tx.ExecContext(ctx, many, ids, amount, mult, add)
	if err != nil {
		return fmt.Errorf("booking deposits: %w", err)
	}
	return changed(result, len(ids))
}

func changed(result sql.Result, want int) error {
	if n, err := result.RowsAffected(); err != nil || n != int64(want) {
		return fmt.Errorf("%d accounts changed, not %d (%w)", n, want, err)
	}
	return nil
}

// resetAccounts makes the accounts, all zero.
func resetAccounts(ctx context.Context, pool *sql.DB, ids []string) error {
	for _, statement := range []string{
		`drop table if exists accounts`,
		`create table accounts (id text not null, balance bigint not null default 0, digest bigint not null default 0)
			with (fillfactor = 70)`, // as befits rows that change all the time
	} {
		if _, err := pool.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("making accounts: %w", err)
		}
	}
	if _, err := pool.ExecContext(ctx, `insert into accounts (id) select unnest($1::text[])`, pq.Array(ids)); err != nil {
		return fmt.Errorf("filling accounts: %w", err)
	}
	if _, err := pool.ExecContext(ctx, `alter table accounts add primary key (id)`); err != nil {
		return fmt.Errorf("filling accounts: %w", err)
	}
	return settle(ctx, pool)
}

// settle gives a run a database that is not still busy with the one before it.
func settle(ctx context.Context, pool *sql.DB) error {
	for _, statement := range []string{`vacuum analyze`, `checkpoint`} {
		if _, err := pool.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("settling the database: %w", err)
		}
	}
	return nil
}

// checkBooked verifies a run: the accounts, and the facts that came of it, which
// facts selects as key and number in the order in which they were emitted.
func checkBooked(ctx context.Context, pool *sql.DB, s *stream, facts string) error {
	if err := checkFacts(ctx, pool, s, facts); err != nil {
		return err
	}
	return checkAccounts(ctx, pool, s)
}

func checkFacts(ctx context.Context, pool *sql.DB, s *stream, facts string) error {
	l := s.ledger()
	if err := each(ctx, pool, facts, func(rows *sql.Rows) error {
		var key string
		var n int
		err := rows.Scan(&key, &n)
		l.saw(key, n)
		return err
	}); err != nil {
		return fmt.Errorf("reading the facts: %w", err)
	}
	if err := l.err(); err != nil {
		return fmt.Errorf("the facts are wrong: %w", err)
	}
	return nil
}

func checkAccounts(ctx context.Context, pool *sql.DB, s *stream) error {
	got := map[string]account{}
	if err := each(ctx, pool, `select id, balance, digest from accounts`, func(rows *sql.Rows) error {
		var key string
		var a account
		err := rows.Scan(&key, &a.balance, &a.digest)
		got[key] = a
		return err
	}); err != nil {
		return fmt.Errorf("reading the accounts: %w", err)
	}
	return sameAccounts(s.ledger().accounts(), got)
}

func each(ctx context.Context, pool *sql.DB, query string, scan func(*sql.Rows) error) error {
	rows, err := pool.QueryContext(ctx, query)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}
