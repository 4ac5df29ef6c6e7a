package main

import (
	"bytes"
	"errors"
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"text/template"

	"github.com/spf13/cobra"

	"troupe/choreo"
)

func newCommand() (*cobra.Command, error) {
	cmd := &cobra.Command{Use: "new", Short: "Begin a consumer or a fact: files that compile, and fail where you have to decide"}
	dir, on, in := ".", "", ""
	toConsumer, toFact := &answer{}, &answer{}
	consumer := toConsumer.on(&cobra.Command{
		Use: "consumer NAME --on FACT", Short: "Write a consumer: its file, its test, its line in the flow",
		Example: "  troupe new consumer thank-buyer --on orders.OrderConfirmed --in orders",
		Args:    oneArg("a name such as thank-buyer"),
		RunE: func(cmd *cobra.Command, args []string) error {
			flow, err := theFlow()
			if err != nil {
				return err
			}
			files, err := newConsumer(flow, dir, args[0], on, in)
			if err != nil {
				return err
			}
			return begin(cmd, toConsumer, dir, files, "write what it does, and what its test expects; then make verify")
		},
	})
	consumer.Flags().StringVar(&on, "on", "", "the fact that it reacts to, as in orders.OrderConfirmed")
	consumer.Flags().StringVar(&in, "in", "", "the process it belongs to, a folder of handlers/; by default the fact's topic")
	fact := toFact.on(&cobra.Command{
		Use: "fact TOPIC.NAME", Short: "Write a fact: its struct, its schema, its line in the flow",
		Example: "  troupe new fact orders.BuyerThanked",
		Args:    oneArg("a topic and a name in the past tense, such as orders.BuyerThanked"),
		RunE: func(cmd *cobra.Command, args []string) error {
			flow, err := theFlow()
			if err != nil {
				return err
			}
			files, err := newFact(flow, dir, args[0])
			if err != nil {
				return err
			}
			return begin(cmd, toFact, dir, files, "say who emits it, in handlers/flow.go; then make verify")
		},
	})
	for _, c := range []*cobra.Command{consumer, fact} {
		c.Flags().StringVar(&dir, "dir", dir, "top of the repository")
		cmd.AddCommand(c)
	}
	return cmd, nil
}

func oneArg(what string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) != 1 {
			return usageError{fmt.Errorf("%s takes %s", c.CommandPath(), what)}
		}
		return nil
	}
}

// begin writes the files and what follows from the flow that they make.
func begin(cmd *cobra.Command, to *answer, dir string, files map[string][]byte, next string) error {
	written := slices.Sorted(maps.Keys(files))
	for _, path := range written {
		at := filepath.Join(dir, filepath.FromSlash(path))
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil { //nolint:gosec // sources are for everybody to read
			return err
		}
		if err := os.WriteFile(at, files[path], 0o644); err != nil { //nolint:gosec // sources are for everybody to read
			return fmt.Errorf("writing (run this at the top of the repository, or say where that is with --dir): %w", err)
		}
	}
	generate := exec.Command("go", "run", "./cmd/troupe", "flow", "generate")
	generate.Dir, generate.Stderr, generate.Stdout = dir, cmd.ErrOrStderr(), cmd.ErrOrStderr()
	if err := generate.Run(); err != nil {
		return fmt.Errorf("writing what follows from the flow: %w", err)
	}
	return to.give(map[string]any{"wrote": written, "next": next}, func(w io.Writer) {
		for _, path := range written {
			fmt.Fprintln(w, "wrote", path)
		}
		fmt.Fprintln(w, "next:", next)
	})
}

const flowFile = "handlers/flow.go"

