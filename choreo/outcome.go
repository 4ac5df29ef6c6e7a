package choreo

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"
)

// ErrCommitUnknown is a command of which nobody can say whether it was
// committed: the answer to COMMIT was lost, and the database cannot be asked.
// It is in the error of Commit.
var ErrCommitUnknown = errors.New("it is not known whether the transaction was committed")

// errAborted is a COMMIT whose answer was lost, and which did not take place.
var errAborted = errors.New("the transaction was not committed")

// How long and how often a transaction is looked at that has not ended yet.
const (
	askOutcomeFor   = 10 * time.Second
	askOutcomeEvery = 25 * time.Millisecond
)

// outcome finds out what became of a transaction whose COMMIT gave this error.
// Where the answer was lost it asks, over another connection, by the id of the
// transaction, of which Postgres keeps the end: nil if it was committed,
// errAborted if not. To run the command again without asking could do it twice.
func (db *DB) outcome(ctx context.Context, xid string, cause error) error {
	if !answerLost(cause) {
		return cause
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), askOutcomeFor)
	defer cancel()
	for {
		var status sql.NullString
		err := db.pool.QueryRowContext(ctx, `select pg_xact_status($1::text::xid8)`, xid).Scan(&status)
		switch {
		case err != nil:
			return fmt.Errorf("%w: %w", ErrCommitUnknown, errors.Join(cause, err))
		case status.String == "committed":
			return nil
		case status.String == "aborted":
			return fmt.Errorf("%w: %w", errAborted, cause)
		case status.String != "in progress":
			return fmt.Errorf("%w: %w", ErrCommitUnknown, cause)
		}
		select {
		case <-time.After(askOutcomeEvery):
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ErrCommitUnknown, cause)
		}
	}
}

// answerLost tells whether the error of a COMMIT leaves open what came of it.
func answerLost(err error) bool {
	s := SQLState(err)
	return s == "" && IsInfrastructure(err) || strings.HasPrefix(s, "08") || strings.HasPrefix(s, "57")
}
