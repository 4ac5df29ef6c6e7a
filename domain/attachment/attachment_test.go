package attachment

import (
	"errors"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestCleanName(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{
		"photo.png":                       "photo.png",
		"../../etc/passwd":                "passwd",
		`C:\Users\ana\photo.png`:          "photo.png",
		"..":                              "file",
		"":                                "file",
		".htaccess":                       "htaccess",
		"---":                             "file",
		"my holiday  photo (1).png":       "my-holiday-photo-1-.png",
		"U\u0308bersicht.pdf":             "Übersicht.pdf",
		"a\x00b\r\nc.txt":                 "a-b-c.txt",
		"a\xffb.txt":                      "a-b.txt",
		"quote\"<script>%2e?#&.png":       "quote-script-2e-.png",
		"写真.png":                          "写真.png",
		"corrupt.png":                     "corrupt.png",
		strings.Repeat("x", 300) + ".png": strings.Repeat("x", 116) + ".png",
		strings.Repeat("é", 300):          strings.Repeat("é", 60),
		"a." + strings.Repeat("x", 300):   "a." + strings.Repeat("x", 118),
	} {
		got := CleanName(given)
		if got != want {
			t.Errorf("CleanName(%q) = %q, want %q", given, got, want)
		}
		if CleanName(got) != got {
			t.Errorf("CleanName(%q) is not clean: %q", got, CleanName(got))
		}
	}
}

func FuzzCleanName(f *testing.F) {
	f.Add("../x y.png")
	f.Add(strings.Repeat("é", 70) + ".attrs")
	f.Fuzz(func(t *testing.T, name string) {
		clean := CleanName(name)
		if clean == "" || len(clean) > maxName || !utf8.ValidString(clean) || strings.ContainsAny(clean, "/\\\x00%?#\"' ") ||
			strings.HasPrefix(clean, ".") {
			t.Errorf("CleanName(%q) = %q", name, clean)
		}
	})
}

func TestTypeOf(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{
		"\x89PNG\r\n\x1a\n":            "image/png",
		"\xff\xd8\xff\xe0":             "image/jpeg",
		"GIF89a":                       "image/gif",
		"RIFF\x00\x00\x00\x00WEBPVP8 ": "image/webp",
		"%PDF-1.7":                     "application/pdf",
		"just text":                    "text/plain",
		"<!doctype html><script>alert(1)</script>":    "",
		`<?xml version="1.0"?><svg onload="x"></svg>`: "",
		"PK\x03\x04":         "",
		"\x7fELF\x02\x01":    "",
		"MZ\x90\x00\x03\x00": "",
		"":                   "",
	} {
		got, err := TypeOf([]byte(given))
		if got != want || (err == nil) != (want != "") {
			t.Errorf("TypeOf(%q) = %q, %v; want %q", given, got, err, want)
		}
	}
}

func TestURLs(t *testing.T) {
	t.Parallel()
	a := Attachment{ID: "01890000-0000-7000-8000-000000000001", Name: "Über-uns.png"}
	const temp = "/files/temp/01890000-0000-7000-8000-000000000001/%C3%9Cber-uns.png"
	const final = "/files/blog-post/p1/01890000-0000-7000-8000-000000000001/%C3%9Cber-uns.png"
	if a.TempURL() != temp || a.PostURL("p1") != final {
		t.Errorf("URLs %s and %s", a.TempURL(), a.PostURL("p1"))
	}
	if idOf(temp) != a.ID {
		t.Errorf("idOf(%s) = %q", temp, idOf(temp))
	}
	for _, no := range []string{"", "/files/temp/", "/files/temp/x/y", final, "http://h" + temp, "/files/temp/\x00/y"} {
		if idOf(no) != "" {
			t.Errorf("idOf(%q) = %q", no, idOf(no))
		}
	}
	a.PostID = "p1"
	if a.URL("p1") != final || a.URL("p2") != temp {
		t.Errorf("seen from its post at %s, from another at %s", a.URL("p1"), a.URL("p2"))
	}
}

func TestUsableBy(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	a := Attachment{ID: "a", OwnerID: "ana", UploadedAt: now.Add(-Usable)}
	old := a
	old.UploadedAt = now.Add(-Usable - time.Microsecond)
	for name, c := range map[string]struct {
		a      Attachment
		author string
		kept   []string
		want   error
	}{
		"just in time":             {a, "ana", []string{"a"}, nil},
		"too old":                  {old, "ana", []string{"a"}, errOld},
		"another's":                {a, "ben", []string{"a"}, errNotYours},
		"taken":                    {a, "ana", nil, errTaken},
		"another's tells no state": {old, "ben", nil, errNotYours},
	} {
		if err := c.a.usableBy(c.author, now, c.kept); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}
