package demo

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// moneySum: what the provider holds of each order is what the order's state
// says. All tells that the orders are all there are, so that a payment for
// anything else is wrong.
func moneySum(ids []string, orders []*order, transfers []transfer, all bool) Sum {
	s := Sum{Name: "money"}
	charged, refunded, charges := map[string]int64{}, map[string]int64{}, map[string]int{}
	for _, t := range transfers {
		switch {
		case t.Status != "succeeded":
		case t.Kind == "charge":
			charged[t.Reference] += t.Amount
			charges[t.Reference]++
		case t.Kind == "refund":
			refunded[t.Reference] += t.Amount
		}
	}
	states, total, owed := map[string]int{}, map[string][2]int64{}, 0
	for i, o := range orders {
		id := ids[i]
		if o == nil {
			s.Wrong = append(s.Wrong, fmt.Sprintf("order %s is in the log, and GET /orders/%s says 404", id, id))
			continue
		}
		states[o.State]++
		if o.RefundStatus == "failed" {
			owed++
		}
		sum := total[o.Total.Currency]
		total[o.Total.Currency] = [2]int64{sum[0] + charged[id], sum[1] + refunded[id]}
		s.Wrong = append(s.Wrong, checkOrder(o, charged[id], refunded[id], charges[id])...)
	}
	if all {
		for reference := range charged {
			if !slices.Contains(ids, reference) {
				s.Wrong = append(s.Wrong, fmt.Sprintf("%d was charged for %s, which is no order", charged[reference], reference))
			}
		}
	}
	s.Text = fmt.Sprintf("%d orders and rentals: %d confirmed, %d shipped, %d canceled", len(ids), states["confirmed"], states["shipped"], states["canceled"])
	if owed > 0 {
		s.Text += fmt.Sprintf(" (%d owed)", owed)
	}
	for _, c := range slices.Sorted(maps.Keys(total)) {
		in, out := total[c][0], total[c][1]
		s.Text += fmt.Sprintf("; captured %s − refunded %s = %s %s", cents(in), cents(out), cents(in-out), c)
	}
	return s
}

// checkOrder says what of an order does not fit what the provider did.
func checkOrder(o *order, charged, refunded int64, charges int) (wrong []string) {
	say := func(format string, args ...any) {
		wrong = append(wrong, fmt.Sprintf("order %s (%s, refund %s) ", o.OrderID, o.State, o.RefundStatus)+fmt.Sprintf(format, args...))
	}
	want := int64(0)
	switch {
	case o.State == "confirmed", o.State == "shipped":
		want = o.Total.Amount
	case o.State == "canceled" && o.RefundStatus == "failed":
		want = charged // all that was taken is owed
		if refunded != 0 {
			say("is flagged as owed and was refunded %s", cents(refunded))
		}
	case o.State != "canceled" || o.RefundStatus == "started":
		say("is not done")
	}
	if charged-refunded != want {
		say("holds %s, and should hold %s", cents(charged-refunded), cents(want))
	}
	if charges > 1 {
		say("was charged %d times", charges)
	}
	if o.Captured.Amount != charged || o.Refunded.Amount != refunded {
		say("says captured %s and refunded %s; the provider says %s and %s",
			cents(o.Captured.Amount), cents(o.Refunded.Amount), cents(charged), cents(refunded))
	}
	return wrong
}

func cents(n int64) string {
	sign := ""
	if n < 0 {
		sign, n = "−", -n
	}
	return fmt.Sprintf("%s%d.%02d", sign, n/100, n%100)
}

// addressed is a mail of one kind to one person.
type addressed struct{ to, kind string }

