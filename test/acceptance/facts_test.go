package acceptance

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

var headers = map[string]*regexp.Regexp{
	"ce_specversion":   regexp.MustCompile(`^1\.0$`),
	"ce_id":            regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[78][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`),
	"ce_source":        regexp.MustCompile(`^/troupe/[^/]+/\d+$`),
	"ce_type":          regexp.MustCompile(`^[a-z-]+\.[A-Z][A-Za-z]+\.v[1-9]$`),
	"ce_time":          regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$`),
	"ce_dataschema":    regexp.MustCompile(`.`),
	"content-type":     regexp.MustCompile(`^application/json$`),
	"ce_correlationid": regexp.MustCompile(`.`),
	"ce_emitter":       regexp.MustCompile(`^[a-z-]+$`),
	"ce_sequence":      regexp.MustCompile(`^[1-9]\d*$`),
}

// forwarded waits until all facts stand on Kafka.
func (s shared) forwarded(t *testing.T) {
	t.Helper()
	eventually(t, 20*time.Second, func() error {
		if n := s.count(t, `select (select count(*) from choreo.outbox) + (select count(*) from choreo.streams s
			left join choreo.forwarded f on f.stream = s.id where s.head > coalesce(f.sequence, 0))`); n > 0 {
			return fmt.Errorf("%d facts or partitions are not on Kafka yet", n)
		}
		return nil
	})
}

func (s shared) factsOnKafka(t *testing.T) {
	s.forwarded(t)
	type place struct {
		topic     string
		partition int32
	}
	seen, last := map[string]int{}, map[place]int64{}
	ours, id := 0, regexp.MustCompile(`^\{"[a-z][A-Za-z]*Id":"([^"]+)"`)
	for _, r := range s.records(t) {
		if header(r, "ce_source") == "" {
			continue // from the producer of another test
		}
		ours++
		for name, shape := range headers {
			if value := header(r, name); !shape.MatchString(value) {
				t.Errorf("%s of a %s is %q", name, header(r, "ce_type"), value)
			}
		}
		name, topic := header(r, "ce_type"), strings.TrimPrefix(r.Topic, s.prefix)
		if seen[name]++; !strings.HasPrefix(name, topic+".") {
			t.Errorf("%s stands in topic %s", name, topic)
		}
		if first := id.FindSubmatch(r.Value); len(first) != 2 || !bytes.Equal(first[1], r.Key) {
			t.Errorf("the key of a %s is %s, and its first field is not: %s", name, r.Key, r.Value)
		}
		if want := partitionOf(r.Topic, string(r.Key), 8); r.Partition != want {
			t.Errorf("key %s is in partition %d; Java puts it into %d", r.Key, r.Partition, want)
		}
		n, _ := strconv.ParseInt(header(r, "ce_sequence"), 10, 64)
		if at := (place{topic, r.Partition}); n != last[at]+1 {
			t.Errorf("in %s/%d sequence %d follows %d", topic, r.Partition, n, last[at])
		} else {
			last[at] = n
		}
	}
	if logged := s.count(t, `select count(*) from choreo.event_log where sequence is not null`); ours != logged {
		t.Errorf("%d facts stand on Kafka and %d in the log", ours, logged)
	}
	if seen["orders.OrderStarted.v1"] > 0 {
		t.Error("OrderStarted was published")
	}
	for _, name := range []string{
		"accounts.AccountRegistered.v1", "accounts.VerificationMailSent.v1", "accounts.VerificationMailFailed.v1",
		"attachments.AttachmentUploaded.v2", "posts.PostCreated.v1", "posts.PostPublished.v1", "posts.PostWithdrawn.v1",
		"posts.TagsRemoved.v1", "posts.AttachmentsReturned.v1", "posts.PostDeleted.v1", "orders.OrderSubmitted.v1",
		"orders.OrderCanceled.v1", "orders.OrderShipped.v1", "payments.PaymentCaptured.v1", "payments.PaymentDeclined.v1",
		"payments.PaymentRefunded.v1", "payments.RefundNotNeeded.v1", "payments.RefundFailed.v1",
	} {
		if seen[name] == 0 {
			t.Errorf("no %s was published, so it is not tested", name)
		}
	}
}

