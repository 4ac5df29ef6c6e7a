// Flowcuts deletes every .Undoes(…), .GivesUp(…) and .Within(…) of
// handlers/flow.go from its source, one at a time, builds troupe with that file in
// the place of the real one, and runs `troupe flow check`: it has to end with exit
// code 1 and a finding. A cut that does not build, or that nothing is said of, is
// an error. Nothing in the tree is changed.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sync/errgroup"

	"troupe/choreo/check"
)

const flowFile = "handlers/flow.go"

func main() {
	atOnce := flag.Int("j", 2, "builds at the same time")
	only := flag.String("only", "", "only cuts that match, such as GivesUp or :148")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, regexp.MustCompile(*only), *atOnce)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "flowcuts:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, only *regexp.Regexp, atOnce int) error {
	source, err := os.ReadFile(flowFile)
	if err != nil {
		return fmt.Errorf("reading the flow (run this at the top of the repository): %w", err)
	}
	all, err := cuts(source)
	if err != nil {
		return err
	}
	all = slices.DeleteFunc(all, func(c cut) bool { return !only.MatchString(c.String()) })
	dir, err := os.MkdirTemp("", "troupe-flowcuts-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // it is a temporary folder
	if err := sound(ctx, dir, source); err != nil {
		return err
	}
	verdicts := make([]error, len(all))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(atOnce)
	for i, c := range all {
		g.Go(func() error {
			what, err := c.try(ctx, filepath.Join(dir, strconv.Itoa(i)), source)
			if verdicts[i] = err; err != nil {
				what = "NOT FOUND: " + err.Error()
			}
			fmt.Printf("%s\n    %s\n", c, what)
			return ctx.Err()
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return add(all, verdicts)
}

// add prints how many of each option were found.
func add(all []cut, verdicts []error) error {
	missed := 0
	for _, option := range options {
		found, of := 0, 0
		for i, c := range all {
			if c.option != option {
				continue
			}
			if of++; verdicts[i] == nil {
				found++
			}
		}
		fmt.Printf(".%s(…): %d of %d found\n", option, found, of)
		missed += of - found
	}
	if missed > 0 || len(all) == 0 {
		return fmt.Errorf("%d of %d cuts were not found", missed, len(all))
	}
	return nil
}

var options = []string{"Undoes", "GivesUp", "Within"}

// cut is one option of one line of the flow, from the end of what it is called on.
type cut struct {
	option, text string
	line         int
	from, to     int
}

func (c cut) String() string {
	return fmt.Sprintf("%s:%d .%s", flowFile, c.line, c.text)
}

// cuts finds the options in the source.
func cuts(source []byte) (all []cut, err error) {
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, flowFile, source, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	ast.Inspect(file, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		if on, ok := call.Fun.(*ast.SelectorExpr); ok && slices.Contains(options, on.Sel.Name) {
			name := set.Position(on.Sel.Pos())
			end := set.Position(call.End()).Offset
			all = append(all, cut{on.Sel.Name, string(source[name.Offset:end]), name.Line, set.Position(on.X.End()).Offset, end})
		}
		return true
	})
	slices.SortFunc(all, func(a, b cut) int { return a.from - b.from })
	return all, nil
}

// errBuild is a flow that the compiler refuses.
var errBuild = errors.New("it does not build")

// sound wants no finding in the flow as it is: else no cut would tell anything.
func sound(ctx context.Context, dir string, source []byte) error {
	r, err := checked(ctx, filepath.Join(dir, "whole"), source)
	if err == nil && len(r.Findings) > 0 {
		err = fmt.Errorf("%d findings", len(r.Findings))
	}
	if err != nil {
		return fmt.Errorf("the flow as it is: %w", err)
	}
	return nil
}

// try cuts, and tells the first finding.
func (c cut) try(ctx context.Context, dir string, source []byte) (string, error) {
	r, err := checked(ctx, dir, slices.Concat(source[:c.from], source[c.to:]))
	if err != nil {
		return "", err
	}
	if len(r.Findings) == 0 {
		return "", errors.New("flow check has no finding")
	}
	return fmt.Sprintf("exit code 1, %d findings; the first: rule %d: %s", len(r.Findings), r.Findings[0].Rule, r.Findings[0].What), nil
}

// checked is what `troupe flow check` of a binary says that was built with this
// flow. Its exit code has to be 1 where there are findings, and 0 where not.
func checked(ctx context.Context, dir string, flow []byte) (*check.Report, error) {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // it is a temporary folder
	path, err := filepath.Abs(flowFile)
	if err != nil {
		return nil, err
	}
	file, overlay, binary := filepath.Join(dir, "flow.go"), filepath.Join(dir, "overlay.json"), filepath.Join(dir, "troupe")
	replace, err := json.Marshal(map[string]map[string]string{"Replace": {path: file}})
	if err != nil {
		return nil, err
	}
	if err := errors.Join(os.WriteFile(file, flow, 0o600), os.WriteFile(overlay, replace, 0o600)); err != nil { //nolint:gosec // a folder of its own
		return nil, err
	}
	// Without symbols it is linked in a third of the time.
	if out, err := exec.CommandContext(ctx, "go", "build", "-overlay", overlay, "-ldflags=-s -w", "-o", binary, "./cmd/troupe").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w: %w\n%s", errBuild, err, out)
	}
	return report(exec.CommandContext(ctx, binary, "flow", "check", "-o", "json"))
}

func report(cmd *exec.Cmd) (*check.Report, error) {
	var out strings.Builder
	cmd.Stdout = &out
	err := cmd.Run()
	if cmd.ProcessState == nil {
		return nil, err
	}
	var r check.Report
	if err := json.Unmarshal([]byte(out.String()), &r); err != nil {
		return nil, fmt.Errorf("flow check, exit code %d, says no report: %w", cmd.ProcessState.ExitCode(), err)
	}
	if code := cmd.ProcessState.ExitCode(); (code == 1) != (len(r.Findings) > 0) || code > 1 {
		return nil, fmt.Errorf("flow check has %d findings, and its exit code is %d", len(r.Findings), code)
	}
	return &r, nil
}
