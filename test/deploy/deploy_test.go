// Package deploy_test checks what follows from the flow with the tools that will
// read it: the Go types of Kubernetes and KEDA, kustomize, promtool, and the
// parsers of AsyncAPI and Mermaid. It is a module of its own, so that none of
// them is a dependency of Troupe. It needs promtool (Debian: prometheus) and npm.
package deploy_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	keda "github.com/kedacore/keda/v2/apis/keda/v1alpha1"
	apps "k8s.io/api/apps/v1"
	batch "k8s.io/api/batch/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

const repository = "../.."

// built is what `kubectl apply -k` would send, decoded strictly.
type built struct {
	deployments map[string]*apps.Deployment
	scaled      map[string]*keda.ScaledObject
	budgets     map[string]*policy.PodDisruptionBudget
	policies    map[string]*networking.NetworkPolicy
	jobs        map[string]*batch.Job
	configs     int
	services    int
}

func build(t *testing.T) *built {
	t.Helper()
	resources, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), filepath.Join(repository, "deploy/kubernetes"))
	if err != nil {
		t.Fatal(err)
	}
	b := &built{deployments: map[string]*apps.Deployment{}, scaled: map[string]*keda.ScaledObject{}, budgets: map[string]*policy.PodDisruptionBudget{},
		policies: map[string]*networking.NetworkPolicy{}, jobs: map[string]*batch.Job{}}
	for _, r := range resources.Resources() {
		body, err := r.AsYAML()
		if err != nil {
			t.Fatal(err)
		}
		name := r.GetName()
		switch r.GetKind() {
		case "Deployment":
			b.deployments[name] = strict[apps.Deployment](t, body)
		case "ScaledObject":
			b.scaled[name] = strict[keda.ScaledObject](t, body)
		case "PodDisruptionBudget":
			b.budgets[name] = strict[policy.PodDisruptionBudget](t, body)
		case "NetworkPolicy":
			b.policies[name] = strict[networking.NetworkPolicy](t, body)
		case "Job":
			b.jobs[name] = strict[batch.Job](t, body)
		case "ConfigMap":
			strict[core.ConfigMap](t, body)
			b.configs++
		case "Service":
			strict[core.Service](t, body)
			b.services++
		default:
			t.Errorf("an unexpected %s %s", r.GetKind(), name)
		}
		if r.GetNamespace() != "troupe" {
			t.Errorf("%s %s is in the namespace %q", r.GetKind(), name, r.GetNamespace())
		}
	}
	return b
}

// strict decodes; a field that the type does not have is an error.
func strict[T any](t *testing.T, body []byte) *T {
	t.Helper()
	var v T
	if err := yaml.UnmarshalStrict(body, &v); err != nil {
		t.Errorf("%v\n%s", err, body)
	}
	return &v
}

var service = regexp.MustCompile(`(?m)^  ([a-z-]+): \{ <<: \*(?:consumer|reader), command: \[run, ([a-z-]+)\] \}$`)

func TestKubernetesRunsEveryConsumerThatComposeRuns(t *testing.T) {
	b := build(t)
	compose, err := os.ReadFile(filepath.Join(repository, "docker-compose.yml"))
	if err != nil {
		t.Fatal(err)
	}
	services := service.FindAllSubmatch(compose, -1)
	if len(services) < 10 {
		t.Fatalf("only %d consumers in docker-compose.yml", len(services))
	}
	for _, s := range services {
		name := string(s[2])
		if name != string(s[1]) || b.deployments[name] == nil {
			t.Errorf("%s has no Deployment", name)
			continue
		}
		if args := b.deployments[name].Spec.Template.Spec.Containers[0].Args; strings.Join(args, " ") != "run "+name {
			t.Errorf("%s runs %q", name, args)
		}
	}
	if want := len(services) + 2; len(b.deployments) != want {
		t.Errorf("%d Deployments, want %d: the consumers, the API and the relay", len(b.deployments), want)
	}
	if b.jobs["migrate"] == nil || b.jobs["topics"] == nil || b.services != 1 || b.configs != 1 {
		t.Errorf("jobs %v, %d services, %d ConfigMaps", b.jobs, b.services, b.configs)
	}
}

