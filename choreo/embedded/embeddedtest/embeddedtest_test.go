package embeddedtest_test

import (
	"context"
	"database/sql"
	"fmt"
	"testing"

	"troupe/choreo/embedded/embeddedtest"
)

func items(ctx context.Context, db *sql.DB) error {
	_, err := db.ExecContext(ctx, `CREATE TABLE item (id int PRIMARY KEY); INSERT INTO item VALUES (1)`)
	return err
}

func open(t *testing.T, url string) *sql.DB {
	t.Helper()
	db, err := sql.Open("postgres", url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func TestDatabasesAreCopiesApart(t *testing.T) {
	t.Parallel()
	for i := range 12 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			db := open(t, embeddedtest.Database(t, items))
			if _, err := db.Exec(`INSERT INTO item VALUES (2)`); err != nil {
				t.Fatal(err)
			}
			var n int
			if err := db.QueryRow(`SELECT count(*) FROM item`).Scan(&n); err != nil || n != 2 {
				t.Fatalf("items: %d, %v; want 2: the migrated one and this test's", n, err)
			}
		})
	}
}
