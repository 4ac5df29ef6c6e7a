package blog_test

import (
	"strings"
	"testing"

	"troupe/domain/post"
	"troupe/events"
)

func TestMailAuthor(t *testing.T) {
	t.Parallel()
	b := open(t)
	w := b.write(b.author("ana@example.com"), []string{"go"})
	f := b.withdraw(w)
	r := b.When("mail-author", f, w.saga)
	r.Emits(events.AuthorMailed{PostID: w.id})
	b.Again(r).Emits(events.AuthorMailed{PostID: w.id})
	b.When("mail-author", f, "another saga").Emits() // a copy of the fact
	got := b.sandbox.Mail()
	if len(got) != 1 || got[0].To != "ana@example.com" || got[0].Kind != "post-withdrawn" ||
		!strings.Contains(got[0].Text, "A day out") || !strings.Contains(got[0].Text, f.Reason) {
		t.Errorf("mails: %+v", got)
	}
}

func TestMailAuthorTriesAgain(t *testing.T) {
	t.Parallel()
	b := open(t)
	w := b.write(b.author("flaky@example.com"), []string{"go"})
	r := b.When("mail-author", b.withdraw(w), w.saga)
	for tries := 0; r.State == "waiting" && tries < 4; tries++ {
		r.Emits()
		b.due(r)
		r = b.Again(r)
	}
	r.Emits(events.AuthorMailed{PostID: w.id})
}

func TestMailAuthorFails(t *testing.T) {
	t.Parallel()
	b := open(t)
	for _, c := range []struct{ name, email, forget, reason string }{
		{"refused", "bounce@example.com", "", "refused"},
		{"erased", "ana@example.com", `delete from accounts where email = 'ana@example.com'`, "erased"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := b.write(b.author(c.email), []string{"go"})
			f := b.withdraw(w)
			if c.forget != "" {
				b.exec(c.forget)
			}
			r := b.When("mail-author", f, w.saga)
			r.Emits(events.AuthorMailFailed{PostID: w.id, Reason: c.reason})
			if strings.Contains(r.Error, c.email) {
				t.Errorf("the step tells the address: %s", r.Error)
			}
		})
	}
}

func TestMailAuthorGivesUp(t *testing.T) {
	t.Parallel()
	b := open(t)
	w := b.write(b.author("ana@example.com"), []string{"go"})
	f := b.withdraw(w)
	if err := b.sandbox.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	r := b.When("mail-author", f, w.saga)
	r.Emits()
	b.old(r)
	b.Again(r).Emits(events.AuthorMailFailed{PostID: w.id, Reason: "unavailable"})
}

func TestMailAuthorOnlyOfAWithdrawnPost(t *testing.T) {
	t.Parallel()
	b := open(t)
	ana := b.author("ana@example.com")
	w := b.write(ana, []string{"go"})
	b.When("mail-author", events.PostWithdrawn{PostID: w.id, AuthorID: ana, Reason: "by hand"}, "by hand").Emits()
	b.When("mail-author", events.PostWithdrawn{PostID: "nobody's", AuthorID: ana, Reason: "by hand"}, "").Emits()
	b.isState(w, post.Processing, "go")
	if got := b.sandbox.Mail(); len(got) > 0 {
		t.Errorf("mails: %+v", got)
	}
}
