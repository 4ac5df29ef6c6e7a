package blobs

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits of what every driver can hold: S3 keys have 1,024 bytes, file names
// 255, and the directory's temporary names add some 30 to those.
const (
	maxKey     = 1000
	maxSegment = 200
)

// valid refuses keys that are not plain relative paths: a key is joined to a
// directory, and may come from a person.
func valid(key string) error {
	switch {
	case key == "" || len(key) > maxKey || !utf8.ValidString(key):
		return fmt.Errorf("a key has 1 to %d bytes of UTF-8: %w", maxKey, ErrRefused)
	case strings.ContainsFunc(key, func(r rune) bool { return r == '\\' || unicode.IsControl(r) }):
		return fmt.Errorf("a key has no control character or backslash: %w", ErrRefused)
	}
	for segment := range strings.SplitSeq(key, "/") {
		if segment == "" || segment == "." || segment == ".." || len(segment) > maxSegment {
			return fmt.Errorf("a key is a relative path with segments of 1 to %d bytes: %w", maxSegment, ErrRefused)
		}
	}
	return nil
}
