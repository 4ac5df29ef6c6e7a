package sim

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"slices"
)

func readAll(rows driver.Rows) (*table, error) {
	defer rows.Close() //nolint:errcheck // it was read to its end
	t := &table{columns: slices.Clone(rows.Columns())}
	for {
		row := make([]driver.Value, len(t.columns))
		err := rows.Next(row)
		if errors.Is(err, io.EOF) {
			return t, nil
		}
		if err != nil {
			return nil, err
		}
		for i, v := range row {
			if bytes, ok := v.([]byte); ok {
				row[i] = slices.Clone(bytes)
			}
		}
		t.values = append(t.values, row)
	}
}

// table is a result that was read.
type table struct {
	columns []string
	values  [][]driver.Value
	at      int
}

func (t *table) text(v driver.Value) string {
	if b, ok := v.([]byte); ok {
		return string(b)
	}
	return fmt.Sprint(v)
}

func (t *table) Columns() []string { return t.columns }
func (t *table) Close() error      { return nil }
func (t *table) Next(into []driver.Value) error {
	if t.at == len(t.values) {
		return io.EOF
	}
	copy(into, t.values[t.at])
	t.at++
	return nil
}

// stmt is a prepared statement.
type stmt struct {
	driver.Stmt
	c     *conn
	query string
}

func (s *stmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	var t *table
	err := s.c.statement(ctx, s.query, args, func() error {
		rows, err := s.Stmt.(driver.StmtQueryContext).QueryContext(context.Background(), args)
		if err == nil {
			t, err = readAll(rows)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return t, nil
}

func (s *stmt) ExecContext(ctx context.Context, args []driver.NamedValue) (result driver.Result, err error) {
	err = s.c.statement(ctx, s.query, args, func() (err error) {
		result, err = s.Stmt.(driver.StmtExecContext).ExecContext(context.Background(), args)
		return err
	})
	return result, err
}
