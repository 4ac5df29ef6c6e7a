package blobs_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"

	"troupe/providers/blobs"
)

const (
	victimOf   = "BLOBS_TEST_VICTIM_OF"
	victimSize = 256 << 10
)

// TestVictim is no test: it is the process that TestObjectsSurviveAKill kills.
func TestVictim(t *testing.T) {
	url := os.Getenv(victimOf)
	if url == "" {
		t.Skip("only run by TestObjectsSurviveAKill")
	}
	s, err := blobs.Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	for n := 0; ; n++ {
		object := bytes.Repeat([]byte{byte(n)}, victimSize)
		if err := s.Put(t.Context(), fmt.Sprintf("temp/%d", n), "image/png", bytes.NewReader(object)); err != nil {
			t.Fatal(err)
		}
		if err := s.Copy(t.Context(), fmt.Sprintf("final/%d", n), fmt.Sprintf("temp/%d", n)); err != nil {
			t.Fatal(err)
		}
		fmt.Printf("stored %d\n", n)
	}
}

// TestObjectsSurviveAKill kills a process in the middle of storing objects.
// What it said was stored is there; what is there is whole.
func TestObjectsSurviveAKill(t *testing.T) {
	t.Parallel()
	url := "file://" + t.TempDir()
	for round := range 3 {
		victim := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestVictim$")
		victim.Env = append(os.Environ(), victimOf+"="+url)
		out, err := victim.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := victim.Start(); err != nil {
			t.Fatal(err)
		}
		stored := -1
		lines := bufio.NewScanner(out)
		for stored < 5+3*round && lines.Scan() {
			_, _ = fmt.Sscanf(lines.Text(), "stored %d", &stored)
		}
		if err := victim.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		for lines.Scan() {
			_, _ = fmt.Sscanf(lines.Text(), "stored %d", &stored)
		}
		_ = victim.Wait()

		s, err := blobs.Open(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		for n := range stored + 3 {
			for _, key := range []string{fmt.Sprintf("temp/%d", n), fmt.Sprintf("final/%d", n)} {
				checkWhole(t, s, key, byte(n), n <= stored)
			}
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

func checkWhole(t *testing.T, s *blobs.Store, key string, fill byte, must bool) {
	t.Helper()
	found, err := s.Exists(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	if !found {
		if must {
			t.Errorf("%s is gone", key)
		}
		return
	}
	o, err := s.NewReader(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	all, err := io.ReadAll(o)
	if err != nil || o.ContentType != "image/png" || !bytes.Equal(all, bytes.Repeat([]byte{fill}, victimSize)) {
		t.Errorf("%s: %d bytes of %s, %v", key, len(all), o.ContentType, err)
	}
}
