package process

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"troupe/choreo"
)

// Manager is the process manager of one rental. Get it by Start or Load. One at a
// time works on a stream: the events of a rental come in order to one consumer,
// and a position is taken once.
type Manager struct {
	RentalID string
	Entries  []Entry
	State    State

	saved  int // entries that stand in the stream
	raised []choreo.Fact
}

// Validator says what is wrong with a command, nil where nothing is.
type Validator func(choreo.Fact) error

// Whole is the Validator of the commands themselves.
func Whole(command choreo.Fact) error {
	if c, ok := command.(interface{ Validate() error }); ok {
		return c.Validate()
	}
	return nil
}

// Start begins the stream of a rental in the saga; started is false where it has
// begun already.
func Start(ctx context.Context, tx *choreo.Tx, rentalID, saga string) (m *Manager, started bool, err error) {
	m, err = read(ctx, tx, rentalID)
	if err != nil || len(m.Entries) > 0 {
		return nil, false, err
	}
	m.add(Entry{Kind: Started, Ref: saga})
	return m, true, nil
}

// Load reads the stream of a rental; found is false where none was started in the
// saga.
func Load(ctx context.Context, tx *choreo.Tx, rentalID, saga string) (m *Manager, found bool, err error) {
	m, err = read(ctx, tx, rentalID)
	if err != nil || len(m.Entries) == 0 || m.Entries[0].Ref != saga {
		return nil, false, err
	}
	return m, true, nil
}

func read(ctx context.Context, tx *choreo.Tx, rentalID string) (*Manager, error) {
	m := &Manager{RentalID: rentalID}
	rows, err := tx.QueryContext(ctx, `select position, kind, name, ref, reason from rental_process
		where rental_id = $1 order by position, kind`, rentalID)
	if err != nil {
		return nil, fmt.Errorf("reading the process of rental %s: %w", rentalID, err)
	}
	defer rows.Close()
	for rows.Next() {
		var e Entry
		if err := rows.Scan(&e.Position, &e.Kind, &e.Name, &e.Ref, &e.Reason); err != nil {
			return nil, fmt.Errorf("reading the process of rental %s: %w", rentalID, err)
		}
		m.Entries = append(m.Entries, e)
	}
	m.State, m.saved = Fold(m.Entries), len(m.Entries)
	return m, rows.Err()
}

// Receive notes an event, once, and issues the commands that follow from it. A
// command that is not valid is rejected, and what follows from that comes next.
func (m *Manager) Receive(tx *choreo.Tx, event choreo.Meta, valid Validator) {
	if slices.ContainsFunc(m.Entries, func(e Entry) bool { return e.Kind == Received && e.Ref == event.ID }) {
		return
	}
	m.add(Entry{Kind: Received, Name: nameOf(event.Type), Ref: event.ID})
	for due := m.State.Due(); due != ""; due = m.State.Due() {
		c := command(due, m.RentalID, tx.NewID())
		m.add(Entry{Kind: CommandIssued, Name: due, Ref: idOf(c)})
		if err := valid(c); err != nil {
			m.add(Entry{Kind: PublishingRejected, Name: due, Ref: idOf(c), Reason: err.Error()})
			continue
		}
		m.raised = append(m.raised, c)
	}
}

// Confirm notes that a command stands in the event log. Twice is once.
func Confirm(ctx context.Context, tx *choreo.Tx, command choreo.Fact) error {
	_, err := tx.ExecContext(ctx, `
		insert into rental_process (rental_id, position, kind, name, ref, reason, at)
		select rental_id, position, $3, name, ref, '', $4 from rental_process
		where rental_id = $1 and kind = $5 and ref = $2
		on conflict (rental_id, position, kind) do nothing`,
		command.Key(), idOf(command), string(PublishingConfirmed), tx.Now(), string(CommandIssued))
	if err != nil {
		return fmt.Errorf("confirming a command of the process of rental %s: %w", command.Key(), err)
	}
	return nil
}

func (m *Manager) add(e Entry) {
	e.Position = 1
	if n := len(m.Entries); n > 0 {
		e.Position = m.Entries[n-1].Position + 1
	}
	m.Entries = append(m.Entries, e)
	m.State = m.State.Apply(e)
}

// Save adds what is new to the stream and emits the commands.
func (m *Manager) Save(ctx context.Context, tx *choreo.Tx) error {
	for _, e := range m.Entries[m.saved:] {
		_, err := tx.ExecContext(ctx, `
			insert into rental_process (rental_id, position, kind, name, ref, reason, at) values ($1, $2, $3, $4, $5, $6, $7)`,
			m.RentalID, e.Position, string(e.Kind), e.Name, e.Ref, e.Reason, tx.Now())
		if err != nil {
			return fmt.Errorf("writing the process of rental %s: %w", m.RentalID, err)
		}
	}
	tx.Emit(m.raised...)
	m.saved, m.raised = len(m.Entries), nil
	return nil
}

// nameOf is the name of a fact type, without topic and version.
func nameOf(factType string) string {
	parts := strings.Split(factType, ".")
	return parts[len(parts)-2]
}

func idOf(command choreo.Fact) string {
	c, _ := command.(interface{ Command() string })
	return c.Command()
}
