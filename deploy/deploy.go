// Package deploy writes what runs the choreography elsewhere, as it follows from
// the flow: Compose services, Kubernetes manifests, topics, alert rules. `troupe
// flow generate` puts them in place; nobody edits them by hand.
package deploy

import (
	"bytes"
	"embed"
	"fmt"
	"slices"
	"strings"
	"text/template"
	"time"

	"troupe/choreo"
	"troupe/choreo/broker"
	"troupe/choreo/draw"
)

//go:embed templates/*.yaml
var templates embed.FS

// Partitions is how many partitions a topic is made with, unless
// TROUPE_PARTITIONS says otherwise.
const Partitions = 8

// consumer is what the templates are told of a consumer.
type consumer struct {
	Name    string
	Topics  []string
	Effects bool // it talks to the outside
	Local   bool // fed from the log: no group on Kafka
	Pulls   bool // a view that pulls its events from the API: no group either
	Most    int  // most replicas that have work
}

// consumers are those that run: one that reacts to domain facts only runs in
// the transactions of commands.
func consumers(flow *choreo.Flow) (all []consumer) {
	for _, c := range flow.Consumers() {
		if len(c.Topics()) == 0 {
			continue
		}
		all = append(all, consumer{
			Name: c.Name, Topics: c.Topics(), Local: c.Local(), Most: Partitions * len(c.Topics()),
			Effects: slices.ContainsFunc(c.Rules(), func(r *choreo.Rule) bool { return r.Effect != nil }),
		})
	}
	for _, v := range flow.Views() {
		if v.Pulls != nil {
			all = append(all, consumer{Name: v.Name, Pulls: true})
		}
	}
	return all
}

// Compose is one service per consumer, for docker-compose.yml.
func Compose(flow *choreo.Flow) string {
	var b strings.Builder
	for _, c := range consumers(flow) {
		if c.Pulls {
			fmt.Fprintf(&b, "  %s: { <<: *reader, command: [run, %s] }\n", c.Name, c.Name)
			continue
		}
		fmt.Fprintf(&b, "  %s: { <<: *consumer, command: [run, %s] }\n", c.Name, c.Name)
	}
	return b.String()
}

// Kubernetes are the manifests of kustomize, by file name.
func Kubernetes(flow *choreo.Flow) (map[string][]byte, error) {
	files := map[string][]byte{}
	for _, name := range []string{"kustomization.yaml", "consumers.yaml", "parts.yaml", "jobs.yaml", "network.yaml"} {
		body, err := render(name, map[string]any{"Consumers": consumers(flow)})
		if err != nil {
			return nil, err
		}
		files[name] = body
	}
	return files, nil
}

func render(name string, with any) ([]byte, error) {
	t, err := template.New(name).ParseFS(templates, "templates/"+name)
	if err != nil {
		return nil, fmt.Errorf("reading the template of %s: %w", name, err)
	}
	var b bytes.Buffer
	b.WriteString("# Written by \"troupe flow generate\" from the flow: do not edit.\n")
	if err := t.Execute(&b, with); err != nil {
		return nil, fmt.Errorf("writing %s: %w", name, err)
	}
	return b.Bytes(), nil
}

// Topics lists the topics as `troupe topics apply` makes them.
func Topics(flow *choreo.Flow) []byte {
	var b bytes.Buffer
	b.WriteString("# Written by \"troupe flow generate\" from the flow: do not edit.\n# What \"troupe topics apply\" makes; TROUPE_PREFIX stands before the names.\ntopics:\n")
	for _, t := range flow.Topics() {
		fmt.Fprintf(&b, "  - name: %s\n    partitions: %d\n    config: { retention.ms: %d, cleanup.policy: delete }\n", t, Partitions, broker.Retention.Milliseconds())
	}
	return b.Bytes()
}

// TopicTable is Topics for people, with who follows each.
func TopicTable(flow *choreo.Flow) string {
	var b strings.Builder
	b.WriteString("| topic | partitions | kept for | followed by |\n|---|---|---|---|\n")
	for _, t := range flow.Topics() {
		var by []string
		for _, c := range flow.Consumers() {
			if slices.Contains(c.Topics(), t) {
				by = append(by, "`"+c.Name+"`")
			}
		}
		if by == nil {
			by = []string{"–"}
		}
		fmt.Fprintf(&b, "| `%s` | %d | %s | %s |\n", t, Partitions, draw.Short(broker.Retention), strings.Join(by, ", "))
	}
	return b.String()
}

// deadline is one alert: reactions of a consumer that have the same time.
type deadline struct {
	Consumer string
	Name     string // of the alert
	Events   []string
	Seconds  int
	Within   string
	Severity string
}

// Alerts are Prometheus rules: one per consumer and deadline from the flow, and
// those of the engine. They speak of the metrics of choreo/metrics.
func Alerts(flow *choreo.Flow) ([]byte, error) {
	return render("alerts.yaml", map[string]any{"Deadlines": deadlines(flow)})
}

func deadlines(flow *choreo.Flow) (all []*deadline) {
	for _, c := range flow.Consumers() {
		by := map[time.Duration]*deadline{}
		for _, r := range c.Rules() {
			within := r.After + r.Within
			if r.Within <= 0 || r.Domain {
				continue
			}
			d := by[within]
			if d == nil {
				d = &deadline{Consumer: c.Name, Name: "Overdue" + camel(c.Name), Seconds: int(within.Seconds()), Within: draw.Short(within), Severity: "warning"}
				by[within] = d
				all = append(all, d)
			}
			if len(r.Undoes) > 0 { // somebody's money, rooms or files wait
				d.Severity = "critical"
			}
			d.Events = append(d.Events, r.On)
		}
	}
	return all
}

// EventPattern matches the alert's events in a selector.
func (d *deadline) EventPattern() string {
	return strings.ReplaceAll(strings.Join(d.Events, "|"), ".", `\\.`)
}

func camel(name string) string {
	var b strings.Builder
	for part := range strings.SplitSeq(name, "-") {
		b.WriteString(strings.ToUpper(part[:1]) + part[1:])
	}
	return b.String()
}
