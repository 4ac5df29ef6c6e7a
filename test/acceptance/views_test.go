package acceptance

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

type salesBody struct {
	Items []struct {
		Day                  string
		Orders               int
		Gross, Refunded, Net money
	}
}

type eventsBody struct {
	Items []struct {
		Position                             int64
		ID, Source, Type, Topic, Key, SagaID string
		Emitter                              string
		CausationID                          *string
		Time                                 time.Time
		Data                                 json.RawMessage
	}
	Position int64
}

// A system whose views live in another database, as everything there is to do
// with views and with events for others needs one of its own: its sums.
func TestViewsInAnotherDatabase(t *testing.T) {
	t.Parallel()
	url, db := database(t)
	viewsURL, views := database(t)
	s := shared{up(t, onDatabase(url), with("TROUPE_VIEWS_DATABASE_URL", viewsURL)), db}
	v := shared{s.system, views}
	t.Run("order-details: a client reads its own write", s.seenOrder)
	t.Run("post-list: a client reads its own write", s.seenPost)
	t.Run("account-info: a client reads its own write", s.seenAccount)
	t.Run("sales-stats: by UTC days, with what was given back", s.sales)
	t.Run("four ways to react asynchronously", s.fourWays)
	t.Run("GET /events: pulled without gap or repetition while they come", s.pulledWhileTheyCome)
	t.Run("GET /events/stream: sent as they come", s.streamed)
	t.Run("views rebuild: beside the live one, while events go on", v.rebuilt)
	for _, schema := range []string{"order_details", "post_list", "account_info", "sales_stats"} {
		if n := s.count(t, `select count(*) from pg_namespace where nspname = $1`, schema); n != 0 {
			t.Errorf("%s is in the database of the commands", schema)
		}
		if n := v.count(t, `select count(*) from pg_namespace where nspname = $1`, schema); n != 1 {
			t.Errorf("%s is not in the database of views", schema)
		}
	}
	if n := v.count(t, `select count(*) from information_schema.tables where table_schema = 'public' and table_name = 'accounts'`); n != 0 {
		t.Error("the database of views has tables of the commands")
	}
}

func (s shared) seenOrder(t *testing.T) {
	buyer := s.join(t, "buyer")
	placed := s.call(t, http.StatusAccepted, http.MethodPost, "/orders", buyer.token, orderRequest("tok_visa"))
	id := as[orderBody](t, placed).OrderID
	s.call(t, http.StatusOK, http.MethodGet, "/orders/"+id+"?seen="+placed.header.Get("Troupe-Event"), buyer.token, nil)
	canceled := s.call(t, http.StatusAccepted, http.MethodPost, "/orders/"+id+"/cancellation", buyer.token, nil)
	o := as[orderBody](t, s.call(t, http.StatusOK, http.MethodGet, "/orders/"+id+"?seen="+canceled.header.Get("Troupe-Event"), buyer.token, nil))
	if o.State != "canceled" || o.Total.Amount != orderTotal {
		t.Errorf("after its cancellation was seen the order is %+v", o)
	}
	s.settled(t, canceled.header.Get("Troupe-Saga"))
	eventually(t, 20*time.Second, func() error {
		if o = s.order(t, id); o.State != "canceled" || o.RefundStatus == "started" || o.Captured != o.Refunded {
			return fmt.Errorf("the order is %+v", o)
		}
		return nil
	})
	if shipTo := string(s.call(t, http.StatusOK, http.MethodGet, "/orders/"+id, buyer.token, nil).body); !strings.Contains(shipTo, "Marker Street") {
		t.Errorf("the order does not say where it goes: %s", shipTo)
	}
	unknown, err := s.try(http.MethodGet, "/orders/"+id+"?seen=nobody-knows-it", buyer.token, nil)
	if err != nil || unknown.status != http.StatusAccepted || as[orderBody](t, unknown).State != "canceled" {
		t.Errorf("for an event that nobody knows it answers %v, %v; want 202 with what there is", unknown, err)
	}
}

func (s shared) seenPost(t *testing.T) {
	author := s.join(t, "author")
	made := s.call(t, http.StatusCreated, http.MethodPost, "/posts", author.token,
		map[string]any{"title": "Seen " + s.tag, "contents": []any{}, "tagNames": []string{"seen"}})
	list := func(token string) string {
		return string(s.call(t, http.StatusOK, http.MethodGet, "/posts?limit=200&seen="+made.header.Get("Troupe-Event"), token, nil).body)
	}
	if text := list(author.token); !strings.Contains(text, "Seen "+s.tag) {
		t.Errorf("the post is not listed for its author: %s", text)
	}
	s.postIn(t, as[postBody](t, made).PostID, "published")
	eventually(t, 20*time.Second, func() error {
		if text := list(""); !strings.Contains(text, "Seen "+s.tag) || strings.Contains(text, "contents") {
			return fmt.Errorf("the post is not listed for everybody: %s", text)
		}
		return nil
	})
}

