package main

import (
	"strings"

	"github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss"
)

func v2Buckets(c v2, _ form) {
	name := second
	holds(!got(c.IsBucketExist(background, name)), "there is no second bucket yet")
	got(c.PutBucket(background, &oss.PutBucketRequest{
		Bucket: &name, Acl: oss.BucketACLPublicRead,
		CreateBucketConfiguration: &oss.CreateBucketConfiguration{StorageClass: oss.StorageClassIA},
	}))
	holds(got(c.IsBucketExist(background, name)), "there is a second bucket now")
	info := got(c.GetBucketInfo(background, &oss.GetBucketInfoRequest{Bucket: &name})).BucketInfo
	equal([]string{*info.Name, *info.ACL, *info.StorageClass, *info.Location}, []string{name, "public-read", "IA", "oss-cn-shanghai"})
	holds(info.CreationDate != nil && info.Owner.ID != nil, "date and owner")
	equal(*got(c.GetBucketLocation(background, &oss.GetBucketLocationRequest{Bucket: &name})).LocationConstraint, "oss-cn-shanghai")
	got(c.PutBucketAcl(background, &oss.PutBucketAclRequest{Bucket: &name, Acl: oss.BucketACLPrivate}))
	equal(*got(c.GetBucketAcl(background, &oss.GetBucketAclRequest{Bucket: &name})).ACL, "private")
	got(c.PutObject(background, &oss.PutObjectRequest{Bucket: &name, Key: oss.Ptr("a"), Body: strings.NewReader("12345")}))
	stat := got(c.GetBucketStat(background, &oss.GetBucketStatRequest{Bucket: &name}))
	equal([]int64{stat.Storage, stat.ObjectCount, stat.MultipartUploadCount}, []int64{5, 1, 0})
	_, err := c.DeleteBucket(background, &oss.DeleteBucketRequest{Bucket: &name})
	refused(err, "BucketNotEmpty", 409)
	got(c.DeleteObject(background, &oss.DeleteObjectRequest{Bucket: &name, Key: oss.Ptr("a")}))
	var names []string
	pages := c.NewListBucketsPaginator(&oss.ListBucketsRequest{MaxKeys: 1})
	for pages.HasNext() {
		for _, listed := range got(pages.NextPage(background)).Buckets {
			names = append(names, *listed.Name)
		}
	}
	equal(names, []string{name, bucket})
	got(c.DeleteBucket(background, &oss.DeleteBucketRequest{Bucket: &name}))
	_, err = c.GetBucketInfo(background, &oss.GetBucketInfoRequest{Bucket: &name})
	refused(err, "NoSuchBucket", 404)
	_, err = c.PutObject(background, &oss.PutObjectRequest{Bucket: &name, Key: oss.Ptr("a"), Body: strings.NewReader("x")})
	refused(err, "NoSuchBucket", 404)
}

func v2Rules(c v2, _ form) {
	_, err := c.GetBucketCors(background, &oss.GetBucketCorsRequest{Bucket: &bucket})
	refused(err, "NoSuchCORSConfiguration", 404)
	rule := oss.CORSRule{
		AllowedOrigins: []string{"https://*.example.com"}, AllowedMethods: []string{"GET", "PUT"},
		AllowedHeaders: []string{"*"}, ExposeHeaders: []string{"ETag"}, MaxAgeSeconds: oss.Ptr(int64(60)),
	}
	got(c.PutBucketCors(background, &oss.PutBucketCorsRequest{
		Bucket: &bucket, CORSConfiguration: &oss.CORSConfiguration{CORSRules: []oss.CORSRule{rule}},
	}))
	kept := got(c.GetBucketCors(background, &oss.GetBucketCorsRequest{Bucket: &bucket})).CORSConfiguration
	equal(kept.CORSRules, []oss.CORSRule{rule})
	got(c.DeleteBucketCors(background, &oss.DeleteBucketCorsRequest{Bucket: &bucket}))
	_, err = c.GetBucketCors(background, &oss.GetBucketCorsRequest{Bucket: &bucket})
	refused(err, "NoSuchCORSConfiguration", 404)

	_, err = c.GetBucketLifecycle(background, &oss.GetBucketLifecycleRequest{Bucket: &bucket})
	refused(err, "NoSuchLifecycle", 404)
	rules := []oss.LifecycleRule{{
		ID: oss.Ptr("old"), Prefix: oss.Ptr("old/"), Status: oss.Ptr("Enabled"),
		Expiration:           &oss.LifecycleRuleExpiration{Days: oss.Ptr(int32(30))},
		AbortMultipartUpload: &oss.LifecycleRuleAbortMultipartUpload{Days: oss.Ptr(int32(7))},
	}, {
		ID: oss.Ptr("date"), Prefix: oss.Ptr("date/"), Status: oss.Ptr("Disabled"),
		Expiration: &oss.LifecycleRuleExpiration{CreatedBeforeDate: oss.Ptr("2020-01-01T00:00:00.000Z")},
	}}
	got(c.PutBucketLifecycle(background, &oss.PutBucketLifecycleRequest{
		Bucket: &bucket, LifecycleConfiguration: &oss.LifecycleConfiguration{Rules: rules},
	}))
	equal(got(c.GetBucketLifecycle(background, &oss.GetBucketLifecycleRequest{Bucket: &bucket})).LifecycleConfiguration.Rules, rules)
	got(c.DeleteBucketLifecycle(background, &oss.DeleteBucketLifecycleRequest{Bucket: &bucket}))
	_, err = c.GetBucketLifecycle(background, &oss.GetBucketLifecycleRequest{Bucket: &bucket})
	refused(err, "NoSuchLifecycle", 404)
}
