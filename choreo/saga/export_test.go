package saga

// AdvanceBy is Advance with a batch of another size.
var AdvanceBy = advance //nolint:gochecknoglobals // for tests