func TestEveryDeploymentIsProbedBudgetedAndConfined(t *testing.T) {
	b := build(t)
	for name, d := range b.deployments {
		pod := d.Spec.Template.Spec
		c := pod.Containers[0]
		if c.ReadinessProbe == nil || c.LivenessProbe == nil || c.StartupProbe == nil {
			t.Errorf("%s lacks a probe", name)
		}
		if c.SecurityContext == nil || !*c.SecurityContext.ReadOnlyRootFilesystem || *c.SecurityContext.AllowPrivilegeEscalation || !*pod.SecurityContext.RunAsNonRoot {
			t.Errorf("%s may do more than it needs", name)
		}
		if budget := b.budgets[name]; budget == nil || budget.Spec.Selector.MatchLabels["app.kubernetes.io/name"] != name {
			t.Errorf("%s has no PodDisruptionBudget", name)
		}
		if d.Spec.Template.Labels["app.kubernetes.io/name"] != name || d.Spec.Selector.MatchLabels["app.kubernetes.io/name"] != name {
			t.Errorf("%s selects other pods", name)
		}
	}
	for name, s := range b.scaled {
		if s.Spec.ScaleTargetRef.Name != name || b.deployments[name] == nil || len(s.Spec.Triggers) == 0 || *s.Spec.MaxReplicaCount < 1 {
			t.Errorf("%s scales nothing: %+v", name, s.Spec)
		}
		for _, trigger := range s.Spec.Triggers {
			if trigger.Type != "kafka" || trigger.Metadata["consumerGroup"] != name || trigger.Metadata["topic"] == "" {
				t.Errorf("%s does not scale on the lag of its group: %+v", name, trigger)
			}
		}
	}
	if len(b.scaled) < 10 {
		t.Errorf("only %d consumers scale", len(b.scaled))
	}
	deny := b.policies["default-deny"]
	if deny == nil || len(deny.Spec.PolicyTypes) != 2 || len(deny.Spec.Ingress)+len(deny.Spec.Egress) != 0 {
		t.Errorf("not everything is denied first: %+v", deny)
	}
}

// An unknown field must not pass: what the two tests above rest on.
func TestDecodingIsStrict(t *testing.T) {
	var d apps.Deployment
	if err := yaml.UnmarshalStrict([]byte("spec: { replica: 2 }"), &d); err == nil {
		t.Error("a field that Deployment does not have is taken")
	}
	fs := filesys.MakeFsInMemory()
	if err := fs.WriteFile("kustomization.yaml", []byte("resources: [nothing.yaml]\nkind: "+types.KustomizationKind+"\n")); err != nil {
		t.Fatal(err)
	}
	if _, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(fs, "."); err == nil {
		t.Error("a resource that is not there is taken")
	}
}

// command runs a program that must be there.
func command(t *testing.T, dir, install, name string, args ...string) (string, error) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Fatalf("%s is not installed, and this test is about what it says: %s", name, install)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func TestPromtoolTakesTheAlerts(t *testing.T) {
	out, err := command(t, repository, "apt-get install prometheus", "promtool", "check", "rules", "deploy/alerts.yaml")
	if err != nil || !strings.Contains(out, "SUCCESS") {
		t.Fatalf("promtool: %v\n%s", err, out)
	}
	t.Log(out)
	out, err = command(t, ".", "apt-get install prometheus", "promtool", "test", "rules", "alerts_test.yaml")
	if err != nil || !strings.Contains(out, "SUCCESS") {
		t.Fatalf("promtool: %v\n%s", err, out)
	}
}

func TestTheOfficialParsersTakeAsyncAPIAndDiagrams(t *testing.T) {
	const install = "apt-get install nodejs npm; the parsers come from the npm registry"
	if out, err := command(t, ".", install, "npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"); err != nil {
		t.Fatalf("npm ci (it needs the npm registry, or a cache of it): %v\n%s", err, out)
	}
	out, err := command(t, ".", install, "node", "validate.mjs", filepath.Join(repository, "schemas/asyncapi.yaml"), filepath.Join(repository, "docs/choreography.md"))
	if err != nil {
		t.Fatalf("the parsers: %v\n%s", err, out)
	}
	t.Log(out)

	broken := filepath.Join(t.TempDir(), "broken.yaml")
	body, err := os.ReadFile(filepath.Join(repository, "schemas/asyncapi.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(broken, bytes.Replace(body, []byte("action: send"), []byte("action: shout"), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	var exit *exec.ExitError
	if out, err := command(t, ".", install, "node", "validate.mjs", broken, filepath.Join(repository, "docs/choreography.md")); !errors.As(err, &exit) {
		t.Errorf("a wrong document is taken: %v\n%s", err, out)
	}
}
