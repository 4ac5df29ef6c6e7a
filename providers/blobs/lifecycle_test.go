package blobs

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
)

// ruled is an S3 that has buckets and, perhaps, lifecycle rules.
type ruled struct {
	knows bool
	mu    sync.Mutex
	rules string
	puts  int
}

func (s *ruled) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case !r.URL.Query().Has("lifecycle"):
	case !s.knows:
		w.WriteHeader(http.StatusNotImplemented)
	case r.Method == http.MethodPut:
		body, _ := io.ReadAll(r.Body)
		s.rules, s.puts = string(body), s.puts+1
	case s.rules == "":
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, `<Error><Code>NoSuchLifecycleConfiguration</Code></Error>`)
	default:
		_, _ = io.WriteString(w, s.rules)
	}
}

func TestTheBucketLetsTemporaryObjectsGo(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "key")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	t.Setenv("AWS_MAX_ATTEMPTS", "1")
	const others = `<LifecycleConfiguration><Rule><ID>theirs</ID><Status>Enabled</Status><Filter><Prefix>logs/</Prefix></Filter><Expiration><Days>9</Days></Expiration></Rule></LifecycleConfiguration>`
	for name, server := range map[string]*ruled{
		"no rules yet":         {knows: true},
		"rules of others":      {knows: true, rules: others},
		"a store without them": {},
	} {
		t.Run(name, func(t *testing.T) {
			before := server.rules
			h := httptest.NewServer(server)
			defer h.Close()
			for range 2 {
				s, err := Open(t.Context(), "s3://bucket?endpoint="+url.QueryEscape(h.URL), CreateBucket(), Expire("files/temp/", 2))
				if err != nil {
					t.Fatal(err)
				}
				if s.Expires() != server.knows {
					t.Errorf("it lets objects go by itself: %t", s.Expires())
				}
				_ = s.Close()
			}
			if !server.knows {
				return
			}
			if server.puts != 1 || !strings.Contains(server.rules, "<Days>2</Days>") || !strings.Contains(server.rules, "<Prefix>files/temp/</Prefix>") {
				t.Errorf("put %d times: %s", server.puts, server.rules)
			}
			if strings.Contains(server.rules, "theirs") != (before != "") {
				t.Errorf("the rules of others are not what they were: %s", server.rules)
			}
		})
	}
	s, err := Open(t.Context(), "file://"+t.TempDir(), CreateBucket(), Expire("files/temp/", 2))
	if err != nil || s.Expires() {
		t.Errorf("a directory lets nothing go by itself: %v", err)
	}
	_ = s.Close()
}
