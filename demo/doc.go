// Package demo drives a running Troupe through its HTTP API as real clients
// would: people sign up, write posts with pictures, order and change their
// minds, some of it failing on purpose. Then it tells saga by saga what
// happened, and adds up what the system says against what the outside saw.
//
// It knows the system by its HTTP contract alone, keeps nothing, and outlives a
// system that goes away in the middle.
package demo
