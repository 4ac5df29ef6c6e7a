package accounts_test

import (
	"testing"

	"troupe/events"
)

func TestDeleteProjects(t *testing.T) {
	t.Parallel()
	s := open(t)
	var first, second string
	ana := s.leaves("ana@example.com", func(id string) { first, second = s.has(id), s.has(id) })
	r := s.after("delete-projects", ana)
	r.Emits(events.ProjectsDeleted{AccountID: ana.id, ProjectIDs: []string{first, second}})
	if n := s.projectsOf(ana.id); n != 0 {
		t.Errorf("%d projects are left", n)
	}
	s.after("delete-projects", ana).Emits() // a copy of the fact

	bob := s.leaves("bob@example.com")
	s.after("delete-projects", bob).Emits(events.ProjectsDeleted{AccountID: bob.id, ProjectIDs: []string{}})
}

func TestDeleteProjectsOfTwo(t *testing.T) {
	t.Parallel()
	s := open(t)
	bob := s.registered("bob@example.com").AccountID
	ana := s.leaves("ana@example.com", func(id string) { s.has(id); s.has(id, bob) })
	s.after("delete-projects", ana).
		Emits(events.ProjectsDeletionFailed{AccountID: ana.id, Reason: "another member still works in a project"})
	if n := s.projectsOf(ana.id); n != 2 {
		t.Errorf("%d projects are left, want both", n)
	}
	s.after("delete-projects", ana).Emits() // a copy of the fact
}

func TestDeleteProjectsOfAnotherSaga(t *testing.T) {
	t.Parallel()
	s := open(t)
	ana := s.leaves("ana@example.com", func(id string) { s.has(id) })
	s.after("delete-projects", leaver{ana.id, "another"}).Emits()
	s.after("delete-projects", leaver{"nobody", "another"}).Emits()
	if n := s.projectsOf(ana.id); n != 1 {
		t.Error("the project is gone")
	}
}
