package blobs

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"gocloud.dev/blob/s3blob"
)

// bucketTimeout bounds looking for the bucket and making it, at start.
const bucketTimeout = 30 * time.Second

func openS3(ctx context.Context, rawURL string, o options) (*Store, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, err
	}
	query := u.Query()
	preset := func(name, value string) {
		if !query.Has(name) {
			query.Set(name, value)
		}
	}
	if query.Has("endpoint") {
		// What other servers than Amazon's understand.
		preset("region", "us-east-1")
		preset("use_path_style", "true")
		preset("request_checksum_calculation", "when_required")
		preset("response_checksum_validation", "when_required")
	}
	u.RawQuery = query.Encode()
	bucket, err := (&s3blob.URLOpener{}).OpenBucketURL(ctx, u)
	if err != nil {
		return nil, err
	}
	var client *s3.Client
	if !bucket.As(&client) {
		return nil, errors.New("the S3 driver has no client")
	}
	if o.createBucket {
		if err := ensureBucket(ctx, client, u.Host); err != nil {
			return nil, errors.Join(err, bucket.Close())
		}
	}
	expires := o.expire != "" && setLifecycle(ctx, client, u.Host, o.expire, o.after) == nil
	return &Store{
		expires: expires,
		bucket:  bucket,
		mapKey:  func(key string) string { return key },
		there: func(ctx context.Context) error {
			if _, err := client.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: &u.Host}); err != nil {
				return fmt.Errorf("the store's bucket %s: %w", u.Host, err)
			}
			return nil
		},
	}, nil
}

func ensureBucket(ctx context.Context, client *s3.Client, name string) error {
	ctx, cancel := context.WithTimeout(ctx, bucketTimeout)
	defer cancel()
	if _, err := client.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: &name}); err == nil {
		return nil
	}
	input := &s3.CreateBucketInput{Bucket: &name}
	if region := client.Options().Region; region != "us-east-1" { // which S3 wants left out
		input.CreateBucketConfiguration = &types.CreateBucketConfiguration{LocationConstraint: types.BucketLocationConstraint(region)}
	}
	_, err := client.CreateBucket(ctx, input)
	var mine *types.BucketAlreadyOwnedByYou
	if err != nil && !errors.As(err, &mine) {
		return fmt.Errorf("creating the bucket %s: %w", name, err)
	}
	return nil
}
