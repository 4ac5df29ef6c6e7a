package play

import (
	"context"
	"fmt"
	"time"

	"troupe/choreo"
	"troupe/choreo/sim"
	"troupe/domain/account"
	"troupe/domain/order"
	"troupe/domain/project"
)

// someone is an account that was made; nobody's where there is none yet.
func (p *product) someone(s *sim.Sim) string {
	if len(p.people) == 0 || s.Rand().IntN(20) == 0 {
		return "00000000-0000-4000-8000-000000000000"
	}
	return p.people[s.Rand().IntN(len(p.people))]
}

// mark keeps in mind what is personal of an account.
func (p *product) mark(accountID, what string) { p.marks[accountID] = append(p.marks[accountID], what) }

// person signs up, and may go again, with projects or without.
func (p *product) person(s *sim.Sim, n int) []sim.Act {
	name := "reader"
	if s.Rand().IntN(6) == 0 {
		name = "bounce"
	}
	email, called := fmt.Sprintf("%s%d@example.com", name, n), fmt.Sprintf("Name of %d.", n)
	var id string
	acts := []sim.Act{{Name: "sign-up", Do: func(ctx context.Context, db *choreo.DB) (choreo.Receipt, error) {
		made := ""
		r, err := choreo.Commit(ctx, db, "sign-up", func(ctx context.Context, tx *choreo.Tx) error {
			a, err := account.SignUp(ctx, tx, account.Person{Email: email, Name: called}, []byte("hash"))
			if err == nil {
				made = a.ID
				p.mark(a.ID, email)
				p.mark(a.ID, called)
			}
			return err
		})
		if err == nil {
			id, p.people = made, append(p.people, made)
		}
		return r, err
	}}}
	change := func(name string, do func(*choreo.Tx, *account.Account) error) sim.Act {
		return sim.Act{Name: name, After: soon(s), Do: func(ctx context.Context, db *choreo.DB) (choreo.Receipt, error) {
			return choreo.Commit(ctx, db, name, func(ctx context.Context, tx *choreo.Tx) error {
				a, err := account.Load(ctx, tx, id)
				if err != nil {
					return err
				}
				if err := do(tx, a); err != nil {
					return err
				}
				return a.Save(ctx, tx)
			})
		}}
	}
	for range s.Rand().IntN(3) {
		acts = append(acts, change("request-verification-mail", func(tx *choreo.Tx, a *account.Account) error { return a.RequestMail(tx) }))
	}
	if s.Rand().IntN(2) == 0 {
		acts = append(acts, change("verify-account", func(tx *choreo.Tx, a *account.Account) error {
			return a.Verify(tx.Now(), tx.Now().Add(time.Hour))
		}))
	}
	for range s.Rand().IntN(3) {
		acts = append(acts, p.founds(s, &id)...)
	}
	for range max(0, s.Rand().IntN(5)-2) {
		acts = append(acts, change("request-account-deletion", func(tx *choreo.Tx, a *account.Account) error {
			_, err := a.RequestDeletion(tx)
			return err
		}))
	}
	return acts
}

// founds makes a project, which somebody else may join.
func (p *product) founds(s *sim.Sim, owner *string) []sim.Act {
	var id string
	acts := []sim.Act{{Name: "create-project", After: soon(s), Do: func(ctx context.Context, db *choreo.DB) (choreo.Receipt, error) {
		made := ""
		r, err := choreo.Commit(ctx, db, "create-project", func(ctx context.Context, tx *choreo.Tx) error {
			if err := account.Work(ctx, tx, *owner); err != nil {
				return err
			}
			f, err := project.Create(ctx, tx, *owner, "A project")
			if err == nil {
				made = f.ID
			}
			return err
		})
		if err == nil {
			id = made
		}
		return r, err
	}}}
	if s.Rand().IntN(3) > 0 {
		return acts
	}
	return append(acts, sim.Act{Name: "add-member", After: soon(s), Do: func(ctx context.Context, db *choreo.DB) (choreo.Receipt, error) {
		who := p.someone(s)
		return choreo.Commit(ctx, db, "add-member", func(ctx context.Context, tx *choreo.Tx) error {
			if err := account.Work(ctx, tx, *owner); err != nil {
				return err
			}
			if err := account.Joinable(ctx, tx, who); err != nil {
				return err
			}
			f, err := project.Load(ctx, tx, *owner, id)
			if err != nil {
				return err
			}
			return f.Add(ctx, tx, who)
		})
	}})
}

// goesTo is a shipping info of somebody's.
func (p *product) goesTo(accountID, street string) order.Shipping {
	p.mark(accountID, street)
	return order.Shipping{Name: "A", Street: street, City: "C", PostalCode: "D", Country: "E"}
}

// moves changes where an order goes; the carrier refuses one in four.
func (p *product) moves(s *sim.Sim, id *string, street string) sim.Act {
	if s.Rand().IntN(4) == 0 {
		street = nowhere + street
	}
	return sim.Act{Name: "change-shipping-info", After: soon(s), Do: func(ctx context.Context, db *choreo.DB) (choreo.Receipt, error) {
		return choreo.Commit(ctx, db, "change-shipping-info", func(ctx context.Context, tx *choreo.Tx) error {
			var who string
			if err := tx.QueryRowContext(ctx, `select account_id from orders where order_id = $1`, *id).Scan(&who); err != nil {
				return fmt.Errorf("there is no such order: %w", err)
			}
			if err := account.Work(ctx, tx, who); err != nil {
				return err
			}
			d, found, err := order.LoadDelivery(ctx, tx, *id)
			if err != nil || !found {
				return fmt.Errorf("loading the delivery (found: %t): %w", found, err)
			}
			change := tx.NewID()
			p.goes[change] = street
			if err := d.Change(change, tx.Saga(), p.goesTo(who, street)); err != nil {
				return err
			}
			return d.Save(ctx, tx)
		})
	}}
}
