package post

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// replaceURLs replaces URLs, given as absolute paths, in every string of the
// JSON values: alone, inside a longer text, or after a scheme and host. All
// else stays as it is, byte for byte, so that replacing the other way round
// gives back what was there.
func replaceURLs(values []json.RawMessage, urls map[string]string) []json.RawMessage {
	replaced, begin := make([]json.RawMessage, len(values)), commonPrefix(urls)
	for i, value := range values {
		replaced[i] = replaceInValue(value, begin, urls)
	}
	return replaced
}

// commonPrefix is what all the URLs begin with. Looking for that alone first
// keeps a text full of slashes from costing each of them a try per URL.
func commonPrefix(urls map[string]string) (prefix string) {
	first := true
	for u := range urls {
		if first {
			prefix, first = u, false
		}
		for !strings.HasPrefix(u, prefix) {
			prefix = prefix[:len(prefix)-1]
		}
	}
	return prefix
}

func replaceInValue(value json.RawMessage, begin string, urls map[string]string) json.RawMessage {
	var out bytes.Buffer
	for len(value) > 0 {
		open := bytes.IndexByte(value, '"')
		if open < 0 {
			break
		}
		end := open + 1
		for value[end] != '"' {
			if value[end] == '\\' {
				end++
			}
			end++
		}
		out.Write(value[:open+1])
		replaceInString(&out, value[open+1:end], begin, urls)
		out.WriteByte('"')
		value = value[end+1:]
	}
	out.Write(value)
	return out.Bytes()
}

// replaceInString replaces in the inside of a JSON string literal. A URL is
// compared with what the literal says, however it is escaped.
func replaceInString(out *bytes.Buffer, literal []byte, begin string, urls map[string]string) {
	text, at := unescape(literal)
	written := 0
	for i := 0; i < len(text); i++ {
		if text[i] != '/' || !strings.HasPrefix(text[i:], begin) {
			continue
		}
		for from, to := range urls {
			if strings.HasPrefix(text[i:], from) && startsURL(text[:i]) && endsURL(text[i+len(from):]) {
				out.Write(literal[written:at[i]])
				out.WriteString(to)
				i += len(from) - 1
				written = at[i+1]
				break
			}
		}
	}
	out.Write(literal[written:])
}

// unescape is the text of a literal and, for each of its bytes and the end,
// the position in the literal. What is not ASCII once unescaped is no part of
// a URL and stands as one replacement byte.
func unescape(literal []byte) (string, []int) {
	text, at := make([]byte, 0, len(literal)), make([]int, 0, len(literal)+1)
	for i := 0; i < len(literal); {
		b, width := literal[i], 1
		if b == '\\' {
			b, width = unescapeOne(literal[i:])
		}
		text, at = append(text, b), append(at, i)
		i += width
	}
	return string(text), append(at, len(literal))
}

const notASCII = utf8.RuneSelf

func unescapeOne(escape []byte) (b byte, width int) {
	switch escape[1] {
	case 'u':
		if code, err := strconv.ParseUint(string(escape[2:6]), 16, 16); err == nil && code < utf8.RuneSelf {
			return byte(code), 6
		}
		return notASCII, 6
	case 'b', 'f', 'n', 'r', 't':
		return ' ', 2
	}
	return escape[1], 2 // a quote, a slash, a backslash
}

// authority is the host, after a scheme or none, that may stand before a path.
var authority = regexp.MustCompile(`//[^/?#\s"'<>()]+$`)

// maxAuthority is as far as authority is looked for, in bytes: a host has at
// most 253.
const maxAuthority = 300

// startsURL tells whether a path can begin after this text: it is not the
// later part of a longer path.
func startsURL(before string) bool {
	if before == "" {
		return true
	}
	last := before[len(before)-1]
	return last != '/' && !continues(last) && last != '.' || authority.MatchString(before[max(0, len(before)-maxAuthority):])
}

// endsURL tells whether a path can end before this text: a longer name does
// not go on here. A dot ends it at the end of a sentence.
func endsURL(after string) bool {
	if after == "" {
		return true
	}
	if strings.IndexByte(".@+$~", after[0]) >= 0 && len(after) > 1 {
		return !continues(after[1])
	}
	return after[0] != '/' && !continues(after[0])
}

// continues tells whether a byte goes on with a name in a path.
func continues(b byte) bool {
	return 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z' || '0' <= b && b <= '9' || b == '_' || b == '-' || b == '%'
}