// bareRecord is what the stock console producer writes: a type, a key, a value.
func (s shared) bareRecord(t *testing.T) {
	t.Parallel()
	author, mark := s.join(t, "author"), token()
	id, _ := s.write(t, author, []string{"before-" + mark})
	s.postIn(t, id, "published")
	value, err := json.Marshal(map[string]any{
		"postId": id, "authorId": author.id, "title": "A post", "contents": []any{},
		"tagNames": []string{"after-" + mark}, "fileUrls": []string{},
	})
	if err != nil {
		t.Fatal(err)
	}
	record := func() *kgo.Record {
		return &kgo.Record{
			Topic: s.prefix + "posts", Partition: partitionOf(s.prefix+"posts", id, 8), Key: []byte(id), Value: value,
			Headers: []kgo.RecordHeader{{Key: "ce_type", Value: []byte("posts.PostCreated.v1")}},
		}
	}
	s.produce(t, record(), record())
	eventually(t, 20*time.Second, func() error {
		if p := get[postBody](t, s.system, "/posts/"+id); !slices.Contains(p.Tags, "after-"+mark) || len(p.Tags) != 2 {
			return fmt.Errorf("after the record the post has the tags %q", p.Tags)
		}
		return nil
	})
	s.caughtUp(t)
	if p := s.postIn(t, id, "published"); len(p.Tags) != 2 {
		t.Errorf("after the record came twice the post has the tags %q", p.Tags)
	}
	if n := s.count(t, `select count(*) from tags where name like '%' || $1`, mark); n != 2 {
		t.Errorf("%d tags were made; want two", n)
	}
	s.call(t, http.StatusOK, http.MethodGet, "/posts/"+id, "", nil)
}

// home are the columns where what is personal has its place.
var home = []string{
	"public.accounts.email", "public.accounts.name",
	"public.shipping_infos.name", "public.shipping_infos.street", "public.rental_guests.phone",
}

func (s shared) noMarkers(t *testing.T) {
	markers := []string{password, "tok_", s.tag, "Marker Name", "Marker Street", guestPhone, staff}
	find := func(where, text string) {
		for _, m := range markers {
			if i := strings.Index(text, m); i >= 0 {
				t.Errorf("%q stands in %s: …%s…", m, where, text[max(0, i-60):min(len(text), i+60)])
			}
		}
	}
	for _, r := range s.records(t) {
		find("a record's key", string(r.Key))
		find("a "+header(r, "ce_type"), string(r.Value))
		for _, h := range r.Headers {
			find("header "+h.Key, string(h.Value))
		}
	}
	text := s.log(t)
	if !strings.Contains(text, "request") {
		t.Error("the log has no request: it is not the log at level debug")
	}
	if i := strings.Index(text, "Ctrl-C stops it"); i >= 0 { // up prints the staff token, for whom it started for
		text = text[i:]
	}
	find("the log", text)

	found := 0
	for _, c := range s.columns(t) {
		for _, m := range markers {
			n := s.count(t, fmt.Sprintf(`select count(*) from %s where strpos(%s, $1) > 0`, c.table, c.text), m)
			switch {
			case slices.Contains(home, c.table+"."+c.name):
				found += n
			case n > 0:
				t.Errorf("%q stands in %d rows of %s.%s", m, n, c.table, c.name)
			}
		}
	}
	if found == 0 {
		t.Error("the markers are not even where they belong: nothing is tested")
	}
}

// column is one of our tables.
type column struct {
	table, name string
	text        string // what gives its value as text
	written     bool   // it is of a table and may hold any text
}

// columns are those of every schema but the sandbox's, which is the world outside.
func (s shared) columns(t *testing.T) (all []column) {
	t.Helper()
	rows, err := s.db.Query(`select format('%I.%I', table_schema, table_name), format('%I', column_name),
			format(case data_type when 'bytea' then 'encode(%I, ''escape'')' else '%I::text' end, column_name),
			table_type = 'BASE TABLE' and data_type in ('text', 'bytea', 'json', 'jsonb', 'character varying', 'ARRAY')
		from information_schema.columns join information_schema.tables using (table_schema, table_name)
		where table_schema not in ('pg_catalog', 'information_schema', 'sandbox') order by 1, 2`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var c column
		if err := rows.Scan(&c.table, &c.name, &c.text, &c.written); err != nil {
			t.Fatal(err)
		}
		all = append(all, c)
	}
	if err := rows.Err(); err != nil || len(all) < 60 {
		t.Fatalf("%d columns, %v", len(all), err)
	}
	return all
}
