package api

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"troupe/choreo/saga"
)

type sagasRequest struct {
	Status string `query:"status" enum:"running,overdue,parked,settled" doc:"Only sagas of this status"`
	Limit  int    `query:"limit" minimum:"1" maximum:"200" default:"50"`
	Cursor string `query:"cursor" doc:"The next of the answer before"`

	before int64
}

// Resolve reads the cursor.
func (r *sagasRequest) Resolve(huma.Context) []error {
	var err error
	if r.Cursor != "" {
		r.before, err = strconv.ParseInt(r.Cursor, 10, 64)
	}
	if err != nil || r.before < 0 {
		return []error{&huma.ErrorDetail{Location: "query.cursor", Message: "expected the next of an answer", Value: r.Cursor}}
	}
	return nil
}

type sagasAnswer struct {
	Body struct {
		Items []*saga.Saga `json:"items"`
		Next  *string      `json:"next" doc:"The cursor of the next page; null at the end"`
	}
}

func (s *Server) listSagas(ctx context.Context, in *sagasRequest) (*sagasAnswer, error) {
	list, next, err := saga.List(ctx, s.DB, in.Status, in.before, in.Limit)
	if err != nil {
		return nil, err
	}
	out := &sagasAnswer{}
	out.Body.Items = append([]*saga.Saga{}, list...)
	if next > 0 {
		cursor := strconv.FormatInt(next, 10)
		out.Body.Next = &cursor
	}
	return out, nil
}

type sagaRequest struct {
	ID string `path:"id"`
}

type sagaAnswer struct {
	Body *saga.Saga
}

func (s *Server) showSaga(ctx context.Context, in *sagaRequest) (*sagaAnswer, error) {
	found, err := saga.Show(ctx, s.DB, in.ID)
	if err != nil {
		return nil, err
	}
	owner, err := s.ownerOf(ctx, found)
	if err != nil {
		return nil, err
	}
	if !caller(ctx).mayRead(owner) {
		return nil, saga.ErrNotFound
	}
	return &sagaAnswer{found}, nil
}

// ownerOf is the account that started a saga: as the first fact names it, or the
// owner of the order that it names; empty where it names none.
func (s *Server) ownerOf(ctx context.Context, of *saga.Saga) (string, error) {
	var first struct {
		AccountID string `json:"accountId"`
		AuthorID  string `json:"authorId"`
		OwnerID   string `json:"ownerId"`
		OrderID   string `json:"orderId"`
	}
	if json.Unmarshal(of.FirstFact(), &first) != nil {
		return "", nil //nolint:nilerr // it names nobody
	}
	owner := cmp.Or(first.AccountID, first.AuthorID, first.OwnerID)
	if owner != "" || first.OrderID == "" {
		return owner, nil
	}
	err := s.DB.Pool().QueryRowContext(ctx, `select account_id from orders where order_id = $1`, first.OrderID).Scan(&owner)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return "", fmt.Errorf("reading whose saga %s is: %w", of.ID, err)
	}
	return owner, nil
}
