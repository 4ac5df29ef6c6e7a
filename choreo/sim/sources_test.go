package sim_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// otherClocks are the clocks and the randomness of Postgres that no SQL of ours
// may use: time is choreo.troupe_now() or a parameter, ids are parameters.
var otherClocks = regexp.MustCompile(`(?i)\b(now|clock_timestamp|statement_timestamp|transaction_timestamp|timeofday|random|random_normal|gen_random_uuid|uuidv7|uuid_generate_\w+)\s*\(|\b(current_timestamp|localtimestamp|current_date|current_time|localtime)\b`)

func TestSQLHasNoClockAndNoRandomnessOfItsOwn(t *testing.T) {
	t.Parallel()
	root := filepath.Join("..", "..")
	looked := 0
	for _, dir := range []string{"choreo", "domain", "handlers", "api"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(path string, _ fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			rel, _ := filepath.Rel(root, path)
			switch {
			case strings.HasSuffix(path, ".sql"):
				body, err := os.ReadFile(path)
				if err != nil {
					return err
				}
				looked++
				text := string(body)
				if strings.Contains(text, "create function choreo.troupe_now()") {
					text = strings.Replace(text, "clock_timestamp())", ")", 1) // the one clock
				}
				for i, line := range strings.Split(text, "\n") {
					line, _, _ = strings.Cut(line, "--")
					if bad := otherClocks.FindString(line); bad != "" {
						t.Errorf("%s:%d uses %s", rel, i+1, bad)
					}
				}
			case strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go"):
				looked++
				return lookAtStrings(t, path, rel)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if looked < 50 {
		t.Fatalf("only %d files were looked at", looked)
	}
}

var statement = regexp.MustCompile(`(?i)\b(select|insert|update|delete|with)\b`)

func lookAtStrings(t *testing.T, path, rel string) error {
	t.Helper()
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, path, nil, 0)
	if err != nil {
		return err
	}
	ast.Inspect(file, func(n ast.Node) bool {
		lit, ok := n.(*ast.BasicLit)
		if !ok || lit.Kind != token.STRING || !statement.MatchString(lit.Value) {
			return true
		}
		if bad := otherClocks.FindString(lit.Value); bad != "" {
			t.Errorf("%s:%d uses %s", rel, files.Position(lit.Pos()).Line, bad)
		}
		return true
	})
	return nil
}
