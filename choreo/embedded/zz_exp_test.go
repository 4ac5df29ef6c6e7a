package embedded

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"testing"
	"time"
)

func TestZZServe(t *testing.T) {
	if os.Getenv("SERVE") == "" {
		t.Skip()
	}
	h := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelInfo}))
	if os.Getenv("SERVE") == "kafka" {
		s := time.Now()
		k, err := StartKafka(KafkaOptions{Dir: os.Getenv("D"), Addr: os.Getenv("A"), Log: h})
		fmt.Println(err, time.Since(s))
		fmt.Println("ADDR", k.Addr())
		io.Copy(io.Discard, os.Stdin)
		s = time.Now()
		k.Close()
		fmt.Println("close", time.Since(s))
		return
	}
	s := time.Now()
	p, err := StartPostgres(context.Background(), PostgresOptions{Dir: os.Getenv("D"), Log: h})
	fmt.Println(err, time.Since(s))
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println("URL", p.URL())
	if os.Getenv("STAY") != "" {
		io.Copy(io.Discard, os.Stdin)
	}
	s = time.Now()
	fmt.Println(p.Stop(context.Background()), "stop", time.Since(s))
}
