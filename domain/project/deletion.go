package project

import (
	"context"
	"fmt"

	"github.com/lib/pq"

	"troupe/choreo"
	"troupe/events"
)

// DeleteAll deletes all projects of an account that closes for the saga, or
// none where somebody else still works in one. The first answer of a saga
// stands.
func DeleteAll(ctx context.Context, tx *choreo.Tx, accountID, saga string) error {
	var inUse bool
	var ids []string
	err := tx.QueryRowContext(ctx, `
		with locked as (select project_id from projects where account_id = $1 and deleted_by = '' order by project_id for update)
		select coalesce(array_agg(project_id order by project_id), '{}'), exists (
			select from project_members m join locked l using (project_id) where m.account_id <> $1)
		from locked`, accountID).Scan(pq.Array(&ids), &inUse)
	if err != nil {
		return fmt.Errorf("reading the projects of account %s: %w", accountID, err)
	}
	state := "deleted"
	if inUse {
		state = "refused"
	}
	first, err := note(ctx, tx, `insert into project_deletions (account_id, saga, state) values ($1, $2, $3)
		on conflict do nothing`, accountID, saga, state)
	if err != nil || !first {
		return err
	}
	if inUse {
		tx.Emit(events.ProjectsDeletionFailed{AccountID: accountID, Reason: "another member still works in a project"})
		return nil
	}
	_, err = tx.ExecContext(ctx, `update projects set deleted_by = $2 where project_id = any ($1::text[])`, pq.Array(ids), saga)
	if err != nil {
		return fmt.Errorf("deleting the projects of account %s: %w", accountID, err)
	}
	tx.Emit(events.ProjectsDeleted{AccountID: accountID, ProjectIDs: ids})
	return nil
}

// Restore brings back what the saga deleted of the account's projects, once, if
// there is anything to it: the account closes for that saga, or the saga has
// dealt with its projects before.
func Restore(ctx context.Context, tx *choreo.Tx, accountID, saga string, closes bool) error {
	query := `update project_deletions set state = 'restored' where account_id = $1 and saga = $2 and state <> 'restored'`
	if closes {
		query = `insert into project_deletions (account_id, saga, state) values ($1, $2, 'restored')
			on conflict (account_id, saga) do update set state = 'restored' where project_deletions.state <> 'restored'`
	}
	first, err := note(ctx, tx, query, accountID, saga)
	if err != nil || !first {
		return err
	}
	ids := []string{}
	err = tx.QueryRowContext(ctx, `
		with back as (update projects set deleted_by = '' where account_id = $1 and deleted_by = $2 returning project_id)
		select coalesce(array_agg(project_id order by project_id), '{}') from back`, accountID, saga).Scan(pq.Array(&ids))
	if err != nil {
		return fmt.Errorf("restoring the projects of account %s: %w", accountID, err)
	}
	tx.Emit(events.ProjectsRestored{AccountID: accountID, ProjectIDs: ids})
	return nil
}

// Away tells whether the saga has deleted projects of the account that are not
// back.
func Away(ctx context.Context, tx *choreo.Tx, accountID, saga string) (away bool, err error) {
	err = tx.QueryRowContext(ctx, `select exists (select from project_deletions
		where account_id = $1 and saga = $2 and state = 'deleted')`, accountID, saga).Scan(&away)
	if err != nil {
		return false, fmt.Errorf("reading whether the projects of account %s are back: %w", accountID, err)
	}
	return away, nil
}

// Forget removes an erased account from everybody's projects, and its own for
// ever.
func Forget(ctx context.Context, tx *choreo.Tx, accountID string) error {
	for _, table := range []string{"project_members", "project_deletions", "projects"} {
		if _, err := tx.ExecContext(ctx, `delete from `+table+` where account_id = $1`, accountID); err != nil {
			return fmt.Errorf("erasing the %s of account %s: %w", table, accountID, err)
		}
	}
	return nil
}

// note runs a statement that changes a row the first time only.
func note(ctx context.Context, tx *choreo.Tx, query string, args ...any) (first bool, err error) {
	done, err := tx.ExecContext(ctx, query, args...)
	if err != nil {
		return false, fmt.Errorf("noting the deletion of projects: %w", err)
	}
	n, err := done.RowsAffected()
	return n > 0, err
}
