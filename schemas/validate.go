package schemas

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"golang.org/x/text/language"
	printing "golang.org/x/text/message"
)

var english = printing.NewPrinter(language.English)

// ErrNoSchema is a fact type that no schema is of.
var ErrNoSchema = errors.New("there is no schema of that type")

// Validate checks the JSON of a fact against the schema of its type. The error
// names what is wrong, and where.
func Validate(factType string, data []byte) error {
	name := factType + ".json"
	body, err := files.ReadFile(name)
	if err != nil {
		return fmt.Errorf("%s: %w", factType, ErrNoSchema)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("reading the schema of %s: %w", factType, err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource(name, doc); err != nil {
		return fmt.Errorf("reading the schema of %s: %w", factType, err)
	}
	schema, err := c.Compile(name)
	if err != nil {
		return fmt.Errorf("reading the schema of %s: %w", factType, err)
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		return fmt.Errorf("it is no JSON: %w", err)
	}
	err = schema.Validate(value)
	if wrong, ok := errors.AsType[*jsonschema.ValidationError](err); ok {
		return errors.New(strings.Join(leaves(wrong), "; "))
	}
	return err
}

// leaves are the innermost causes, each with its place.
func leaves(e *jsonschema.ValidationError) (all []string) {
	for _, cause := range e.Causes {
		all = append(all, leaves(cause)...)
	}
	if len(e.Causes) == 0 {
		all = append(all, "data"+strings.Join(append([]string{""}, e.InstanceLocation...), ".")+": "+e.ErrorKind.LocalizedString(english))
	}
	return all
}
