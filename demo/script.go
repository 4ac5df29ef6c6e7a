package demo

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// plan is what a run is going to do, drawn from the seed.
type plan struct {
	people  []personPlan // those who leave stand behind the others
	chores  []chorePlan
	posts   []postPlan
	orders  []orderPlan
	rentals []rentalPlan
	leavers []leaverPlan
}

type rentalPlan struct {
	label  string
	room   string
	day    int // of those that this run asks for
	nights int
	phone  string
	card   string
	mode   string
	cancel cancelWhen
	after  time.Duration // of the answer or the completion, when it is given up
	guest  int
	rival  bool // somebody has the room before
}

// Days that this run asks for: few, so that some rooms are taken, and behind them
// those of rentals that must not meet another.
const (
	sharedDays = 20
	stay       = 3 // nights at most
	period     = 60
)

// chorePlan is what somebody does with their own account.
type chorePlan struct {
	person int
	verify bool // else the mail is asked for again
}

type leaverPlan struct {
	label    string
	person   int
	projects int
	member   int // who works in them too; -1: nobody
	order    bool
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
	moves  []string // postal codes that it is to go to instead
}

type cancelWhen int

const (
	never cancelWhen = iota
	soon             // at a moment while it may still be charged
	paid             // once it is confirmed, or complete
)

// words are tags that posts share, in several spellings of the same.
var words = []string{"kafka", "Kafka ", "choreography", "sagas", "undo", "outbox", "Größe", "go", "postgres", "events"}

// draw makes the plan of n sagas. The first of each kind are those that fail on
// purpose, each in its way; the rest is mostly in order.
func draw(n int, seed uint64) plan {
	r := rand.New(rand.NewPCG(seed, 0))
	var p plan
	// Of many sagas few are sign-ups: a password hash bounds those.
	people, posts, rentals, leavers := max(min(n/5, 60), 1), max(n/4, 1), n/6, min(n/15, 20)
	chores := people / 4
	for i := range people {
		p.people = append(p.people, drawPerson(i))
	}
	for i := range chores {
		p.chores = append(p.chores, chorePlan{person: people - 1 - i, verify: i%2 == 1})
	}
	for i := range leavers {
		p.people = append(p.people, personPlan{"", "leaver"})
		p.leavers = append(p.leavers, drawLeaver(r, i, people))
	}
	for i := range rentals {
		p.rentals = append(p.rentals, drawRental(r, i, people))
	}
	for i := range posts {
		p.posts = append(p.posts, drawPost(r, i, people))
	}
	for i := range max(n-people-chores-posts-rentals-2*leavers, 1) {
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
	switch {
	case i == len(special)-1:
		o.moves = []string{"54321"}
	case i == len(special):
		o.moves, o.cancel, o.ship = []string{"00001", "54321"}, never, false
	case i == len(special)+1:
		o.moves, o.cancel, o.ship = []string{"00000"}, never, false
	case i > len(special) && r.IntN(5) == 0:
		o.moves = []string{"54321"}
	}
	o.label = orderLabel(o)
	return o
}

// drawRental draws one of few rooms and nights, so that some are taken.
func drawRental(r *rand.Rand, i, people int) rentalPlan {
	p := rentalPlan{
		room: fmt.Sprintf("room-%d", 1+r.IntN(3)), day: r.IntN(sharedDays), nights: 1 + r.IntN(stay), phone: "+49301234567", card: "tok_visa",
		mode: []string{"choreography", "manager"}[i%2], guest: r.IntN(people), after: time.Duration(r.IntN(800)) * time.Millisecond,
	}
	apart := sharedDays + stay + i*stay // nobody else's
	switch {
	case i < 2:
		p.card, p.label = "tok_declined", "declined"
	case i < 4:
		p.cancel, p.label = soon, "withdrawn"
	case i < 6:
		p.phone, p.day, p.label = "+49301230000", apart, "a phone that refuses"
	case i < 8:
		p.cancel, p.day, p.label = paid, apart, "canceled when complete"
	case i < 10:
		p.card, p.day, p.rival, p.label = "tok_refund_fails", apart, true, "taken, and its refund fails"
	case i < 12:
		p.card, p.label = "tok_timeout_after_charge", "tok_timeout_after_charge"
	case r.IntN(5) == 0:
		p.cancel, p.label = soon, "withdrawn"
	}
	p.label = join(p.label, p.mode)
	return p
}

func drawLeaver(r *rand.Rand, i, people int) leaverPlan {
	l := leaverPlan{person: people + i, member: -1, projects: r.IntN(2)}
	switch i % 4 {
	case 1:
		l.projects, l.member, l.label = 1, r.IntN(people), "somebody else works in a project"
	case 2:
		l.order, l.projects, l.label = true, 1, "an order is under way"
	}
	return l
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
