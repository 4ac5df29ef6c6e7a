// Package project is the projects that people work in together. Each belongs
// to the account that made it, which is one of its members; all projects of an
// account are deleted, and restored, together.
package project

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"
	"golang.org/x/text/unicode/norm"

	"troupe/choreo"
	"troupe/events"
)

// ErrNotFound is a project that is not there, or is deleted.
var ErrNotFound = errors.New("there is no such project")

// maxName bounds a project's name, in characters.
const maxName = 200

// nameError is a name that breaks the rule. It names its field.
type nameError struct{}

func (nameError) Field() string { return "name" }
func (nameError) Error() string {
	return fmt.Sprintf("a project's name has 1 to %d characters, none of them a control character", maxName)
}

// Project is one project.
type Project struct {
	ID        string
	OwnerID   string
	Name      string
	Members   []string // account ids, the owner first, then as they came
	CreatedAt time.Time
}

// Create stores a new project of the owner, who is its first member.
func Create(ctx context.Context, tx *choreo.Tx, ownerID, name string) (*Project, error) {
	name = norm.NFC.String(strings.TrimSpace(name))
	if n := utf8.RuneCountInString(name); n == 0 || n > maxName || !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl) {
		return nil, nameError{}
	}
	p := &Project{ID: tx.NewID(), OwnerID: ownerID, Name: name, Members: []string{ownerID}, CreatedAt: tx.Now()}
	_, err := tx.ExecContext(ctx, `insert into projects (project_id, account_id, name, created_at) values ($1, $2, $3, $4)`,
		p.ID, p.OwnerID, p.Name, p.CreatedAt)
	if err != nil {
		return nil, fmt.Errorf("creating a project: %w", err)
	}
	if err := insertMember(ctx, tx, p.ID, ownerID); err != nil {
		return nil, err
	}
	tx.Emit(events.ProjectCreated{AccountID: p.OwnerID, ProjectID: p.ID})
	return p, nil
}

// Load locks and reads a project of the owner. ErrNotFound where it is another's.
func Load(ctx context.Context, tx *choreo.Tx, ownerID, projectID string) (*Project, error) {
	if uuid.Validate(projectID) != nil {
		return nil, ErrNotFound
	}
	found, err := list(ctx, tx, `where p.project_id = $1 and p.account_id = $2 and p.deleted_by = '' for update of p`, projectID, ownerID)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, ErrNotFound
	}
	return found[0], nil
}

// Add makes somebody a member, once.
func (p *Project) Add(ctx context.Context, tx *choreo.Tx, memberID string) error {
	if slices.Contains(p.Members, memberID) {
		return nil
	}
	if err := insertMember(ctx, tx, p.ID, memberID); err != nil {
		return err
	}
	p.Members = append(p.Members, memberID)
	tx.Emit(events.MemberAdded{AccountID: p.OwnerID, ProjectID: p.ID, MemberID: memberID})
	return nil
}

func insertMember(ctx context.Context, tx *choreo.Tx, projectID, memberID string) error {
	_, err := tx.ExecContext(ctx, `insert into project_members (project_id, account_id, joined_at) values ($1, $2, $3)`,
		projectID, memberID, tx.Now())
	if err != nil {
		return fmt.Errorf("adding a member to project %s: %w", projectID, err)
	}
	return nil
}
