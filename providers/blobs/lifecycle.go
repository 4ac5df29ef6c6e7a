package blobs

import (
	"context"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// setLifecycle gives the bucket a rule by which the objects below a prefix go,
// beside the rules that it has. A rule of that name that is there is left as an
// operator made it. It is an error where the store has no such rules, or does not
// let us make them.
func setLifecycle(ctx context.Context, client *s3.Client, bucket, prefix string, days int) error {
	ctx, cancel := context.WithTimeout(ctx, bucketTimeout)
	defer cancel()
	name := "troupe-expire-" + prefix
	var rules []types.LifecycleRule
	// Without any rule S3 answers an error, as do stores that know none.
	if now, err := client.GetBucketLifecycleConfiguration(ctx, &s3.GetBucketLifecycleConfigurationInput{Bucket: &bucket}); err == nil {
		rules = now.Rules
	}
	if slices.ContainsFunc(rules, func(r types.LifecycleRule) bool {
		return aws.ToString(r.ID) == name && r.Status == types.ExpirationStatusEnabled
	}) {
		return nil
	}
	rules = append(rules, types.LifecycleRule{
		ID: &name, Status: types.ExpirationStatusEnabled,
		Filter:     &types.LifecycleRuleFilter{Prefix: &prefix},
		Expiration: &types.LifecycleExpiration{Days: aws.Int32(int32(days))},
	})
	_, err := client.PutBucketLifecycleConfiguration(ctx, &s3.PutBucketLifecycleConfigurationInput{
		Bucket: &bucket, LifecycleConfiguration: &types.BucketLifecycleConfiguration{Rules: rules},
	})
	if err != nil {
		return fmt.Errorf("giving the bucket %s a rule for %s: %w", bucket, prefix, err)
	}
	return nil
}