func (s shared) seenAccount(t *testing.T) {
	p := s.join(t, "reader")
	s.mailState(t, p, "sent")
	again := s.call(t, http.StatusAccepted, http.MethodPost, "/accounts/"+p.id+"/verification-mails", p.token, nil)
	a := as[accountBody](t, s.call(t, http.StatusOK, http.MethodGet, "/accounts/"+p.id+"?seen="+again.header.Get("Troupe-Event"), p.token, nil))
	if a.AccountID != p.id || a.Email != p.email || a.Name != "Marker Name" || a.State != "unverified" {
		t.Errorf("the account is %+v", a)
	}
	s.mailState(t, p, "sent")
}

// sums are all sales so far.
func (s shared) sums(t *testing.T) (orders int, gross, refunded, net int64) {
	t.Helper()
	for _, day := range get[salesBody](t, s.system, "/stats/sales").Items {
		orders, gross, refunded, net = orders+day.Orders, gross+day.Gross.Amount, refunded+day.Refunded.Amount, net+day.Net.Amount
		if day.Gross.Currency != "EUR" || day.Net.Amount != day.Gross.Amount-day.Refunded.Amount {
			t.Errorf("a day of sales is %+v", day)
		}
	}
	return orders, gross, refunded, net
}

func (s shared) sales(t *testing.T) {
	buyer := s.join(t, "buyer")
	orders, gross, refunded, _ := s.sums(t)
	sold, _ := s.place(t, buyer, "tok_visa")
	s.confirmed(t, sold)
	given, _ := s.place(t, buyer, "tok_visa")
	s.confirmed(t, given)
	s.cancel(t, buyer, given)
	_, saga := s.place(t, buyer, "tok_declined")
	s.settled(t, saga)
	eventually(t, 20*time.Second, func() error {
		o, g, r, n := s.sums(t)
		if o != orders+2 || g != gross+2*orderTotal || r != refunded+orderTotal || n != g-r {
			return fmt.Errorf("%d orders, %d - %d = %d, after %d, %d - %d", o, g, r, n, orders, gross, refunded)
		}
		return nil
	})
	today := time.Now().UTC()
	day := func(offset int) string { return today.AddDate(0, 0, offset).Format(time.DateOnly) }
	for query, some := range map[string]bool{
		"from=" + day(-1) + "&to=" + day(2): true, "from=" + day(0) + "&to=" + day(0): true,
		"from=" + day(-9) + "&to=" + day(-1): false, "from=" + day(2): false,
	} {
		if query == "from="+day(2) {
			query += "&to=" + day(3)
		}
		if n := len(get[salesBody](t, s.system, "/stats/sales?"+query).Items); (n > 0) != some {
			t.Errorf("%s gives %d days", query, n)
		}
	}
	s.call(t, http.StatusForbidden, http.MethodGet, "/stats/sales", buyer.token, nil)
	s.call(t, http.StatusUnauthorized, http.MethodGet, "/stats/sales", "", nil)
	s.call(t, http.StatusUnprocessableEntity, http.MethodGet, "/stats/sales?from=yesterday", staff, nil)
}

// Right after commit from the log (record-mail), over Kafka (order-details),
// forwarded from the event log to whoever reads the topic, and pulled over HTTP
// (sales-stats).
func (s shared) fourWays(t *testing.T) {
	p := s.join(t, "buyer")
	eventually(t, 20*time.Second, func() error {
		if n := s.count(t, `select count(*) from accounts where account_id = $1 and mail = 'sent'`, p.id); n != 1 {
			return fmt.Errorf("record-mail has not recorded the mail")
		}
		return nil
	})
	before, _, _, _ := s.sums(t) //nolint:dogsled // the days before alone matter
	id, _ := s.place(t, p, "tok_visa")
	s.confirmed(t, id)
	eventually(t, 20*time.Second, func() error {
		for _, r := range s.records(t) {
			if string(r.Key) == id && header(r, "ce_type") == "orders.OrderConfirmed.v1" {
				return nil
			}
		}
		return fmt.Errorf("no OrderConfirmed of %s stands on Kafka", id)
	})
	eventually(t, 20*time.Second, func() error {
		if after, _, _, _ := s.sums(t); after != before+1 {
			return fmt.Errorf("sales-stats counts %d orders after %d", after, before)
		}
		return nil
	})
}

