package post

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

const (
	temp1  = "/files/temp/01890000-0000-7000-8000-000000000001/a.png"
	final1 = "/files/blog-post/p/01890000-0000-7000-8000-000000000001/a.png"
	temp2  = "/files/temp/01890000-0000-7000-8000-000000000002/%C3%9Cber.pdf"
	final2 = "/files/blog-post/p/01890000-0000-7000-8000-000000000002/%C3%9Cber.pdf"
)

func TestReplaceURLs(t *testing.T) {
	t.Parallel()
	urls := map[string]string{temp1: final1, temp2: final2}
	// T1, T2 stand for the temporary URLs, F1, F2 for the final ones.
	marks := strings.NewReplacer("T1", temp1, "T2", temp2, "F1", final1, "F2", final2)
	for name, c := range map[string]struct{ given, want string }{
		"alone":                        {`{"url":"T1"}`, `{"url":"F1"}`},
		"two, and one twice":           {`{"a":"T1 T2 T1"}`, `{"a":"F1 F2 F1"}`},
		"nested":                       {`{"a":[{"b":[["T1"]]},null,true,1.50]}`, `{"a":[{"b":[["F1"]]},null,true,1.50]}`},
		"HTML":                         {`{"h":"<img src=\"T1\"><a href='T2'>x</a>"}`, `{"h":"<img src=\"F1\"><a href='F2'>x</a>"}`},
		"escaped HTML":                 {`{"h":"&quot;T1&quot;"}`, `{"h":"&quot;F1&quot;"}`},
		"markdown":                     {`{"m":"see ![a](T1), [b](T2)."}`, `{"m":"see ![a](F1), [b](F2)."}`},
		"end of a sentence":            {`{"m":"It is T1. Or T1?"}`, `{"m":"It is F1. Or F1?"}`},
		"query and fragment":           {`{"u":"T1?w=100#top"}`, `{"u":"F1?w=100#top"}`},
		"as a parameter":               {`{"u":"/resize?src=T1&w=1"}`, `{"u":"/resize?src=F1&w=1"}`},
		"after scheme and host":        {`{"u":"http://localhost:8080T1"}`, `{"u":"http://localhost:8080F1"}`},
		"after a host alone":           {`{"u":"//blog.example.comT1"}`, `{"u":"//blog.example.comF1"}`},
		"after a name and a colon":     {`{"u":"img:T1"}`, `{"u":"img:F1"}`},
		"lines":                        {`{"m":"\nT1\n\tT2\r\n"}`, `{"m":"\nF1\n\tF2\r\n"}`},
		"other scripts around":         {`{"m":"写真T1です"}`, `{"m":"写真F1です"}`},
		"escapes around":               {`{"m":"\u5199\ud83d\ude00T1\u3067"}`, `{"m":"\u5199\ud83d\ude00F1\u3067"}`},
		"JSON in a string":             {`{"j":"{\"url\":\"T1\"}"}`, `{"j":"{\"url\":\"F1\"}"}`},
		"a name of a member":           {`{"T1":"first"}`, `{"F1":"first"}`},
		"odd spacing and numbers stay": {"{ \"n\" : 1.0e+2,\t\"u\":\"T1\" }", "{ \"n\" : 1.0e+2,\t\"u\":\"F1\" }"},
		"duplicate members stay":       {`{"a":1,"a":"T1"}`, `{"a":1,"a":"F1"}`},
		"lone surrogates stay":         {`{"a":"\ud800 T1"}`, `{"a":"\ud800 F1"}`},
		"a backslash before a quote":   {`{"a":"\\","b":"T1"}`, `{"a":"\\","b":"F1"}`},

		"a longer name":        {`{"u":"T12"}`, `{"u":"T12"}`},
		"another extension":    {`{"u":"T1.bak"}`, `{"u":"T1.bak"}`},
		"another name":         {`{"u":"T1-2 T1_2 T1%20x T1@2x"}`, `{"u":"T1-2 T1_2 T1%20x T1@2x"}`},
		"a folder":             {`{"u":"T1/x T1/"}`, `{"u":"T1/x T1/"}`},
		"a path before it":     {`{"u":"/archiveT1 xT1 https://example.com/mirrorT1"}`, `{"u":"/archiveT1 xT1 https://example.com/mirrorT1"}`},
		"a host of that name":  {`{"u":"/T1"}`, `{"u":"/T1"}`},
		"dots before it":       {`{"u":"..T1"}`, `{"u":"..T1"}`},
		"decoded":              {`{"u":"/files/temp/01890000-0000-7000-8000-000000000002/Über.pdf"}`, `{"u":"/files/temp/01890000-0000-7000-8000-000000000002/Über.pdf"}`},
		"somebody else's file": {`{"u":"/files/temp/01890000-0000-7000-8000-000000000003/a.png"}`, `{"u":"/files/temp/01890000-0000-7000-8000-000000000003/a.png"}`},
		"cut off":              {`{"u":"/files/temp/01890000-0000-7000-8000-000000000001/a.pn"}`, `{"u":"/files/temp/01890000-0000-7000-8000-000000000001/a.pn"}`},
		"in upper case":        {`{"u":"/FILES/TEMP/01890000-0000-7000-8000-000000000001/a.png"}`, `{"u":"/FILES/TEMP/01890000-0000-7000-8000-000000000001/a.png"}`},
		"nothing":              {`{}`, `{}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			given, want := marks.Replace(c.given), marks.Replace(c.want)
			got := replaceURLs([]json.RawMessage{[]byte(given)}, urls)
			if string(got[0]) != want {
				t.Fatalf("%s\nbecame %s\nwant   %s", given, got[0], want)
			}
			back := replaceURLs(got, map[string]string{final1: temp1, final2: temp2})
			if string(back[0]) != given {
				t.Errorf("%s\ncame back as %s", given, back[0])
			}
		})
	}
}

// An escaped URL is found all the same; what comes back says the same.
func TestReplaceEscapedURLs(t *testing.T) {
	t.Parallel()
	for _, escaped := range []string{
		strings.ReplaceAll(temp1, "/", `\/`),
		strings.ReplaceAll(temp1, "/", `\u002F`),
		strings.ReplaceAll(temp1, "a", `\u0061`),
	} {
		given := []json.RawMessage{[]byte(`{"u":"<` + escaped + `>"}`)}
		got := replaceURLs(given, map[string]string{temp1: final1})
		if want := `{"u":"<` + final1 + `>"}`; string(got[0]) != want {
			t.Errorf("%s became %s, want %s", given[0], got[0], want)
		}
		back := replaceURLs(got, map[string]string{final1: temp1})
		if want := `{"u":"<` + temp1 + `>"}`; string(back[0]) != want {
			t.Errorf("came back as %s, want %s", back[0], want)
		}
	}
}

// Contents as large as can be, made to be slow: what takes more than linear
// time does not end before the test's deadline.
func TestReplaceURLsInLargeContents(t *testing.T) {
	t.Parallel()
	urls := map[string]string{}
	for i := range MaxFiles {
		id := string(rune('0'+i/10)) + string(rune('0'+i%10))
		urls["/files/temp/"+id+"/a.png"] = "/files/blog-post/p/" + id + "/a.png"
	}
	wants := map[string]int{"URLs": MaxContents / 21}
	for name, text := range map[string]string{
		"slashes": strings.Repeat("/", MaxContents),
		"URLs":    strings.Repeat(" /files/temp/01/a.png", MaxContents/21),
		"names":   strings.Repeat("x/files/temp/01/a.png", MaxContents/21),
		"hosts":   strings.Repeat("//", MaxContents/4) + strings.Repeat("a/files/temp/01/a.png", MaxContents/42),
	} {
		value, err := json.Marshal(map[string]string{"t": text})
		if err != nil {
			t.Fatal(err)
		}
		got := replaceURLs([]json.RawMessage{value}, urls)
		if !json.Valid(got[0]) {
			t.Errorf("%s: not JSON any more", name)
		}
		if n := bytes.Count(got[0], []byte("/files/blog-post/")); n != wants[name] {
			t.Errorf("%s: %d URLs were replaced, want %d", name, n, wants[name])
		}
	}
}

func FuzzReplaceURLs(f *testing.F) {
	f.Add([]byte(`{"a":"` + temp1 + ` \\\" ` + temp2 + `"}`))
	f.Add([]byte(`{"` + temp1 + `":["\u002f"]}`))
	urls, back := map[string]string{temp1: final1, temp2: final2}, map[string]string{final1: temp1, final2: temp2}
	f.Fuzz(func(t *testing.T, value []byte) {
		if !json.Valid(value) || bytes.Contains(value, []byte("blog-post")) || bytes.Contains(value, []byte(`\u`)) || bytes.Contains(value, []byte(`\/`)) {
			t.Skip()
		}
		got := replaceURLs([]json.RawMessage{value}, urls)
		if !json.Valid(got[0]) {
			t.Fatalf("%s became %s", value, got[0])
		}
		if again := replaceURLs(got, back); !bytes.Equal(again[0], value) {
			t.Errorf("%s came back as %s", value, again[0])
		}
	})
}
