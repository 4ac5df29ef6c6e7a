package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"troupe/choreo/embedded"
)

// running is what `troupe up` writes down in its data folder of where its parts
// are, for the commands that an operator gives beside it. Secrets stand elsewhere.
type running struct {
	Brokers    []string `json:"brokers"`
	PaymentURL string   `json:"paymentUrl"`
	CarrierURL string   `json:"carrierUrl"`
	SMSURL     string   `json:"smsUrl"`
	SMTPURL    string   `json:"smtpUrl"`
	BlobsURL   string   `json:"blobsUrl"`
}

func (c *config) postgres() string { return filepath.Join(c.Data, "postgres") }
func (c *config) running() string  { return filepath.Join(c.Data, "running.json") }

// writeRunning writes down where the parts of this process are.
func (c *config) writeRunning() error {
	body, err := json.MarshalIndent(running{c.Brokers, c.PaymentURL, c.CarrierURL, c.SMSURL, c.SMTPURL, c.BlobsURL}, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(c.running(), body, 0o600); err != nil { // the URLs may hold passwords
		return fmt.Errorf("writing down where things are: %w", err)
	}
	return nil
}

// enter has a command of an operator use what the `troupe up` of a data folder
// has, where no database is given: its private Postgres, which is started for the
// time of the command where it does not run, and what is needed besides.
func (c *config) enter(ctx context.Context) (leave func() error, err error) {
	leave = func() error { return nil }
	if c.DatabaseURL != "" {
		return leave, nil
	}
	given := c.Data != ""
	c.Data = cmp.Or(c.Data, dataDir())
	if _, err := os.Stat(filepath.Join(c.postgres(), "data")); err != nil {
		if given {
			return nil, usageError{fmt.Errorf("--up: no `troupe up` has kept a private Postgres there: %w", err)}
		}
		return leave, nil
	}
	if err := c.readSecrets(c.Data); err != nil {
		return nil, err
	}
	if url, runs := embedded.Running(c.postgres()); runs {
		c.DatabaseURL = url
		return leave, c.readRunning()
	}
	progress("starting the Postgres of %s", c.Data)
	defer progress("")
	pg, err := embedded.StartPostgres(ctx, embedded.PostgresOptions{Dir: c.postgres(), Binaries: c.Postgres})
	if err != nil {
		return nil, err
	}
	c.DatabaseURL = pg.URL()
	return func() error { return closeWithin(5*time.Second, pg.Stop) }, nil
}

// readRunning fills in where the parts of a running `troupe up` are.
func (c *config) readRunning() error {
	var r running
	body, err := os.ReadFile(c.running())
	if err = errors.Join(err, json.Unmarshal(body, &r)); err != nil {
		return fmt.Errorf("reading where the `troupe up` of %s has its parts: %w", c.Data, err)
	}
	if len(c.Brokers) == 0 {
		c.Brokers = r.Brokers
	}
	for to, from := range map[*string]string{
		&c.PaymentURL: r.PaymentURL, &c.CarrierURL: r.CarrierURL, &c.SMSURL: r.SMSURL, &c.SMTPURL: r.SMTPURL, &c.BlobsURL: r.BlobsURL,
	} {
		*to = cmp.Or(*to, from)
	}
	return nil
}
