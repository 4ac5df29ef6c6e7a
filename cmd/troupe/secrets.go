package main

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// makeSecrets fills in the secrets that are not set, and the name of the
// instance, which is to be the same at the next start: made once, kept in the data
// folder for the owner alone.
func (c *config) makeSecrets(dir string) error {
	path := filepath.Join(dir, "secrets.json")
	kept := map[string]string{}
	body, err := os.ReadFile(path)
	if err == nil {
		if err := json.Unmarshal(body, &kept); err != nil {
			return fmt.Errorf("reading %s: %w", path, err)
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("reading the secrets of this data folder: %w", err)
	}
	made := false
	for name, field := range map[string]*string{
		"staffToken": &c.StaffToken, "tokenKey": &c.TokenKey, "sessionKey": &c.SessionKey,
		"cardKey": &c.CardKey, "paymentKey": &c.PaymentKey,
		"instance": &c.Instance,
	} {
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
	if body, err = json.MarshalIndent(kept, "", "  "); err != nil {
		return err
	}
	if err := os.WriteFile(path+".new", body, 0o600); err != nil {
		return fmt.Errorf("keeping the secrets: %w", err)
	}
	return os.Rename(path+".new", path)
}
