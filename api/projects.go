package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"troupe/choreo"
	"troupe/domain/account"
	"troupe/domain/project"
)

// projects adds making projects, adding members and listing.
func (s *Server) projects() {
	s.refuses(http.StatusNotFound, project.ErrNotFound)

	tags := []string{"projects"}
	register(s, accountsAndStaff, huma.Operation{
		OperationID: "list-projects", Method: http.MethodGet, Path: "/accounts/{id}/projects", Tags: tags,
		Summary: "List the projects that an account works in, newest first",
	}, s.listProjects)
	register(s, accountsOnly, huma.Operation{
		OperationID: "create-project", Method: http.MethodPost, Path: "/accounts/{id}/projects", Tags: tags,
		Summary: "Make a project of yours", DefaultStatus: http.StatusCreated,
	}, s.createProject)
	register(s, accountsOnly, huma.Operation{
		OperationID: "add-member", Method: http.MethodPut, Path: "/projects/{id}/members/{accountId}", Tags: tags,
		Summary:     "Have somebody work in a project of yours",
		Description: "Of somebody who does already, the answer is the same.",
	}, s.addMember)
}

type projectBody struct {
	ProjectID string   `json:"projectId"`
	Name      string   `json:"name"`
	Members   []string `json:"members" nullable:"false" doc:"Account ids, the owner's first"`
}

type projectAnswer struct {
	Receipt
	Body projectBody
}

func answerProject(p *project.Project, r Receipt) *projectAnswer {
	return &projectAnswer{r, projectBody{p.ID, p.Name, p.Members}}
}

type projectsRequest struct {
	ID     string `path:"id"`
	Limit  int    `query:"limit" minimum:"1" maximum:"200" default:"50"`
	Cursor string `query:"cursor" doc:"The next of the answer before"`
}

type projectsAnswer struct {
	Body struct {
		Items []projectBody `json:"items" nullable:"false"`
		Next  *string       `json:"next" doc:"The cursor of the next page; null at the end"`
	}
}

func (s *Server) listProjects(ctx context.Context, in *projectsRequest) (*projectsAnswer, error) {
	if !caller(ctx).mayRead(in.ID) {
		return nil, errNotFound
	}
	if caller(ctx).Staff {
		if _, err := account.Get(ctx, s.DB.Pool(), in.ID); err != nil {
			return nil, err
		}
	}
	list, err := project.List(ctx, s.DB.Pool(), in.ID, in.Cursor, in.Limit+1)
	if err != nil {
		return nil, err
	}
	out := &projectsAnswer{}
	if len(list) > in.Limit {
		list = list[:in.Limit]
		out.Body.Next = &list[in.Limit-1].ID
	}
	out.Body.Items = []projectBody{}
	for _, p := range list {
		out.Body.Items = append(out.Body.Items, projectBody{p.ID, p.Name, p.Members})
	}
	return out, nil
}

type createProjectRequest struct {
	ID   string `path:"id"`
	Body struct {
		Name string `json:"name" doc:"1 to 200 characters"`
	}
}

func (s *Server) createProject(ctx context.Context, in *createProjectRequest) (*projectAnswer, error) {
	if caller(ctx).AccountID != in.ID {
		return nil, errNotFound
	}
	var p *project.Project
	return command(ctx, s, "create-project", working(func(ctx context.Context, tx *choreo.Tx) (err error) {
		p, err = project.Create(ctx, tx, in.ID, in.Body.Name)
		return err
	}), func(_ context.Context, r choreo.Receipt) (*projectAnswer, error) {
		return answerProject(p, settled(r)), nil
	})
}

type addMemberRequest struct {
	ID        string `path:"id"`
	AccountID string `path:"accountId"`
}

func (s *Server) addMember(ctx context.Context, in *addMemberRequest) (*projectAnswer, error) {
	var p *project.Project
	return command(ctx, s, "add-member", working(func(ctx context.Context, tx *choreo.Tx) (err error) {
		if err = account.Joinable(ctx, tx, in.AccountID); err != nil {
			return err
		}
		if p, err = project.Load(ctx, tx, caller(ctx).AccountID, in.ID); err != nil {
			return err
		}
		return p.Add(ctx, tx, in.AccountID)
	}), func(_ context.Context, r choreo.Receipt) (*projectAnswer, error) {
		return answerProject(p, settled(r)), nil
	})
}
