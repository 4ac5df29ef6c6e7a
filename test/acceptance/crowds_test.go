package acceptance

import (
	"flag"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

var (
	namesakes = flag.Int("namesakes", 24, "how many sign up with one address at the same time")
	authors   = flag.Int("authors", 60, "how many posts with the same ten tags are written at the same time")
)

// One address, in as many spellings as there are, is one account.
func (s shared) manySignUpsWithOneAddress(t *testing.T) {
	mark := token()
	domain := mark + "." + s.tag
	spellings := []string{
		"josé@" + domain + ".bücher.example", "jose\u0301@" + domain + ".bücher.example", "JOSÉ@" + strings.ToUpper(domain) + ".BÜCHER.EXAMPLE",
		" José@" + domain + ".xn--bcher-kva.example\n", "JOSE\u0301@" + domain + ".XN--BCHER-KVA.example",
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	statuses := map[int]int{}
	for i := range *namesakes {
		wg.Go(func() {
			a, err := s.try(http.MethodPost, "/accounts", "", map[string]string{
				"email": spellings[i%len(spellings)], "password": password, "name": "Marker Name",
			})
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			statuses[a.status]++
		})
	}
	wg.Wait()
	if statuses[http.StatusCreated] != 1 || statuses[http.StatusConflict] != *namesakes-1 {
		t.Errorf("the answers were %v; want one 201 and %d 409", statuses, *namesakes-1)
	}
	if n := s.count(t, `select count(*) from accounts where strpos(email, $1) > 0`, mark); n != 1 {
		t.Errorf("%d accounts have the address", n)
	}
}

// Posts that race for the same names share one row per name.
func (s shared) manyPostsWithTheSameTags(t *testing.T) {
	author, mark := s.join(t, "author"), token()
	var wg sync.WaitGroup
	slots := make(chan struct{}, 50)
	for i := range *authors {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			var tags []string
			for n := range 10 {
				spelling := fmt.Sprintf("%s Größe %d", mark, (n+i)%10)
				if i%2 == 1 {
					spelling = " " + strings.ToUpper(spelling) + " "
				}
				tags = append(tags, spelling)
			}
			a, err := s.try(http.MethodPost, "/posts", author.token, postRequest(tags, nil))
			if err != nil || a.status != http.StatusCreated {
				t.Errorf("a post answers %v, %v", a, err)
			}
		})
	}
	wg.Wait()
	eventually(t, 2*time.Minute, func() error {
		if n := s.count(t, `select count(*) from blog_posts where author_id = $1 and state = 'published'`, author.id); n != *authors {
			return fmt.Errorf("%d of %d posts are published", n, *authors)
		}
		return nil
	})
	if n := s.count(t, `select count(*) from tags where strpos(name, $1) > 0`, mark); n != 10 {
		t.Errorf("%d tags; want ten", n)
	}
	if n := s.count(t, `select count(*) from blog_post_tags where strpos(tag_name, $1) > 0`, mark); n != 10**authors {
		t.Errorf("%d mappings; want %d", n, 10**authors)
	}
}
