package accounts_test

import (
	"context"

	"troupe/choreo"
	"troupe/choreo/choreotest"
	"troupe/domain/account"
	"troupe/domain/order"
	"troupe/domain/project"
	"troupe/events"
)

// leaver is an account whose owner wants it deleted, and the saga of that.
type leaver struct{ id, saga string }

// leaves is what happens when the owner of a new account deletes it.
func (s *signup) leaves(email string, before ...func(id string)) leaver {
	s.t.Helper()
	l := leaver{id: s.registered(email).AccountID}
	for _, do := range before {
		do(l.id)
	}
	l.saga = s.requestDeletion(l.id)
	return l
}

func (s *signup) requestDeletion(id string) (saga string) {
	s.t.Helper()
	s.Given("request-account-deletion", func(ctx context.Context, tx *choreo.Tx) error {
		a, err := account.Load(ctx, tx, id)
		if err != nil {
			return err
		}
		if saga, err = a.RequestDeletion(tx); err != nil {
			return err
		}
		return a.Save(ctx, tx)
	})
	return saga
}

// has gives the account a project with these members beside its owner.
func (s *signup) has(id string, members ...string) (projectID string) {
	s.t.Helper()
	s.Given("create-project", func(ctx context.Context, tx *choreo.Tx) error {
		if err := account.Work(ctx, tx, id); err != nil {
			return err
		}
		p, err := project.Create(ctx, tx, id, "A project")
		if err == nil {
			projectID = p.ID
		}
		return err
	})
	for _, m := range members {
		s.Given("add-member", func(ctx context.Context, tx *choreo.Tx) error {
			p, err := project.Load(ctx, tx, id, projectID)
			if err != nil {
				return err
			}
			return p.Add(ctx, tx, m)
		})
	}
	return projectID
}

// orders places an order of the account and puts it into a state.
func (s *signup) orders(id string, state order.State, refund order.RefundStatus) {
	s.t.Helper()
	s.Given("place-order", func(ctx context.Context, tx *choreo.Tx) error {
		o, err := order.Place(tx.NewID(), id, []events.OrderLine{{SKU: "pen", Quantity: 1, UnitPrice: events.Money{Amount: 1, Currency: "EUR"}}},
			"tok_visa", order.Shipping{Name: "Ana", Street: "1 Road", City: "Town", PostalCode: "12345", Country: "DE"})
		if err != nil {
			return err
		}
		if err := o.Save(ctx, tx); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `update orders set state = $2, refund_status = $3 where order_id = $1`,
			o.ID, string(state), string(refund))
		return err
	})
}

// after gives the fact to a delayed consumer and lets its second pass.
func (s *signup) after(consumer string, l leaver) *choreotest.Result {
	s.t.Helper()
	r := s.When(consumer, events.AccountDeletionRequested{AccountID: l.id}, l.saga)
	r.Emits()
	if r.State != "waiting" {
		s.t.Errorf("%s is %s before its delay has passed", consumer, r.State)
	}
	return s.due(r)
}

// due lets the wait of a result's step be over.
func (s *signup) due(r *choreotest.Result) *choreotest.Result {
	s.t.Helper()
	s.exec(`update choreo.steps set due_at = choreo.troupe_now() where event_id = $1`, r.EventID())
	return s.Again(r)
}

func (s *signup) exec(query string, args ...any) {
	s.t.Helper()
	if _, err := s.DB.Pool().ExecContext(s.t.Context(), query, args...); err != nil {
		s.t.Fatal(err)
	}
}

func (s *signup) isState(id string, want account.State) {
	s.t.Helper()
	a, err := account.Get(s.t.Context(), s.DB.Pool(), id)
	if err != nil || a.State != want {
		s.t.Errorf("the account is %+v (%v), want it %s", a, err, want)
	}
}

func (s *signup) projectsOf(id string) int {
	s.t.Helper()
	list, err := project.List(s.t.Context(), s.DB.Pool(), id, "", 100)
	if err != nil {
		s.t.Fatal(err)
	}
	return len(list)
}
