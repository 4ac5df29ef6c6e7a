package project

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/lib/pq"
)

// Querier is a pool or a transaction.
type Querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// List reads the projects that an account works in, its own and others', newest
// first, before the given id where it is not empty.
func List(ctx context.Context, q Querier, accountID, before string, limit int) ([]*Project, error) {
	return list(ctx, q, `
		where p.deleted_by = '' and ($2 = '' or p.project_id < $2)
		  and exists (select from project_members m where m.project_id = p.project_id and m.account_id = $1)
		order by p.project_id desc limit $3`, accountID, before, limit)
}

func list(ctx context.Context, q Querier, where string, args ...any) ([]*Project, error) {
	rows, err := q.QueryContext(ctx, `select p.project_id, p.account_id, p.name, p.created_at,
			array(select m.account_id from project_members m where m.project_id = p.project_id
				order by m.account_id <> p.account_id, m.joined_at, m.account_id)
		from projects p `+where, args...)
	if err != nil {
		return nil, fmt.Errorf("reading projects: %w", err)
	}
	defer rows.Close()
	all := []*Project{}
	for rows.Next() {
		p := &Project{}
		if err := rows.Scan(&p.ID, &p.OwnerID, &p.Name, &p.CreatedAt, pq.Array(&p.Members)); err != nil {
			return nil, fmt.Errorf("reading projects: %w", err)
		}
		all = append(all, p)
	}
	return all, rows.Err()
}