func (s shared) pulledWhileTheyCome(t *testing.T) {
	end := get[eventsBody](t, s.system, "/events?after=0&limit=1000").Position
	var writing sync.WaitGroup
	const writers, each = 6, 5
	for range writers {
		p := s.join(t, "author")
		writing.Go(func() {
			for n := range each {
				a, err := s.try(http.MethodPost, "/posts", p.token, map[string]any{"title": fmt.Sprint(n), "contents": []any{}})
				if err != nil || a.status != http.StatusCreated {
					t.Errorf("writing a post: %v, %v", a, err)
				}
			}
		})
	}
	created := 0
	for at := end; created < writers*each; {
		began := time.Now()
		page := get[eventsBody](t, s.system, fmt.Sprintf("/events?after=%d&limit=7&wait=20s", at))
		if len(page.Items) == 0 && time.Since(began) > 15*time.Second {
			t.Fatalf("only %d posts came", created)
		}
		for _, e := range page.Items {
			if e.Position != at+1 {
				t.Fatalf("after position %d comes %d", at, e.Position)
			}
			at = e.Position
			if e.Type == "posts.PostCreated.v1" {
				created++
			}
			if e.ID == "" || e.Source == "" || e.Topic == "" || e.Key == "" || e.SagaID == "" || e.Emitter == "" || len(e.Data) == 0 {
				t.Errorf("pulled %+v", e)
			}
		}
	}
	writing.Wait()
	past := get[eventsBody](t, s.system, "/events?after=1000000000")
	if len(past.Items) != 0 || past.Position != 1000000000 {
		t.Errorf("past the end: %+v", past)
	}
}

func (s shared) streamed(t *testing.T) {
	end := get[eventsBody](t, s.system, "/events?topic=nobody&after=0").Position
	req, err := http.NewRequest(http.MethodGet, "http://"+s.http+"/events/stream?topic=accounts", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+staff)
	req.Header.Set("Last-Event-ID", fmt.Sprint(end))
	res, err := httpClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	p := s.signUp(t, "reader")
	lines := bufio.NewScanner(res.Body)
	for lines.Scan() {
		if text := lines.Text(); strings.HasPrefix(text, "data: ") && strings.Contains(text, "accounts.AccountRegistered.v1") && strings.Contains(text, p.id) {
			return
		}
	}
	t.Errorf("the stream ended without the sign-up: %v", lines.Err())
}

// snapshot is what a view tells, row by row.
func (s shared) snapshot(t *testing.T, table string) (rows []string) {
	t.Helper()
	found, err := s.db.Query(`select x::text from ` + table + ` x order by 1`)
	if err != nil {
		t.Fatal(err)
	}
	defer found.Close()
	for found.Next() {
		var row string
		if err := found.Scan(&row); err != nil {
			t.Fatal(err)
		}
		rows = append(rows, row)
	}
	if err := found.Err(); err != nil {
		t.Fatal(err)
	}
	return rows
}

func (s shared) rebuilt(t *testing.T) {
	if out, err := s.run("views", "rebuild", "order-details"); err != nil || !strings.Contains(out, "--execute") {
		t.Errorf("without --execute: %v, %s", err, out)
	}
	buyer := s.join(t, "buyer")
	var sagas []string
	traffic := make(chan struct{})
	go func() {
		defer close(traffic)
		for n := range 12 {
			a, err := s.try(http.MethodPost, "/orders", buyer.token, orderRequest("tok_visa"))
			if err != nil || a.status != http.StatusAccepted {
				t.Errorf("placing an order: %v, %v", a, err)
				return
			}
			sagas = append(sagas, a.header.Get("Troupe-Saga"))
			if n%3 == 0 {
				if _, err := s.try(http.MethodPost, "/orders/"+as[orderBody](t, a).OrderID+"/cancellation", buyer.token, nil); err != nil {
					t.Error(err)
				}
			}
		}
	}()
	tables := map[string][]string{"order-details": {"order_details.orders", "order_details.payments"}, "post-list": {"post_list.posts"},
		"account-info": {"account_info.accounts"}, "sales-stats": {"sales_stats.orders", "sales_stats.days"}}
	for name := range tables {
		if out, err := s.run("views", "rebuild", name, "--execute"); err != nil || !strings.Contains(out, "is live") {
			t.Errorf("rebuilding %s: %v, %s", name, err, out)
		}
	}
	<-traffic
	for _, saga := range sagas {
		s.settled(t, saga)
	}
	s.caughtUp(t)
	for name, list := range tables {
		live := map[string][]string{}
		for _, table := range list {
			live[table] = s.snapshot(t, table)
		}
		if out, err := s.run("views", "rebuild", name, "--execute"); err != nil {
			t.Errorf("rebuilding %s: %v, %s", name, err, out)
		}
		for table, rows := range live {
			if again := s.snapshot(t, table); len(rows) == 0 || !slices.Equal(again, rows) {
				t.Errorf("%s, rebuilt under traffic, has %d rows, rebuilt at rest %d, or others:\n%v\n%v", table, len(rows), len(again), rows, again)
			}
		}
	}
	if _, err := s.run("views", "rebuild", "nothing"); err == nil {
		t.Error("a view that is none is rebuilt")
	}
}
