//go:build !crashpoints

// Package crashpoint lets a test kill the process at a named point of a consumer.
// That is possible in a build with the tag crashpoints alone: in any other, At
// does nothing, and the compiler leaves nothing of it.
package crashpoint

// The points at which a process may die.
const (
	BeforeIntent = "before-intent" // a step is due, and nothing is written yet
	AfterIntent  = "after-intent"  // the intent is committed, the call not made
	AfterCall    = "after-call"    // the call is made, its result not stored
	BeforeCommit = "before-commit" // everything is written, and not committed
	AfterCommit  = "after-commit"  // committed, and nobody was told
	BeforeMark   = "before-mark"   // the batch is done, its offsets not marked
)

// At kills the process where the environment says so.
func At(_, _ string) {}
