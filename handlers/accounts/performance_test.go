package accounts_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"troupe/choreo"
	"troupe/choreo/choreotest"
	"troupe/choreo/saga"
	"troupe/domain/account"
	"troupe/domain/order"
	"troupe/domain/project"
)

// The whole process over a broker: accounts that are erased, and three that are
// not, for either half's sake and for both.
func TestThePerformance(t *testing.T) {
	t.Parallel()
	s := open(t)
	s.Perform()
	bob := s.registered("bob@example.com").AccountID
	free := s.leaves("free@example.com", func(id string) { s.has(id) })
	bare := s.leaves("bare@example.com")
	shared := s.leaves("shared@example.com", func(id string) { s.has(id, bob) })
	buying := s.leaves("buying@example.com", func(id string) { s.has(id); s.orders(id, order.Canceled, order.RefundFailed) })
	both := s.leaves("both@example.com", func(id string) { s.has(id, bob); s.orders(id, order.Canceled, order.RefundFailed) })

	ended := map[leaver]*saga.Saga{}
	for _, l := range []leaver{free, bare, shared, buying, both} {
		choreotest.Eventually(t, "the deletion has settled", func() bool {
			g, err := saga.Show(t.Context(), s.DB, l.saga)
			ended[l] = g
			return err == nil && g.Status == "settled"
		})
	}
	came := func(l leaver, fact string) (n int) {
		for _, step := range ended[l].Steps {
			if step.Event == fact+".v1" {
				n++
			}
		}
		return n
	}
	for _, l := range []leaver{free, bare} {
		s.isState(l.id, account.Erased)
		if came(l, "accounts.AccountErased") != 1 {
			t.Errorf("%d times erased", came(l, "accounts.AccountErased"))
		}
	}
	for _, l := range []leaver{shared, buying, both} {
		s.isState(l.id, account.Unverified)
		if n := s.projectsOf(l.id); n != 1 {
			t.Errorf("%d projects are there after the account was restored", n)
		}
		if came(l, "accounts.AccountErased") != 0 || came(l, "accounts.AccountRestored") != 1 {
			t.Error("an account that was restored was erased, or restored twice")
		}
	}
	// Where both halves refuse, the first may have the account restored before the
	// other has come to it, which then does nothing.
	refused := came(both, "accounts.AccountDeletionFailed")
	if other := came(both, "projects.ProjectsDeletionFailed"); refused+other == 0 || refused > 1 || other > 1 || came(both, "projects.ProjectsRestored") != refused {
		t.Errorf("of two halves that refuse, the account said so %d times and its projects %d times", refused, other)
	}
}

// New work races with deletions: whatever came first stands, and an account is
// erased only where no order came before.
func TestDeletionRacesWithNewWork(t *testing.T) {
	t.Parallel()
	s := open(t)
	s.Perform()
	const people = 12
	var wg sync.WaitGroup
	all, ordered := make([]leaver, people), make([]bool, people)
	for i := range people {
		all[i].id = s.registered(string(rune('a'+i)) + "@example.com").AccountID
	}
	for i := range people {
		id := all[i].id
		wg.Go(func() { all[i].saga = s.requestDeletion(id) })
		wg.Go(func() {
			_, err := choreo.Commit(t.Context(), s.DB, "create-project", func(ctx context.Context, tx *choreo.Tx) error {
				if err := account.Work(ctx, tx, id); err != nil {
					return err
				}
				if _, err := project.Create(ctx, tx, id, "x"); err != nil {
					return err
				}
				_, err := tx.ExecContext(ctx, `insert into orders (order_id, account_id, saga, state, refund_status, currency, total, lines, shipping_version, mailed_for, placed_at)
					values ($1, $2, 'x', 'confirmed', 'none', 'EUR', 1, '[]', 1, '', $3)`, tx.NewID(), id, tx.Now())
				return err
			})
			if ordered[i] = err == nil; err != nil && !errors.Is(err, account.ErrClosing) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for i, l := range all {
		want, fact := account.Erased, "accounts.AccountErased.v1"
		if ordered[i] {
			want, fact = account.Unverified, "accounts.AccountRestored.v1"
		}
		choreotest.Eventually(t, "the deletion has ended", func() bool {
			return s.Count(`select count(*) from choreo.event_log where key = $1 and type = $2`, l.id, fact) == 1
		})
		s.isState(l.id, want)
	}
}
