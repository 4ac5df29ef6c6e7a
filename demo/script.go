package demo

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// plan is what a run is going to do, drawn from the seed.
type plan struct {
	people []personPlan
	posts  []postPlan
	orders []orderPlan
}

type personPlan struct {
	label   string
	mailbox string // the local part, which says how mail to it fails
}

type postPlan struct {
	label  string
	tags   []string
	files  []string // names
	remove bool
	after  time.Duration // of the answer, when it is removed
	author int
}

type orderPlan struct {
	label  string
	card   string
	pieces int
	price  int64
	cancel cancelWhen
	after  time.Duration // of the answer or the confirmation, when it is canceled
	ship   bool
	buyer  int
}

type cancelWhen int

const (
	never cancelWhen = iota
	soon             // at a moment while it may still be charged
	paid             // once it is confirmed
)

// words are tags that posts share, in several spellings of the same.
var words = []string{"kafka", "Kafka ", "choreography", "sagas", "undo", "outbox", "Größe", "go", "postgres", "events"}

// draw makes the plan of n sagas. The first of each kind are those that fail on
// purpose, each in its way; the rest is mostly in order.
func draw(n int, seed uint64) plan {
	r := rand.New(rand.NewPCG(seed, 0))
	var p plan
	people, posts := max(n/4, 1), max(n*3/8, 1)
	for i := range people {
		p.people = append(p.people, drawPerson(i))
	}
	for i := range posts {
		p.posts = append(p.posts, drawPost(r, i, people))
	}
	for i := range max(n-people-posts, 1) {
		p.orders = append(p.orders, drawOrder(r, i, people))
	}
	r.Shuffle(len(p.posts), func(i, j int) { p.posts[i], p.posts[j] = p.posts[j], p.posts[i] })
	r.Shuffle(len(p.orders), func(i, j int) { p.orders[i], p.orders[j] = p.orders[j], p.orders[i] })
	return p
}

func drawPerson(i int) personPlan {
	switch i {
	case 1:
		return personPlan{"bounce@, refused for good", "bounce"}
	case 2:
		return personPlan{"flaky@, fails twice", "flaky"}
	case 3:
		return personPlan{"slow@, takes 5 s", "slow"}
	}
	return personPlan{"", "person"}
}

func drawPost(r *rand.Rand, i, people int) postPlan {
	p := postPlan{author: r.IntN(people)}
	for _, at := range r.Perm(len(words))[:r.IntN(4)] {
		p.tags = append(p.tags, words[at])
	}
	for f := range r.IntN(3) {
		p.files = append(p.files, fmt.Sprintf("picture-%d.png", f+1))
	}
	switch i {
	case 0:
		p.tags, p.files = []string{"kafka", "undo", "forbidden"}, []string{"picture-1.png", "picture-2.png"}
		p.label = "a forbidden tag"
	case 1:
		p.tags, p.files = []string{"kafka", "undo"}, []string{"picture-1.png", "corrupt.png"}
		p.label = "a corrupt file"
	case 2:
		p.tags, p.files, p.remove = []string{"kafka", "sagas"}, []string{"picture-1.png"}, true
	case 3:
		p.tags, p.files = []string{"kafka", "choreography", "go"}, []string{"picture-1.png", "picture-2.png"}
	default:
		p.remove = r.IntN(6) == 0
	}
	if p.remove {
		p.after = time.Duration(r.IntN(400)) * time.Millisecond
		p.label = "deleted"
	}
	return p
}

func drawOrder(r *rand.Rand, i, people int) orderPlan {
	o := orderPlan{card: "tok_visa", pieces: 1 + r.IntN(3), price: 500 + int64(r.IntN(50))*100, buyer: r.IntN(people)}
	special := []struct {
		card   string
		cancel cancelWhen
	}{
		{"tok_declined", never}, {"tok_flaky", never}, {"tok_slow", soon}, {"tok_timeout_after_charge", never},
		{"tok_refund_fails", paid}, {"tok_visa", paid}, {"tok_timeout_after_charge", soon}, {"tok_slow", never},
		{"tok_flaky", soon}, {"tok_visa", never},
	}
	k := r.IntN(10)
	switch {
	case i < len(special):
		o.card, o.cancel = special[i].card, special[i].cancel
		o.ship = i == len(special)-1
	case k < 3:
		o.cancel = soon
	case k < 5:
		o.ship = true
	}
	o.after = time.Duration(r.IntN(800)) * time.Millisecond
	if o.cancel == paid {
		o.after /= 4
	}
	o.label = orderLabel(o)
	return o
}

func orderLabel(o orderPlan) string {
	label := ""
	if o.card != "tok_visa" {
		label = o.card
	}
	switch {
	case o.cancel == soon:
		label = join(label, fmt.Sprintf("canceled after %d ms", o.after.Milliseconds()))
	case o.cancel == paid:
		label = join(label, "canceled when paid")
	case o.ship:
		label = join(label, "shipped")
	}
	return label
}

func join(a, b string) string {
	if a == "" {
		return b
	}
	return a + ", " + b
}
