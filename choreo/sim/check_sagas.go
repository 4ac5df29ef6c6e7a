package sim

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"troupe/choreo/saga"
)

// checkSagas: every saga of the log is listed and settled, and its row says so.
func (s *Sim) checkSagas(ctx context.Context, log []logged, report reporter) error {
	for again := true; again; {
		n, err := saga.Advance(ctx, s.DB)
		if err != nil {
			return err
		}
		again = n > 0
	}
	all, _, err := saga.List(ctx, s.DB, "", 0, 1<<20)
	if err != nil {
		return err
	}
	settled, _, err := saga.List(ctx, s.DB, saga.Settled, 0, 1<<20)
	if err != nil {
		return err
	}
	listed, saysSo := map[string]bool{}, map[string]bool{}
	for _, g := range settled {
		saysSo[g.ID] = true
	}
	for _, g := range all {
		listed[g.ID] = true
		switch {
		case g.Status == saga.Settled && !saysSo[g.ID]:
			report("lists say what sagas are", g.ID, "saga %s of %s is settled, and its row does not say so", g.ID, g.StartedBy)
		case g.Status != saga.Settled && !strings.HasPrefix(g.ID, "stray"):
			report("every saga settles", g.ID, "saga %s of %s is %s: expected %v", g.ID, g.StartedBy, g.Status, g.Expected)
		}
	}
	for _, l := range log {
		if !listed[l.saga] {
			listed[l.saga] = true
			report("lists say what sagas are", l.saga, "saga %s is in the log, and in no list", l.saga)
		}
	}
	s.counts["sagas"] = len(all)
	return s.checkRows(ctx, report)
}

// checkRows: every row of a saga says what is computed of it.
func (s *Sim) checkRows(ctx context.Context, report reporter) error {
	says := map[string]string{}
	rows, err := s.DB.Pool().QueryContext(ctx, `select saga, status from choreo.sagas`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var id, status string
		if err := rows.Scan(&id, &status); err != nil {
			return err
		}
		says[id] = status
	}
	for _, id := range slices.Sorted(maps.Keys(says)) {
		is, err := saga.Show(ctx, s.DB, id)
		if err != nil {
			return fmt.Errorf("showing saga %s: %w", id, err)
		}
		if is.Status != says[id] {
			report("lists say what sagas are", id, "the row of saga %s says %s, and it is %s", id, says[id], is.Status)
		}
	}
	return rows.Err()
}
