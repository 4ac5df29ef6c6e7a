// Package pgarray sends arrays to Postgres in its binary format, through lib/pq
// with binary_parameters=yes: nothing is quoted, escaped or parsed, and bytea
// does not double.
package pgarray

import (
	"database/sql/driver"
	"encoding/binary"
)

// Object ids of element types (pg_type.dat).
const (
	oidBytea = 17
	oidInt8  = 20
	oidText  = 25
)

// Text is a text[].
type Text []string

// Value is the array in binary.
func (a Text) Value() (driver.Value, error) {
	size := 0
	for _, s := range a {
		size += 4 + len(s)
	}
	b := head(oidText, len(a), size)
	for _, s := range a {
		b = binary.BigEndian.AppendUint32(b, uint32(len(s)))
		b = append(b, s...)
	}
	return b, nil
}

// Bytea is a bytea[].
type Bytea [][]byte

// Value is the array in binary.
func (a Bytea) Value() (driver.Value, error) {
	size := 0
	for _, s := range a {
		size += 4 + len(s)
	}
	b := head(oidBytea, len(a), size)
	for _, s := range a {
		b = binary.BigEndian.AppendUint32(b, uint32(len(s)))
		b = append(b, s...)
	}
	return b, nil
}

// Int8 is a bigint[].
type Int8 []int64

// Value is the array in binary.
func (a Int8) Value() (driver.Value, error) {
	b := head(oidInt8, len(a), 12*len(a))
	for _, n := range a {
		b = binary.BigEndian.AppendUint32(b, 8)
		b = binary.BigEndian.AppendUint64(b, uint64(n))
	}
	return b, nil
}

// head is the start of an array of one dimension from index 1, without nulls.
func head(oid uint32, n, size int) []byte {
	b := make([]byte, 0, 20+size)
	if n == 0 {
		b = binary.BigEndian.AppendUint32(b, 0)
		b = binary.BigEndian.AppendUint32(b, 0)
		return binary.BigEndian.AppendUint32(b, oid)
	}
	for _, v := range [...]uint32{1, 0, oid, uint32(n), 1} {
		b = binary.BigEndian.AppendUint32(b, v)
	}
	return b
}
