package accounts_test

import (
	"testing"

	"troupe/events"
)

func TestRestoreProjects(t *testing.T) {
	t.Parallel()
	s := open(t)
	var kept string
	ana := s.leaves("ana@example.com", func(id string) { kept = s.has(id) })
	s.after("delete-projects", ana)
	failed := events.AccountDeletionFailed{AccountID: ana.id, Reason: "x"}
	r := s.When("restore-projects", failed, ana.saga)
	r.Emits(events.ProjectsRestored{AccountID: ana.id, ProjectIDs: []string{kept}})
	if n := s.projectsOf(ana.id); n != 1 {
		t.Errorf("%d projects are back", n)
	}
	s.Again(r).Emits(events.ProjectsRestored{AccountID: ana.id, ProjectIDs: []string{kept}})
	s.When("restore-projects", failed, ana.saga).Emits() // a copy of the fact
}

// The undo comes before what it undoes: that then does nothing.
func TestRestoreProjectsBeforeTheyAreDeleted(t *testing.T) {
	t.Parallel()
	s := open(t)
	ana := s.leaves("ana@example.com", func(id string) { s.has(id) })
	late := s.When("delete-projects", events.AccountDeletionRequested{AccountID: ana.id}, ana.saga)
	s.When("restore-projects", events.AccountDeletionFailed{AccountID: ana.id, Reason: "x"}, ana.saga).
		Emits(events.ProjectsRestored{AccountID: ana.id, ProjectIDs: []string{}})
	if r := s.due(late); r.State != "undone" {
		t.Errorf("the late deletion is %s", r.State)
	} else {
		r.Emits()
	}
	if n := s.projectsOf(ana.id); n != 1 {
		t.Error("the project is gone")
	}
}

// Both halves fail: there is nothing to restore, and that is an answer too.
func TestRestoreProjectsThatCouldNotBeDeleted(t *testing.T) {
	t.Parallel()
	s := open(t)
	bob := s.registered("bob@example.com").AccountID
	ana := s.leaves("ana@example.com", func(id string) { s.has(id, bob) })
	s.after("delete-projects", ana)
	s.When("restore-account", events.ProjectsDeletionFailed{AccountID: ana.id, Reason: "x"}, ana.saga).
		Emits(events.AccountRestored{AccountID: ana.id})
	s.When("restore-projects", events.AccountDeletionFailed{AccountID: ana.id, Reason: "x"}, ana.saga).
		Emits(events.ProjectsRestored{AccountID: ana.id, ProjectIDs: []string{}})
	s.When("restore-account", events.ProjectsRestored{AccountID: ana.id, ProjectIDs: []string{}}, ana.saga).Emits()
}

// A saga brings back only what it deleted itself.
func TestRestoreProjectsOfAnotherSaga(t *testing.T) {
	t.Parallel()
	s := open(t)
	ana := s.leaves("ana@example.com", func(id string) { s.has(id) })
	s.after("delete-projects", ana)
	failed := events.AccountDeletionFailed{AccountID: ana.id, Reason: "forged"}
	s.When("restore-projects", failed, "another").Emits()
	s.When("restore-projects", events.AccountDeletionFailed{AccountID: "nobody", Reason: "forged"}, ana.saga).Emits()
	if n := s.projectsOf(ana.id); n != 0 {
		t.Error("another saga brought the project back")
	}
}