var (
	kebab  = regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)+$`)
	titled = regexp.MustCompile(`^[a-z][a-z0-9-]*\.[A-Z][A-Za-z0-9]*$`)
)

// newConsumer are the files of a consumer that is new, with the flow as it then
// is.
func newConsumer(flow *choreo.Flow, dir, name, on, in string) (map[string][]byte, error) {
	fact := factNamed(flow, on)
	process, _, _ := strings.Cut(on, ".")
	if in != "" {
		process = in
	}
	switch {
	case !kebab.MatchString(name):
		return nil, usageError{fmt.Errorf("%q is no name of a consumer: say what it does, as in thank-buyer", name)}
	case flow.Consumer(name) != nil || flow.Command(name) != nil:
		return nil, usageError{fmt.Errorf("the flow has a %s already", name)}
	case fact == nil:
		return nil, usageError{fmt.Errorf("--on %q is no fact of the flow; `troupe new fact TOPIC.NAME` makes one", on)}
	}
	if info, err := os.Stat(filepath.Join(dir, "handlers", process)); err != nil || !info.IsDir() {
		return nil, usageError{fmt.Errorf("there is no process handlers/%s: say with --in which one it belongs to, or make the folder", process)}
	}
	with := map[string]string{
		"Name": name, "Func": camelCase(name), "Process": process, "Type": fact.FactType(),
		"Fact": reflect.TypeOf(fact).Name(), "Sample": literal(fact),
	}
	file := "handlers/" + process + "/" + strings.ReplaceAll(name, "-", "_")
	files := map[string][]byte{}
	var err error
	if files[file+".go"], err = source(consumerSource, with); err != nil {
		return nil, err
	}
	if files[file+"_test.go"], err = source(consumerTest, with); err != nil {
		return nil, err
	}
	line := fmt.Sprintf("choreo.On(%q, %s.%s).Within(5*time.Second),", name, process, with["Func"])
	files[flowFile], err = addLine(dir, line, `"troupe/handlers/`+process+`"`, process+".")
	return files, err
}

// newFact are the files of a fact that is new, with the flow as it then is.
func newFact(flow *choreo.Flow, dir, name string) (map[string][]byte, error) {
	topic, title, _ := strings.Cut(name, ".")
	switch {
	case !titled.MatchString(name):
		return nil, usageError{fmt.Errorf("%q is no name of a fact: a topic and what happened, as in orders.BuyerThanked", name)}
	case factNamed(flow, name) != nil:
		return nil, usageError{fmt.Errorf("the flow has a %s already: a change that breaks its readers is a new version of it (docs/decisions/0021)", name)}
	}
	singular := strings.TrimSuffix(topic, "s")
	with := map[string]string{"Topic": topic, "Name": title, "ID": camelCase(singular) + "ID", "JSON": lower(camelCase(singular)) + "Id"}
	path := "events/" + strings.ReplaceAll(topic, "-", "_") + ".go"
	body, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(path)))
	if errors.Is(err, os.ErrNotExist) {
		body, err = []byte("package events\n"), nil
	}
	if err != nil {
		return nil, err
	}
	made, err := source(factSource, with)
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{path: slices.Concat(body, []byte("\n"), made)}
	var beside []string
	for _, f := range flow.Facts() {
		if choreo.Topic(f.FactType()) == topic {
			beside = append(beside, "choreo.Final(events."+reflect.TypeOf(f).Name()+"{}")
		}
	}
	files[flowFile], err = addLine(dir, "choreo.Final(events."+title+"{}, choreo.Completed),", "", beside...)
	return files, err
}

// factNamed is the flow's fact of that name, with or without a version.
func factNamed(flow *choreo.Flow, name string) choreo.Fact {
	for _, f := range flow.Facts() {
		if is, _ := choreo.Version(f.FactType()); is == name || f.FactType() == name {
			return f
		}
	}
	return nil
}

// addLine puts a line into the flow, behind the last one that mentions one of
// these, or else at its end; and its import where it is new.
func addLine(dir, line, imports string, beside ...string) ([]byte, error) {
	body, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(flowFile)))
	if err != nil {
		return nil, fmt.Errorf("reading the flow (run this at the top of the repository, or say where that is with --dir): %w", err)
	}
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, flowFile, body, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	at := func(p token.Pos) int { return set.Position(p).Offset }
	end := -1
	ast.Inspect(file, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok {
			if fn, ok := call.Fun.(*ast.SelectorExpr); ok && fn.Sel.Name == "NewFlow" {
				end = at(call.Rparen)
				for _, arg := range call.Args {
					text := string(body[at(arg.Pos()):at(arg.End())])
					if slices.ContainsFunc(beside, func(s string) bool { return strings.Contains(text, s) }) {
						end = at(arg.End()) + len(",")
					}
				}
			}
		}
		return true
	})
	if end < 0 {
		return nil, fmt.Errorf("%s makes no choreo.NewFlow(…) to add a line to", flowFile)
	}
	body = slices.Concat(bytes.TrimRight(body[:end], " \t"), []byte("\n"+line), body[end:])
	if imports != "" && !bytes.Contains(body, []byte(imports)) {
		body = bytes.Replace(body, []byte("import ("), []byte("import (\n"+imports), 1)
	}
	return format.Source(body)
}

func source(text string, with map[string]string) ([]byte, error) {
	var b bytes.Buffer
	if err := template.Must(template.New("").Parse(text)).Execute(&b, with); err != nil {
		return nil, err
	}
	return format.Source(b.Bytes())
}

func camelCase(name string) string {
	var b strings.Builder
	for part := range strings.SplitSeq(name, "-") {
		b.WriteString(strings.ToUpper(part[:1]) + part[1:])
	}
	return b.String()
}

func lower(name string) string { return strings.ToLower(name[:1]) + name[1:] }

// literal is a fact of the type in Go, with its texts filled.
func literal(fact choreo.Fact) string {
	t := reflect.TypeOf(fact)
	var fields []string
	for f := range t.Fields() {
		if f.Type.Kind() == reflect.String && f.IsExported() {
			tag, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			fields = append(fields, fmt.Sprintf("%s: %q", f.Name, tag+"-1"))
		}
	}
	return "events." + t.Name() + "{" + strings.Join(fields, ", ") + "}"
}

const consumerSource = `package {{.Process}}

