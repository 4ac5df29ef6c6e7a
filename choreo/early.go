//go:build !mutations

package choreo

import "context"

// emitFirst and placeFirst do nothing: facts get their places when the rows of
// what they are about are locked.
func (u *Unit) emitFirst(context.Context) {}

func (u *Unit) placeFirst(context.Context, []string) {}
