package schemas

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	"troupe/choreo"
)

// Golden is a record of a fact with every field filled, as its first version
// that is shipped is kept for ever in golden/: whatever comes later has to read
// it. It is written once, when a fact is new, and never again.
func Golden(fact choreo.Fact) ([]byte, error) {
	v := reflect.New(reflect.TypeOf(fact)).Elem()
	fill(v, "")
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v.Interface()); err != nil {
		return nil, fmt.Errorf("writing a golden record of %s: %w", fact.FactType(), err)
	}
	return b.Bytes(), nil
}

// fill gives every field a value that says which it is.
func fill(v reflect.Value, name string) {
	if v.Type() == reflect.TypeFor[json.RawMessage]() {
		v.SetBytes([]byte(`{"type":"text"}`))
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(sample(name))
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(2)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(2)
	case reflect.Float32, reflect.Float64:
		v.SetFloat(2.5)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), name)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0), name)
	case reflect.Struct:
		for i := range v.NumField() {
			field := v.Type().Field(i)
			if field.IsExported() {
				json, _, _ := strings.Cut(field.Tag.Get("json"), ",")
				fill(v.Field(i), json)
				if _, enum, ok := strings.Cut(field.Tag.Get("jsonschema"), "enum="); ok && field.Type.Kind() == reflect.String {
					value, _, _ := strings.Cut(enum, ",")
					v.Field(i).SetString(value)
				}
			}
		}
	default:
	}
}

// sample is a value for a field of text, by its name.
func sample(name string) string {
	switch name {
	case "currency":
		return "EUR"
	case "from":
		return "2026-05-01"
	case "to", "day", "date":
		return "2026-05-03"
	}
	return name + "-1"
}
