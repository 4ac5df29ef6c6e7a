package embeddedtest

// TempDir is for the tests' own servers.
var TempDir = tempDir
