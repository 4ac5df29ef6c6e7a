package choreo

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
)

// newID is a UUIDv7 (RFC 9562) of the given time and randomness.
func newID(now time.Time, random io.Reader) (string, error) {
	var id uuid.UUID
	if _, err := io.ReadFull(random, id[6:]); err != nil {
		return "", fmt.Errorf("reading randomness for an id: %w", err)
	}
	stamp(&id, now.UnixMilli(), 7)
	return id.String(), nil
}

// derivedID is a UUIDv8 made of the cause's milliseconds and a hash of what
// makes the fact the one it is, so that a reaction that runs again emits the
// same ids, and ids still sort by time. source is ours.
func derivedID(source string, cause *Meta, consumer, what string, ordinal, round int) string {
	from := cause.ID
	if !strings.HasPrefix(cause.Source, Origin(source)) { // a foreign id may be one of ours
		from = cause.Source + "\x00" + cause.ID
	}
	b := make([]byte, 0, 256)
	for _, s := range [...]string{from, consumer, what} {
		b = append(appendQuoted(b, s), ' ')
	}
	b = append(strconv.AppendInt(b, int64(ordinal), 10), ' ')
	sum := sha256.Sum256(strconv.AppendInt(b, int64(round), 10))
	var id uuid.UUID
	copy(id[6:], sum[:])
	stamp(&id, causeMillis(cause), 8)
	return id.String()
}

// appendQuoted is strconv.AppendQuote, at a tenth of its cost for ids and names.
func appendQuoted(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return strconv.AppendQuote(b, s)
		}
	}
	return append(append(append(b, '"'), s...), '"')
}

// causeMillis are the milliseconds in the cause's id where it holds some
// (versions 7 and ours, 8), else those of its time.
func causeMillis(m *Meta) int64 {
	if id, err := uuid.Parse(m.ID); err == nil && (id.Version() == 7 || id.Version() == 8) {
		return int64(binary.BigEndian.Uint64(id[:8]) >> 16)
	}
	return m.Time.UnixMilli()
}

// IsOurs tells whether an id is written as we write ours. It may be anybody's.
func IsOurs(id string) bool {
	u, err := uuid.Parse(id)
	return err == nil && (u.Version() == 7 || u.Version() == 8) && u.String() == id
}

func stamp(id *uuid.UUID, millis int64, version byte) {
	var ms [8]byte
	binary.BigEndian.PutUint64(ms[:], uint64(millis)<<16)
	copy(id[:6], ms[:6])
	id[6] = id[6]&0x0f | version<<4
	id[8] = id[8]&0x3f | 0x80
}
