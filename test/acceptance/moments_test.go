package acceptance

import (
	"flag"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

var moments = flag.Int("moments", 1, "how often an order, a post and a rental are each taken back at twenty random moments of their sagas")

// Orders, posts and rentals are taken back at twenty random moments of their sagas,
// again and again: states, money, tags and files are as they say. -moments=100 for
// the full number.
func (s shared) takenBackAtAnyMoment(t *testing.T) {
	t.Parallel()
	who := s.join(t, "guest")
	keeper, shared := s.join(t, "author"), "shared-"+token()
	kept, _ := s.write(t, keeper, []string{shared})
	s.postIn(t, kept, "published")
	var posts []string
	for round := range *moments {
		var begun sync.WaitGroup
		orders, rentals, written := make([]string, 20), make([]rented, 20), make([]takenPost, 20)
		for moment := range 20 {
			begun.Go(func() { orders[moment] = s.takeBackOrder(t, who, moment) })
			begun.Go(func() { rentals[moment] = s.takeBackRental(t, who, modes[(round+moment)%2], moment) })
			begun.Go(func() { written[moment] = s.takeBackPost(t, who, shared, moment) })
		}
		begun.Wait()
		if t.Failed() {
			return
		}
		ledger := s.ledger(t)
		for moment := range 20 {
			s.orderIsBack(t, orders[moment], ledger[orders[moment]])
			s.rentalIsBack(t, rentals[moment].id, ledger[rentals[moment].id])
			s.postIsBack(t, written[moment])
			posts = append(posts, written[moment].id)
		}
	}
	if p := s.postIn(t, kept, "published"); !slices.Equal(p.Tags, []string{shared}) {
		t.Errorf("the post that stays has the tags %q", p.Tags)
	}
	for _, id := range s.foldersOf(t, posts) {
		t.Errorf("copies of post %s are left", id)
	}
}

// anyMoment waits: most moments lie where something happens, a few when it is over.
func anyMoment(moment int) {
	<-time.After(time.Duration(rand.Int64N(int64(15*time.Millisecond) * int64(moment+1))))
}

// isUndone waits until a saga has settled, and checks that nothing of it is owed.
func (s shared) isUndone(t *testing.T, saga string) sagaBody {
	t.Helper()
	g := s.settled(t, saga)
	if g.Outcome != "undone" || len(g.Owed) > 0 {
		t.Errorf("the saga came out %s, owed %v: %+v", g.Outcome, g.Owed, g.Steps)
	}
	return g
}

func (s shared) takeBackOrder(t *testing.T, buyer person, moment int) (id string) {
	id, saga := s.place(t, buyer, "tok_visa")
	anyMoment(moment)
	s.cancel(t, buyer, id)
	if g := s.isUndone(t, saga); g.has("orders.OrderCanceled") != 1 || g.has("orders.RefundCompleted") != 1 {
		t.Errorf("the saga of order %s is %+v", id, g.Steps)
	}
	return id
}

func (s shared) orderIsBack(t *testing.T, id string, money account) {
	t.Helper()
	var o orderBody
	eventually(t, 30*time.Second, func() error { // no saga waits for a view
		o = get[orderBody](t, s.system, "/orders/"+id)
		if o.State != "canceled" || o.RefundStatus == "started" {
			return fmt.Errorf("order %s is %s, refund %s", id, o.State, o.RefundStatus)
		}
		return nil
	})
	if !money.isGivenBack() || o.Captured != o.Refunded || (o.RefundStatus == "completed") != (money.charges == 1) {
		t.Errorf("the provider has %+v of %+v", money, o)
	}
}

func (s shared) takeBackRental(t *testing.T, guest person, mode string, moment int) rented {
	from, to := s.night()
	r := s.rent(t, guest, rentalRequest(mode, "tok_visa", from, to))
	anyMoment(moment)
	s.call(t, http.StatusAccepted, http.MethodDelete, "/rentals/"+r.id, guest.token, nil)
	said(t, s.isUndone(t, r.saga), mode, "rentals.RentalWithdrawn")
	return r
}

func (s shared) rentalIsBack(t *testing.T, id string, money account) {
	t.Helper()
	r := s.rental(t, id)
	if !money.isGivenBack() || r.State != "withdrawn" || r.Captured != r.Refunded || (r.RefundStatus == "completed") != (money.charges == 1) ||
		!slices.Contains([]string{"completed", "none"}, r.RefundStatus) {
		t.Errorf("the provider has %+v of %+v", money, r)
	}
	if n := s.count(t, `select count(*) from room_nights where rental_id = $1`, id); n != 0 {
		t.Errorf("rental %s is withdrawn, and holds its room", id)
	}
}

// takenPost is a post that was deleted while its tags and files were under way.
type takenPost struct {
	id, tag string
	files   []string // temporary URLs
}

// takeBackPost deletes a post. A file of every fourth cannot be copied, so that it
// may be withdrawing by then.
func (s shared) takeBackPost(t *testing.T, author person, shared string, moment int) takenPost {
	second := "two.png"
	if moment%4 == 3 {
		second = "corrupt.png"
	}
	p := takenPost{tag: "own-" + token(), files: []string{
		s.upload(t, author, "one.png", picture(20+moment)), s.upload(t, author, second, picture(60+moment)),
	}}
	id, saga := s.write(t, author, []string{shared, p.tag}, p.files...)
	p.id = id
	anyMoment(moment)
	s.call(t, http.StatusAccepted, http.MethodDelete, "/posts/"+id, author.token, nil)
	g := s.isUndone(t, saga)
	if g.has("posts.PostDeleted")+g.has("posts.PostWithdrawn") != 1 || g.has("posts.TagsRemoved") != 1 || g.has("posts.AttachmentsReturned") != 1 ||
		g.has("posts.TagsCreated") > 1 || g.has("posts.AttachmentsRelocated") > 1 {
		t.Errorf("the saga of post %s is %+v", id, g.Steps)
	}
	return p
}

// postIsBack checks that a post has no tag and no copy any more; deleted its files
// are gone, withdrawn they are where they were.
func (s shared) postIsBack(t *testing.T, p takenPost) {
	t.Helper()
	got := get[postBody](t, s.system, "/posts/"+p.id)
	want, rows := http.StatusNotFound, 0
	switch got.State {
	case "deleted":
	case "withdrawn":
		want, rows = http.StatusOK, len(p.files)
	default:
		t.Errorf("post %s is %s", p.id, got.State)
	}
	for _, u := range p.files {
		s.call(t, want, http.MethodGet, u, "", nil)
	}
	var ids []string
	for _, u := range p.files {
		ids = append(ids, strings.Split(u, "/")[3])
	}
	left := s.count(t, `select (select count(*) from tags where name = $2) + (select count(*) from blog_post_tags where post_id = $1)
		+ (select count(*) from blog_post_attachments where post_id = $1) + (select count(*) from blog_post_files where post_id = $1)
		+ (select count(*) from attachments where post_id = $1)`, p.id, p.tag)
	temporary := s.count(t, `select count(*) from attachments where attachment_id in ($1, $2) and post_id is null`, ids[0], ids[1])
	if len(got.Tags) > 0 || left > 0 || temporary != rows {
		t.Errorf("post %s, %s, has the tags %q, %d rows of it are left and %d of its temporary files, want %d", p.id, got.State, got.Tags, left, temporary, rows)
	}
}

// foldersOf tells which of the posts have files in the blob store.
func (s *system) foldersOf(t *testing.T, posts []string) (found []string) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join(s.data, "blobs"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil //nolint:nilerr // what goes while we walk is gone
		}
		for part := range strings.SplitSeq(path, string(filepath.Separator)) {
			if slices.Contains(posts, part) {
				found = append(found, part)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
