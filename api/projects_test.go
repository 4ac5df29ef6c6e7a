package api_test

import (
	"net/http"
	"slices"
	"testing"
)

type projectBody struct {
	ProjectID, Name string
	Members         []string
}

func TestProjects(t *testing.T) {
	t.Parallel()
	r := start(t)
	ana, anas := r.signedIn("ana@example.com")
	bob, bobs := r.signedIn("bob@example.com")
	var p projectBody
	got := r.do("POST", "/accounts/"+ana+"/projects", anas, map[string]string{"name": " A project "}).is(http.StatusCreated).into(&p)
	if p.ProjectID == "" || p.Name != "A project" || !slices.Equal(p.Members, []string{ana}) || got.header.Get("Troupe-Event") == "" {
		t.Errorf("project %+v with %v", p, got.header)
	}
	path := "/projects/" + p.ProjectID + "/members/"
	for i, event := range []bool{true, false} { // once more changes nothing
		got := r.do("PUT", path+bob, anas, nil).is(200).into(&p)
		if !slices.Equal(p.Members, []string{ana, bob}) || (got.header.Get("Troupe-Event") != "") != event {
			t.Errorf("try %d: project %+v with %v", i, p, got.header)
		}
	}
	for who, token := range map[string]string{ana: anas, bob: bobs} {
		for _, as := range []string{token, staffToken} {
			var list struct{ Items []projectBody }
			r.do("GET", "/accounts/"+who+"/projects", as, nil).is(200).into(&list)
			if len(list.Items) != 1 || list.Items[0].ProjectID != p.ProjectID {
				t.Errorf("the projects of %s are %+v", who, list)
			}
		}
	}
	r.do("GET", "/accounts/"+ana+"/projects", bobs, nil).is(404)
	r.do("GET", "/accounts/nobody/projects", staffToken, nil).is(404)
	r.do("POST", "/accounts/"+ana+"/projects", bobs, map[string]string{"name": "x"}).is(404)
	r.do("POST", "/accounts/"+ana+"/projects", staffToken, map[string]string{"name": "x"}).is(403)
	if at := r.do("POST", "/accounts/"+ana+"/projects", anas, map[string]string{"name": " "}).is(422).locations(); !slices.Equal(at, []string{"body.name"}) {
		t.Errorf("at %v", at)
	}
	r.do("PUT", path+"nobody", anas, nil).is(404)
	r.do("PUT", path+bob, bobs, nil).is(404)
	r.do("PUT", "/projects/nothing/members/"+bob, anas, nil).is(404)
	r.do("DELETE", "/accounts/"+bob, bobs, nil).is(202)
	r.do("PUT", path+bob, anas, nil).is(409)
}

func TestProjectsArePaged(t *testing.T) {
	t.Parallel()
	r := start(t)
	ana, token := r.signedIn("ana@example.com")
	var made, read []string
	for range 3 {
		var p projectBody
		r.do("POST", "/accounts/"+ana+"/projects", token, map[string]string{"name": "x"}).is(201).into(&p)
		made = append([]string{p.ProjectID}, made...)
	}
	for path := "/accounts/" + ana + "/projects?limit=2"; path != ""; {
		var page struct {
			Items []projectBody
			Next  *string
		}
		r.do("GET", path, token, nil).is(200).into(&page)
		for _, p := range page.Items {
			read = append(read, p.ProjectID)
		}
		if path = ""; page.Next != nil {
			path = "/accounts/" + ana + "/projects?limit=2&cursor=" + *page.Next
		}
	}
	if !slices.Equal(made, read) {
		t.Errorf("read %v, want %v", read, made)
	}
}