import (
	"context"
	"errors"

	"troupe/choreo"
	"troupe/events"
)

// {{.Func}} on {{.Fact}} does … Emits nothing. Undone by nobody.
func {{.Func}}(_ context.Context, _ *choreo.Tx, _ choreo.Event[events.{{.Fact}}]) error {
	return errors.New("{{.Name}}: nobody has decided yet what it does on {{.Type}}")
}
`

const consumerTest = `package {{.Process}}_test

import (
	"testing"
	"time"

	"troupe/choreo"
	"troupe/choreo/choreotest"
	"troupe/domain"
	"troupe/events"
	"troupe/handlers/{{.Process}}"
)

func Test{{.Func}}(t *testing.T) {
	t.Parallel()
	flow, err := choreo.NewFlow(
		choreo.Command("given").Emits(events.{{.Fact}}{}),
		choreo.On("{{.Name}}", {{.Process}}.{{.Func}}).Within(5*time.Second),
	)
	if err != nil {
		t.Fatal(err)
	}
	s := choreotest.New(t, flow, domain.Migrate)

	r := s.When("{{.Name}}", {{.Sample}}, "")
	r.Emits()
	if r.Error != "" {
		t.Error(r.Error)
	}
}
`

const factSource = `// {{.Name}}: What happened, in one sentence.
type {{.Name}} struct {
	{{.ID}} string ` + "`json:\"{{.JSON}}\"`" + `
}

func ({{.Name}}) FactType() string  { return "{{.Topic}}.{{.Name}}.v1" }
func (f {{.Name}}) Key() string     { return f.{{.ID}} }
func (f {{.Name}}) Validate() error { return ids("{{.JSON}}", f.{{.ID}}) }
`
