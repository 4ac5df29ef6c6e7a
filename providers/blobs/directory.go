package blobs

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"

	"gocloud.dev/blob/fileblob"
)

// openDirectory opens a directory. An object is written to a file beside its
// own and renamed over it, its content type into a file that ends in .attrs;
// a process killed in between leaves a stray file, never half an object.
func openDirectory(rawURL string, o options) (*Store, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, err
	}
	if u.Host != "" || u.Path == "" || u.Path == "/" || u.RawQuery != "" {
		return nil, fmt.Errorf("%s: write file:///path/to/directory", rawURL)
	}
	bucket, err := fileblob.OpenBucket(u.Path, &fileblob.Options{
		CreateDir:   o.createBucket,
		DirFileMode: 0o700,
		NoTempDir:   true, // a rename does not cross file systems
		Metadata:    fileblob.MetadataInSidecar,
	})
	if err != nil {
		return nil, err
	}
	return &Store{
		bucket: bucket,
		mapKey: freeAttrs,
		there: func(context.Context) error {
			info, err := os.Stat(u.Path)
			if err == nil && !info.IsDir() {
				err = errors.New("not a directory")
			}
			if err != nil {
				return fmt.Errorf("the store's directory: %w", err)
			}
			return nil
		},
	}, nil
}

// freeAttrs moves every name in x.attrs, x.attrs_, … up by one underscore, so
// that a file of that name does not collide with the driver's own.
func freeAttrs(key string) string {
	segments := strings.Split(key, "/")
	for i, s := range segments {
		if strings.HasSuffix(strings.TrimRight(s, "_"), ".attrs") {
			segments[i] = s + "_"
		}
	}
	return strings.Join(segments, "/")
}
