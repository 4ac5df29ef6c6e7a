package pgarray_test

import (
	"database/sql"
	"database/sql/driver"
	"fmt"
	"slices"
	"testing"

	"github.com/lib/pq"

	"troupe/choreo/embedded/embeddedtest"
	"troupe/choreo/pgarray"
)

// What is sent in binary reads as what lib/pq sends as text.
func TestArraysAreWhatPostgresTakesThemFor(t *testing.T) {
	t.Parallel()
	pool, err := sql.Open("postgres", embeddedtest.Database(t, nil))
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	texts := []string{"", "NULL", `a "b", {c} \ ü`, "\t\n"}
	numbers := []int64{0, -1, 1 << 62, -1 << 63}
	data := [][]byte{{}, {0, 1, 255}, []byte(`\x00`)}
	for _, c := range []struct {
		typ          string
		binary, text driver.Valuer
	}{
		{"text[]", pgarray.Text(texts), pq.Array(texts)},
		{"text[]", pgarray.Text(nil), pq.Array([]string{})},
		{"bigint[]", pgarray.Int8(numbers), pq.Array(numbers)},
		{"bigint[]", pgarray.Int8(nil), pq.Array([]int64{})},
		{"bytea[]", pgarray.Bytea(data), pq.Array(data)},
		{"bytea[]", pgarray.Bytea(nil), pq.Array([][]byte{})},
	} {
		var same bool
		query := fmt.Sprintf(`select $1::%s = $2::%s`, c.typ, c.typ)
		if err := pool.QueryRow(query, c.binary, c.text).Scan(&same); err != nil || !same {
			t.Errorf("%s %v: the same is %v, %v", c.typ, c.binary, same, err)
		}
	}
	var back []string
	if err := pool.QueryRow(`select $1::text[]`, pgarray.Text(texts)).Scan((*pq.StringArray)(&back)); err != nil || !slices.Equal(back, texts) {
		t.Errorf("%q came back as %q, %v", texts, back, err)
	}
}
