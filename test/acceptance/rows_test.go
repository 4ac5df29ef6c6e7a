package acceptance

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"troupe/handlers"
)

var writeRows = flag.Bool("rows", false, "write docs/coverage.md: which test shows which row of the catalogue")

// row is one thing that may come of a fact at a consumer, or of a command.
type row struct{ consumer, on, fact string }

// elsewhere are the rows that come about only after hours, or by a race that a
// client cannot force: they are shown by the consumer's own test, beside it.
var elsewhere = map[row]string{
	{"expire-attachments", "", "attachments.AttachmentExpired.v1"}:                                         "api: TestTemporaryFilesExpire",
	{"return-attachments", "posts.PostWithdrawn.v1", "posts.AttachmentsReturnFailed.v1"}:                   "handlers/blog: TestReturnAttachmentsGivesUp",
	{"return-attachments", "posts.PostDeleted.v1", "posts.AttachmentsReturnFailed.v1"}:                     "handlers/blog: TestReturnAttachmentsGivesUp",
	{"capture-payment", "orders.OrderSubmitted.v1", "payments.PaymentUnknown.v1"}:                          "handlers/orders: TestCapturePaymentGivesUp",
	{"cancel-unpaid-order", "payments.PaymentUnknown.v1", "orders.OrderCanceled.v1"}:                       "handlers/orders: TestCancelUnpaidOrder",
	{"charge-rental", "rentals.RentalRequested.v1", "rentals.RentalChargeUnknown.v1"}:                      "handlers/rentals: TestChargeRentalGivesUp",
	{"charge-rental", "rentals-commands.ChargeRental.v1", "managed-rentals.RentalChargeUnknown.v1"}:        "handlers/rentals: TestChargeRentalGivesUp",
	{"complete-rental", "rentals.RoomOccupied.v1", "rentals.RentalCompletionFailed.v1"}:                    "handlers/rentals: TestCompleteRentalThatIsWithdrawn",
	{"complete-rental", "rentals-commands.CompleteRental.v1", "managed-rentals.RentalCompletionFailed.v1"}: "handlers/rentals: TestCompleteRentalThatIsWithdrawn",
	{"release-room", "rentals.RentalCompletionFailed.v1", "rentals.RoomReleased.v1"}:                       "handlers/rentals: TestReleaseRoom",
	{"refund-rental", "rentals.RoomReleased.v1", "rentals.RentalRefundFailed.v1"}:                          "handlers/rentals: TestRefundRentalRefusedForGood",
	{"refund-rental", "rentals.RentalChargeUnknown.v1", "rentals.RentalRefunded.v1"}:                       "handlers/rentals: TestRefundRentalOfAnUnknownCharge",
	{"refund-rental", "rentals.RentalChargeUnknown.v1", "rentals.RentalRefundFailed.v1"}:                   "handlers/rentals: TestRefundRentalGivesUp",
	{"manage-rental", "managed-rentals.RentalRequested.v1", "rentals-commands.WithdrawRental.v1"}:          "domain/process: TestDecisions",
	{"manage-rental", "managed-rentals.RentalCharged.v1", "rentals-commands.RefundRental.v1"}:              "domain/process: TestDecisions",
	{"manage-rental", "managed-rentals.RoomOccupied.v1", "rentals-commands.ReleaseRoom.v1"}:                "domain/process: TestDecisions",
	{"manage-rental", "managed-rentals.RentalChargeUnknown.v1", "rentals-commands.RefundRental.v1"}:        "domain/process: TestDecisions",
	{"manage-rental", "managed-rentals.RentalCompletionFailed.v1", "rentals-commands.ReleaseRoom.v1"}:      "domain/process: TestDecisions",
}

