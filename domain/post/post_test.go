package post

import (
	"encoding/json"
	"reflect"
	"testing"

	"troupe/choreo"
	"troupe/events"
)

// Every change names the states it starts from: from any other it does nothing.
func TestStates(t *testing.T) {
	t.Parallel()
	urls := map[string]string{temp1: final1}
	for name, c := range map[string]struct {
		change func(*Post)
		from   map[State]State
		raises choreo.Fact
	}{
		"publish": {
			func(p *Post) { p.Publish() }, map[State]State{Processing: Published},
			events.PostPublished{PostID: "p"},
		},
		"withdraw": {
			func(p *Post) { p.Withdraw("why") }, map[State]State{Processing: Withdrawn},
			events.PostWithdrawn{PostID: "p", AuthorID: "ana", Reason: "why"},
		},
		"delete": {
			func(p *Post) { p.Delete() }, map[State]State{Processing: Deleted, Published: Deleted},
			events.PostDeleted{PostID: "p"},
		},
		"take files": {
			func(p *Post) { p.TakeFiles([]string{"a"}, urls) }, map[State]State{Processing: Processing},
			events.AttachmentsRelocated{PostID: "p", AttachmentIDs: []string{"a"}},
		},
		"return files": {
			func(p *Post) { p.ReturnFiles(urls) }, map[State]State{Withdrawn: Withdrawn, Deleted: Deleted},
			events.AttachmentsReturned{PostID: "p"},
		},
	} {
		for _, from := range []State{Processing, Published, Withdrawn, Deleted} {
			t.Run(name+" "+string(from), func(t *testing.T) {
				t.Parallel()
				p := &Post{ID: "p", AuthorID: "ana", Title: "t", State: from, Contents: []json.RawMessage{[]byte(`{}`)}}
				before := *p
				c.change(p)
				want, starts := c.from[from]
				if !starts {
					if !reflect.DeepEqual(*p, before) {
						t.Errorf("changed to %+v", p)
					}
					return
				}
				if p.State != want || !reflect.DeepEqual(p.raised, []choreo.Fact{c.raises}) {
					t.Errorf("%s, raised %v", p.State, p.raised)
				}
			})
		}
	}
}

func TestADeletedPostSaysNothing(t *testing.T) {
	t.Parallel()
	p := &Post{ID: "p", Title: "secret", State: Published, Contents: []json.RawMessage{[]byte(`{"a":1}`)}}
	p.Delete()
	if p.Title != "" || len(p.Contents) != 0 {
		t.Errorf("left: %q %s", p.Title, p.Contents)
	}
}
