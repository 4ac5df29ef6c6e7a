package play

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/lib/pq"

	"troupe/choreo/sim"
	"troupe/events"
)

// deletions: each that was asked for ended as one thing, and the account is what
// that says: erased, or as it was before.
func (c *checker) deletions(ctx context.Context) error {
	type ends struct{ erased, restored int }
	sagas := map[string]*ends{}
	of := map[string]string{}
	for _, n := range c.s.Notes() {
		if n.Kind != sim.Emitted {
			continue
		}
		switch n.Event.Type {
		case events.AccountDeletionRequested{}.FactType():
			sagas[n.Event.Saga], of[n.Event.Saga] = &ends{}, n.Event.Key
		case events.AccountErased{}.FactType():
			sagas[n.Event.Saga].erased++
		case events.AccountRestored{}.FactType():
			sagas[n.Event.Saga].restored++
		}
	}
	for _, saga := range slices.Sorted(maps.Keys(sagas)) {
		if e := sagas[saga]; e.erased+e.restored != 1 {
			c.report("an account is erased or as before", saga, "the deletion of account %s ended in %d erasures and %d restorations", of[saga], e.erased, e.restored)
		}
	}
	rows, err := c.s.DB.Pool().QueryContext(ctx, `select account_id, state from accounts order by account_id`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var id, state string
		if err := rows.Scan(&id, &state); err != nil {
			return err
		}
		c.s.Count("accounts " + state)
		want := "unverified"
		switch {
		case c.said(id, "AccountErased"):
			want = "erased"
		case c.said(id, "AccountVerified"):
			want = "active"
		}
		if state != want {
			c.report("an account is erased or as before", "", "account %s is %s, and not %s (%v)", id, state, want, c.facts[id])
		}
	}
	return rows.Err()
}

// projects: whoever was not erased has all projects that were ever made, with all
// members that were not erased.
func (c *checker) projects(ctx context.Context) error {
	want := map[string][]string{}
	rows, err := c.s.DB.Pool().QueryContext(ctx, `select data from choreo.event_log where type = any ($1) and sequence is not null order by position`,
		pq.Array([]string{events.ProjectCreated{}.FactType(), events.MemberAdded{}.FactType()}))
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var data []byte
		var f events.MemberAdded // has all that ProjectCreated has
		if err := rows.Scan(&data); err != nil {
			return err
		}
		if err := json.Unmarshal(data, &f); err != nil {
			return fmt.Errorf("reading a fact of a project: %w", err)
		}
		if f.MemberID == "" {
			f.MemberID = f.AccountID
		}
		if c.said(f.AccountID, "AccountErased") || c.said(f.MemberID, "AccountErased") {
			continue
		}
		want[f.ProjectID] = append(want[f.ProjectID], f.MemberID)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	there, err := c.s.DB.Pool().QueryContext(ctx, `select p.project_id, p.deleted_by,
		array(select account_id from project_members m where m.project_id = p.project_id order by account_id) from projects p order by p.project_id`)
	if err != nil {
		return err
	}
	defer there.Close()
	for there.Next() {
		var id, by string
		var members []string
		if err := there.Scan(&id, &by, pq.Array(&members)); err != nil {
			return err
		}
		slices.Sort(want[id])
		if by != "" || !slices.Equal(members, want[id]) {
			c.report("an account is erased or as before", by, "project %s is deleted by %q; its members are %v, and should be %v", id, by, members, want[id])
		}
		c.s.Count("projects")
		delete(want, id)
	}
	for _, id := range slices.Sorted(maps.Keys(want)) {
		c.report("an account is erased or as before", "", "project %s is gone, and its owner is not", id)
	}
	return there.Err()
}

// leftovers: nothing personal of an erased account stands in any table.
func (c *checker) leftovers(ctx context.Context) error {
	needles := map[string]string{}
	for id, marks := range c.p.marks {
		if !c.said(id, "AccountErased") {
			continue
		}
		for _, m := range marks {
			needles[m], needles[hex.EncodeToString([]byte(m))] = id, id
		}
		for _, table := range []string{"sessions", "verification_mails", "payment_methods", "buyers", "projects", "project_members", "project_deletions"} {
			var n int
			if err := c.s.DB.Pool().QueryRowContext(ctx, `select count(*) from `+table+` where account_id = $1`, id).Scan(&n); err != nil {
				return err
			}
			if n > 0 {
				c.report("nothing is left of an erased account", "", "%d rows of account %s in %s", n, id, table)
			}
		}
	}
	if len(needles) == 0 {
		return nil
	}
	var tables []string
	err := c.s.DB.Pool().QueryRowContext(ctx, `select array_agg(format('%I.%I', schemaname, tablename) order by schemaname, tablename)
		from pg_tables where schemaname not in ('pg_catalog', 'information_schema')`).Scan(pq.Array(&tables))
	if err != nil {
		return err
	}
	for _, table := range tables {
		var all string
		if err := c.s.DB.Pool().QueryRowContext(ctx, `select coalesce(string_agg(t::text, ' '), '') from `+table+` t`).Scan(&all); err != nil {
			return err
		}
		for _, m := range slices.Sorted(maps.Keys(needles)) {
			if strings.Contains(all, m) {
				c.report("nothing is left of an erased account", "", "%q of account %s stands in %s", m, needles[m], table)
			}
		}
	}
	return nil
}
