package main

import (
	"cmp"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// kept are what a data folder keeps, by the names that it has there: the secrets,
// and the name of the instance, which is to be the same at the next start.
func (c *config) kept() map[string]*string {
	return map[string]*string{
		"staffToken": &c.StaffToken, "tokenKey": &c.TokenKey, "sessionKey": &c.SessionKey,
		"cardKey": &c.CardKey, "paymentKey": &c.PaymentKey,
		"instance": &c.Instance,
	}
}

func secretsFile(dir string) string { return filepath.Join(dir, "secrets.json") }

func keptSecrets(dir string) (map[string]string, error) {
	kept := map[string]string{}
	body, err := os.ReadFile(secretsFile(dir))
	if err == nil {
		err = json.Unmarshal(body, &kept)
	} else if errors.Is(err, fs.ErrNotExist) {
		return kept, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the secrets of the data folder %s: %w", dir, err)
	}
	return kept, nil
}

// readSecrets fills in the secrets that are not set.
func (c *config) readSecrets(dir string) error {
	kept, err := keptSecrets(dir)
	for name, field := range c.kept() {
		*field = cmp.Or(*field, kept[name])
	}
	return err
}

// makeSecrets fills in the secrets that are not set: made once, kept in the data
// folder for the owner alone.
func (c *config) makeSecrets(dir string) error {
	path := secretsFile(dir)
	kept, err := keptSecrets(dir)
	if err != nil {
		return err
	}
	made := false
	for name, field := range c.kept() {
		if *field != "" {
			continue
		}
		if kept[name] == "" {
			kept[name], made = rand.Text(), true
		}
		*field = kept[name]
	}
	if !made {
		return nil
	}
	body, err := json.MarshalIndent(kept, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(path+".new", body, 0o600); err != nil {
		return fmt.Errorf("keeping the secrets: %w", err)
	}
	return os.Rename(path+".new", path)
}
