package api

import (
	"cmp"
	"context"
	"encoding/json"

	"troupe/choreo/saga"
)

type sagasRequest struct {
	Status string `query:"status" enum:"running,overdue,parked,settled" doc:"Only sagas of this status"`
	Limit  int    `query:"limit" minimum:"1" maximum:"200" default:"50"`
	Cursor string `query:"cursor" doc:"The next of the answer before"`
}

type sagasAnswer struct {
	Body struct {
		Items []*saga.Saga `json:"items"`
		Next  *string      `json:"next" doc:"The cursor of the next page; null at the end"`
	}
}

func (s *Server) listSagas(ctx context.Context, in *sagasRequest) (*sagasAnswer, error) {
	list, err := saga.List(ctx, s.DB, in.Status, in.Cursor, in.Limit)
	if err != nil {
		return nil, err
	}
	out := &sagasAnswer{}
	out.Body.Items = append([]*saga.Saga{}, list...)
	if len(list) == in.Limit {
		out.Body.Next = &list[len(list)-1].ID
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
	if !caller(ctx).mayRead(ownerOf(found)) {
		return nil, saga.ErrNotFound
	}
	return &sagaAnswer{found}, nil
}

// ownerOf is the account that started a saga, as the first fact names it; empty
// where that names none.
func ownerOf(s *saga.Saga) string {
	var first struct {
		AccountID string `json:"accountId"`
		AuthorID  string `json:"authorId"`
		OwnerID   string `json:"ownerId"`
	}
	if json.Unmarshal(s.FirstFact(), &first) != nil {
		return ""
	}
	return cmp.Or(first.AccountID, first.AuthorID, first.OwnerID)
}