// note remembers which test a saga is of, or an event that begins one.
func (s *system) note(t *testing.T, saga string) {
	if saga == "" {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sagas == nil {
		s.sagas = map[string]string{}
	}
	if s.sagas[saga] == "" {
		_, name, _ := strings.Cut(strings.TrimPrefix(t.Name(), "TestARunningSystem/"), "together/")
		s.sagas[saga] = strings.ReplaceAll(name, "_", " ")
	}
}

// logged is an event as GET /events gives it.
type logged struct {
	ID, Type, SagaID, CausationID, Emitter string
}

// shownRows reads from the log which rows have come about, and in which tests.
func (s shared) shownRows(t *testing.T) map[row][]string {
	t.Helper()
	shown := map[row][]string{} // by row, tests
	byID := map[string]logged{}
	for after := int64(0); ; {
		page := get[struct {
			Items    []logged
			Position int64
		}](t, s.system, fmt.Sprintf("/events?limit=1000&after=%d", after))
		if len(page.Items) == 0 {
			break
		}
		after = page.Position
		for _, e := range page.Items {
			byID[e.ID] = e
			test := s.sagas[e.SagaID]
			if test == "" {
				test = s.sagas[e.ID]
			}
			for _, r := range []row{
				{e.Emitter, byID[e.CausationID].Type, e.Type}, // a domain fact is no event of the log
				{"", e.Type, ""},
			} {
				if test == "" && len(shown[r]) == 0 {
					shown[r] = []string{}
				} else if test != "" && !slices.Contains(shown[r], test) {
					shown[r] = append(shown[r], test)
				}
			}
		}
	}
	return shown
}

// everyRow compares what the log holds in the end with what the flow says may
// come about.
func (s shared) everyRow(t *testing.T) {
	shown := s.shownRows(t)
	var table strings.Builder
	flow, err := handlers.Flow(handlers.Outside{})
	if err != nil {
		t.Fatal(err)
	}
	tell := func(consumer, on, fact string, r row) {
		tests, ok := shown[r]
		slices.Sort(tests)
		const most = 3
		where := strings.Join(tests[:min(len(tests), most)], "; ")
		if more := len(tests) - most; more > 0 {
			where += fmt.Sprintf("; and %d more", more)
		}
		if by := elsewhere[row{consumer, on, fact}]; !ok && by != "" {
			if !testExists(t, by) {
				t.Errorf("%s shows no row any more: it is gone", by)
			}
			where, ok = "`"+by+"`", true
		}
		if !ok {
			t.Errorf("no test has shown: on %s, %s brings %s", on, consumer, fact)
		}
		fmt.Fprintf(&table, "| %s | `%s` | %s | %s |\n", name(on), consumer, name(fact), where)
	}
	for _, c := range flow.Commands() {
		for _, fact := range c.EmitsTypes {
			if !flow.IsDomain(fact) {
				tell(c.Name, "", fact, row{c.Name, "", fact})
			}
		}
	}
	for _, c := range flow.Consumers() {
		for _, rule := range c.Rules() {
			on := rule.On
			if rule.Domain {
				on = ""
			}
			facts := slices.Concat(rule.Emits, rule.FailsWith)
			for _, fact := range facts {
				r := row{c.Name, on, fact}
				if rule.Joins { // which of its facts comes last is chance
					for _, other := range c.Rules() {
						if tests, ok := shown[row{c.Name, other.On, fact}]; ok {
							shown[r] = slices.Compact(slices.Sorted(slices.Values(slices.Concat(shown[r], tests))))
						}
					}
				}
				tell(c.Name, rule.On, fact, r)
			}
			if len(facts) == 0 {
				tell(c.Name, rule.On, "", row{"", on, ""})
			}
		}
	}
	for r := range maps.Keys(elsewhere) {
		if c := flow.Consumer(r.consumer); flow.Command(r.consumer) == nil && (c == nil || c.Rule(r.on) == nil) {
			t.Errorf("%v is no row of the flow", r)
		}
	}
	if *writeRows && !t.Failed() {
		head := "# Which test shows which row\n\nWritten by `make coverage` from a run of the acceptance tests: who reacts to what, what came of it, and in which\n" +
			"tests, by their names. They go through HTTP and Kafka only.\n\n| on | command or consumer | comes of it | test |\n|---|---|---|---|\n"
		if err := os.WriteFile("../../docs/coverage.md", []byte(head+table.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func name(factType string) string {
	if factType == "" {
		return "–"
	}
	return "`" + strings.TrimSuffix(factType, ".v1") + "`"
}

// testExists looks for "folder: TestName".
func testExists(t *testing.T, at string) bool {
	t.Helper()
	folder, test, _ := strings.Cut(at, ": ")
	files, err := filepath.Glob(filepath.Join("..", "..", folder, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	declared := regexp.MustCompile(`(?m)^func ` + test + `\(t `)
	for _, f := range files {
		body, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if declared.Match(body) {
			return true
		}
	}
	return false
}