// mailSum: each mail that the system says it sent was accepted exactly once,
// and each that was asked for was sent or has failed.
func mailSum(facts []fact, people []*account, letters []letter) Sum {
	s := Sum{Name: "mails"}
	address := map[string]string{}
	for _, p := range people {
		if p != nil { // else erased
			address[p.AccountID] = p.Email
		}
	}
	sent, failed, asked := sentMails(facts, address)
	accepted, replays, refused, later := map[addressed]int{}, 0, 0, 0
	ours := slices.Collect(maps.Values(address))
	slices.Sort(ours)
	for _, l := range letters {
		if _, found := slices.BinarySearch(ours, l.To); !found {
			continue
		}
		switch l.Status {
		case "succeeded":
			accepted[addressed{l.To, l.Kind}]++
		case "replayed":
			replays++
		case "declined":
			refused++
		case "failed":
			later++
		}
	}
	total := 0
	for a := range maps.Keys(union(sent, accepted)) {
		total += accepted[a]
		if sent[a] != accepted[a] {
			s.Wrong = append(s.Wrong, fmt.Sprintf("%s to %s: sent %d times by the facts, accepted %d times", a.kind, a.to, sent[a], accepted[a]))
		}
	}
	for kind, n := range asked {
		switch {
		case n > 0:
			s.Wrong = append(s.Wrong, fmt.Sprintf("%d %s mails were asked for, and neither sent nor given up", n, kind))
		case n < 0:
			s.Wrong = append(s.Wrong, fmt.Sprintf("%d %s mails more were sent or given up than asked for", -n, kind))
		}
	}
	slices.Sort(s.Wrong)
	s.Text = fmt.Sprintf("%d accepted exactly once each, %d given up; attempts besides: %d refused, %d failed for now, %d replayed",
		total, failed, refused, later, replays)
	return s
}

// asks and tells are the facts that ask for a mail and those that say it was
// sent or given up, by the kind of mail.
var (
	asks = map[string]string{
		"accounts.AccountRegistered.v1": "verification", "accounts.VerificationMailRequested.v1": "verification",
		"posts.PostWithdrawn.v1": "post-withdrawn", "orders.OrderConfirmed.v1": "order-confirmed",
	}
	tells = map[string]string{
		"accounts.VerificationMailSent.v1": "verification", "posts.AuthorMailed.v1": "post-withdrawn",
		"orders.BuyerMailed.v1": "order-confirmed",
	}
	givesUp = map[string]string{
		"accounts.VerificationMailFailed.v1": "verification", "posts.AuthorMailFailed.v1": "post-withdrawn",
		"orders.BuyerMailFailed.v1": "order-confirmed",
	}
)

// sentMails counts what the facts say of mails to people at known addresses:
// sent, given up, and by kind what was asked for and is neither.
func sentMails(facts []fact, address map[string]string) (sent map[addressed]int, failed int, open map[string]int) {
	sent, open = map[addressed]int{}, map[string]int{}
	owner := map[string]string{} // of an account's, an order's or a post's key
	for _, f := range facts {
		if id := f.owner(); id != "" {
			owner[f.Key] = id
		}
		to := address[owner[f.Key]]
		if to == "" {
			continue
		}
		if kind := asks[f.Type]; kind != "" {
			open[kind]++
		}
		if kind := tells[f.Type]; kind != "" {
			open[kind]--
			sent[addressed{to, kind}]++
		}
		if kind := givesUp[f.Type]; kind != "" {
			open[kind]--
			failed++
		}
	}
	return sent, failed, open
}

func union[K comparable](a, b map[K]int) map[K]int {
	all := maps.Clone(a)
	maps.Copy(all, b)
	return all
}

// checkPost says what of a post is not as its state says.
func checkPost(p *article, asked fact) (wrong []string) {
	say := func(format string, args ...any) {
		wrong = append(wrong, fmt.Sprintf("post %s (%s) ", p.PostID, p.State)+fmt.Sprintf(format, args...))
	}
	var want struct {
		TagNames []string `json:"tagNames"`
		FileURLs []string `json:"fileUrls"`
	}
	_ = json.Unmarshal(asked.Data, &want) // our own fact
	moved := 0
	for _, a := range p.Attachments {
		if strings.Contains(a.URL, "/blog-post/") {
			moved++
		}
	}
	switch p.State {
	case "published":
		if tags := len(distinct(want.TagNames)); len(p.Tags) != tags {
			say("has %d tags of %d", len(p.Tags), tags)
		}
		if files := len(distinct(want.FileURLs)); moved != files {
			say("has %d files in place of %d", moved, files)
		}
	case "withdrawn", "deleted":
		if len(p.Tags)+moved > 0 {
			say("still has %d tags and %d files", len(p.Tags), moved)
		}
	default:
		say("is not done")
	}
	return wrong
}

func distinct(list []string) []string {
	list = slices.Clone(list)
	slices.Sort(list)
	return slices.Compact(list)
}
