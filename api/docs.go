package api

import (
	"embed"
	"fmt"
	"io/fs"
	"net/http"
)

//go:embed docs
var docs embed.FS

// documentation adds the page that shows the description and lets it be tried.
// All of it is in this binary.
func (s *Server) documentation() error {
	pages, err := fs.Sub(docs, "docs")
	if err != nil {
		return fmt.Errorf("reading the page of the API: %w", err)
	}
	serve := func(name string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			h := w.Header()
			h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "+
				"base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
			h.Set("Cache-Control", "no-cache")
			http.ServeFileFS(w, r, pages, name)
		}
	}
	s.mux.Handle("GET /docs", serve("docs.html"))
	s.mux.Handle("GET /docs/docs.js", serve("docs.js"))
	s.mux.Handle("GET /docs/docs.css", serve("docs.css"))
	return nil
}

// Describe is the description of the API in YAML (OpenAPI 3.1).
func Describe() ([]byte, error) {
	s, err := build(Options{})
	if err != nil {
		return nil, err
	}
	return s.OpenAPI().YAML()
}
