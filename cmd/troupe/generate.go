package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"troupe/api"
	"troupe/choreo"
	"troupe/choreo/draw"
	"troupe/deploy"
	"troupe/schemas"
)

func flowGenerateCommand() *cobra.Command {
	dir, compare, to := ".", false, &answer{}
	cmd := to.on(&cobra.Command{
		Use: "generate", Short: "Write what follows from the flow and the API: schemas, drawings, services, manifests, alerts", Args: noArgs,
		Long: "Writes, below the top of the repository: schemas/, docs/choreography.md, the tables and services between the\n" +
			"markers in README.md and docker-compose.yml, deploy/kubernetes/, deploy/topics.yaml and deploy/alerts.yaml.\n" +
			"With --check nothing is written; exit code 1 names the files that are not what the flow says.",
		RunE: func(*cobra.Command, []string) error {
			flow, err := theFlow()
			if err != nil {
				return err
			}
			made, err := generated(flow, dir)
			if err != nil {
				return err
			}
			var wrong []string
			if compare {
				wrong, err = compareGenerated(dir, flow, made)
			} else {
				err = writeGenerated(dir, made)
			}
			if err != nil {
				return err
			}
			return giveGenerated(to, len(made), wrong)
		},
	})
	cmd.Flags().StringVar(&dir, "dir", dir, "top of the repository")
	cmd.Flags().BoolVar(&compare, "check", false, "write nothing, and say which files differ")
	return cmd
}

// generated is everything that follows from the flow, by path below dir. Of the
// files that are written by hand but for a part, the rest is read from dir.
func generated(flow *choreo.Flow, dir string) (map[string][]byte, error) {
	files := map[string][]byte{
		"schemas/asyncapi.yaml": schemas.AsyncAPI(flow),
		"docs/choreography.md":  []byte(draw.Page(flow, deploy.TopicTable(flow))),
		"deploy/topics.yaml":    deploy.Topics(flow),
	}
	facts, err := schemas.Of(flow.Facts())
	if err != nil {
		return nil, err
	}
	for name, body := range facts {
		files["schemas/"+name] = body
	}
	for _, fact := range flow.Facts() { // written once: what was shipped never changes
		path := "schemas/golden/" + fact.FactType() + ".json"
		body, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(path)))
		if err != nil {
			if body, err = schemas.Golden(fact); err != nil {
				return nil, err
			}
		}
		files[path] = body
	}
	manifests, err := deploy.Kubernetes(flow)
	if err != nil {
		return nil, err
	}
	for name, body := range manifests {
		files["deploy/kubernetes/"+name] = body
	}
	if files["schemas/openapi.yaml"], err = api.Describe(); err != nil {
		return nil, fmt.Errorf("describing the API: %w", err)
	}
	if files["deploy/alerts.yaml"], err = deploy.Alerts(flow); err != nil {
		return nil, err
	}
	for path, part := range map[string]string{"README.md": "\n" + draw.Consumers(flow) + "\n", "docker-compose.yml": deploy.Compose(flow)} {
		body, err := os.ReadFile(filepath.Join(dir, path))
		if err != nil {
			return nil, fmt.Errorf("reading %s (run this at the top of the repository, or say where that is with --dir): %w", path, err)
		}
		if files[path], err = between(body, part); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	return files, nil
}

// between puts a part between the lines that hold the markers.
func between(body []byte, part string) ([]byte, error) {
	before, rest, ok := bytes.Cut(body, []byte("consumers: begin"))
	_, after, ended := bytes.Cut(rest, []byte("consumers: end"))
	if !ok || !ended {
		return nil, errors.New(`it has no lines with "consumers: begin" and "consumers: end"`)
	}
	opening, _, _ := bytes.Cut(rest, []byte("\n"))
	last := rest[:len(rest)-len(after)]
	closing := last[bytes.LastIndexByte(last, '\n')+1:]
	return slices.Concat(before, []byte("consumers: begin"), opening, []byte("\n"), []byte(part), closing, after), nil
}

// giveGenerated says how many files there are, and what is wrong.
func giveGenerated(to *answer, files int, wrong []string) error {
	err := to.give(map[string]any{"files": files, "wrong": append([]string{}, wrong...)}, func(w io.Writer) {
		for _, line := range wrong {
			fmt.Fprintln(w, line)
		}
		if len(wrong) == 0 {
			fmt.Fprintf(w, "%d files are as the flow says\n", files)
		}
	})
	if err == nil && len(wrong) > 0 {
		err = fmt.Errorf("%d files are not what the flow says: run `make generate`, and commit what it writes", len(wrong))
	}
	return err
}

func writeGenerated(dir string, files map[string][]byte) error {
	for path, body := range files {
		to := filepath.Join(dir, filepath.FromSlash(path))
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil { //nolint:gosec // sources are for everybody to read
			return err
		}
		if err := os.WriteFile(to, body, 0o644); err != nil { //nolint:gosec // sources are for everybody to read
			return fmt.Errorf("writing what follows from the flow: %w", err)
		}
	}
	return nil
}

// compareGenerated names the files that are not what the flow says, and those
// that nothing of the flow asks for.
func compareGenerated(dir string, flow *choreo.Flow, files map[string][]byte) (wrong []string, err error) {
	for _, path := range slices.Sorted(maps.Keys(files)) {
		body, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(path)))
		if err != nil || !bytes.Equal(body, files[path]) {
			wrong = append(wrong, path+" is not what the flow says")
		}
	}
	for _, pattern := range []string{"schemas/*.json", "deploy/kubernetes/*"} {
		found, err := filepath.Glob(filepath.Join(dir, filepath.FromSlash(pattern)))
		if err != nil {
			return nil, err
		}
		for _, file := range found {
			path := strings.TrimSuffix(pattern, filepath.Base(pattern)) + filepath.Base(file)
			if files[path] == nil && !older(flow, filepath.Base(file)) {
				wrong = append(wrong, path+" follows from nothing in the flow: remove it")
			}
		}
	}
	return wrong, nil
}

// older tells whether the file is the schema of an older version of a fact that
// the flow knows.
func older(flow *choreo.Flow, file string) bool {
	name, version := choreo.Version(strings.TrimSuffix(file, ".json"))
	return slices.ContainsFunc(flow.Facts(), func(f choreo.Fact) bool {
		is, newest := choreo.Version(f.FactType())
		return is == name && version > 0 && version < newest
	})
}
