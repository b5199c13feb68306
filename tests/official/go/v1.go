package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/aliyun/aliyun-oss-go-sdk/oss"
)

// v1 is a bucket of aliyun-oss-go-sdk and its client.
type v1 struct {
	*oss.Bucket
	client *oss.Client
}

type v1Maker func(id, secret string, more ...oss.ClientOption) v1

func v1Of(version oss.AuthVersionType) v1Maker {
	return func(id, secret string, more ...oss.ClientOption) v1 {
		options := append([]oss.ClientOption{oss.AuthVersion(version), oss.Region(region)}, more...)
		client := got(oss.New(endpoint, id, secret, options...))
		return v1{got(client.Bucket(bucket)), client}
	}
}

func checksOfV1() (checks []check) {
	dying := grant()
	for _, version := range []oss.AuthVersionType{oss.AuthV1, oss.AuthV4} {
		for _, each := range []struct {
			name string
			run  func(v1, v1Maker)
		}{
			{"put, get and head tell the same", v1PutGetHead},
			{"objects are copied, appended to, tagged and opened", v1Objects},
			{"objects are listed and deleted", v1Listings},
			{"a bucket is made, looked at and deleted", v1Buckets},
			{"rules of a bucket", v1Rules},
			{"multipart by hand", v1Multipart},
			{"parts of a sequential upload keep their order", v1Sequential},
			{"an application is called back, and one that fails is told", v1Callbacks},
			{"interrupted voyages go on from their checkpoints", v1Resumes},
			{"signed URLs", v1Signed},
		} {
			make := v1Of(version)
			name := fmt.Sprintf("%s (%s)", each.name, strings.ToUpper(string(version)))
			checks = append(checks, check{name, func() { each.run(make(accessKeyID, secret), make) }})
		}
		checks = append(checks, check{fmt.Sprintf("keys and tokens (%s)", strings.ToUpper(string(version))), func() { v1Keys(v1Of(version), dying) }})
	}
	return checks
}

func refusedV1(err error, code string, status int) {
	var service oss.ServiceError
	if !errors.As(err, &service) {
		fail("%s was expected, not: %v", code, err)
	}
	equal([]any{service.Code, service.StatusCode}, []any{code, status})
	holds(requestID.MatchString(service.RequestID), "a request id, not "+service.RequestID)
}

func (b v1) read(key string) []byte {
	body := got(b.GetObject(key))
	defer body.Close()
	return got(io.ReadAll(body))
}

func (b v1) listed(prefix string) (keys []string) {
	for marker := ""; ; {
		page := got(b.ListObjects(oss.Prefix(prefix), oss.Marker(marker), oss.MaxKeys(2)))
		for _, object := range page.Objects {
			keys = append(keys, object.Key)
		}
		if marker = page.NextMarker; !page.IsTruncated {
			return keys
		}
	}
}

func (b v1) clear(prefix string) {
	for _, key := range b.listed(prefix) {
		must(b.DeleteObject(key))
	}
}

func v1PutGetHead(b v1, _ v1Maker) {
	data := noise(300_000, 20)
	must(b.PutObject("v1/put", bytes.NewReader(data), oss.ContentType("video/mp4"), oss.Meta("who", "me")))
	same(b.read("v1/put"), data)
	head := got(b.GetObjectDetailedMeta("v1/put"))
	equal([]string{head.Get("Content-Type"), head.Get("X-Oss-Meta-Who"), head.Get("ETag")}, []string{"video/mp4", "me", `"` + md5Of(data) + `"`})
	equal(got(b.GetObjectMeta("v1/put")).Get("Content-Length"), "300000")
	part := got(b.GetObject("v1/put", oss.Range(10, 99)))
	same(got(io.ReadAll(part)), data[10:100])
	must(part.Close())
	for _, key := range []string{"v1/a b.mp4", "v1/百分 100%.mp4", "v1/plus+and&amp.mp4", "v1/deep/er//x.mp4", "v1/./a/../b", "v1/q?=#"} {
		must(b.PutObject(key, strings.NewReader(key)))
		equal(string(b.read(key)), key)
		holds(got(b.IsObjectExist(key)), key)
	}
	_, err := b.GetObject("v1/none")
	refusedV1(err, "NoSuchKey", 404)
	_, err = b.GetObjectDetailedMeta("v1/none")
	refusedV1(err, "NoSuchKey", 404)
	_, err = b.GetObject("v1/put", oss.IfMatch(`"00"`))
	refusedV1(err, "PreconditionFailed", 412)
	refusedV1(b.PutObject("v1/put", strings.NewReader("x"), oss.ForbidOverWrite(true)), "FileAlreadyExists", 409)
	b.clear("v1/")
}

func v1Objects(b v1, _ v1Maker) {
	must(b.PutObject("v1/a b+", strings.NewReader("film"), oss.Meta("a", "1")))
	equal(got(b.CopyObject("v1/a b+", "v1/copy")).ETag, `"`+md5Of([]byte("film"))+`"`)
	equal(string(b.read("v1/copy")), "film")
	must(b.SetObjectMeta("v1/copy", oss.Meta("b", "2")))
	head := got(b.GetObjectDetailedMeta("v1/copy"))
	equal([]string{head.Get("X-Oss-Meta-A"), head.Get("X-Oss-Meta-B")}, []string{"", "2"})
	_, err := b.CopyObject("v1/none", "v1/copy")
	refusedV1(err, "NoSuchKey", 404)
	position := got(b.AppendObject("v1/log", strings.NewReader("one"), 0))
	equal(got(b.AppendObject("v1/log", strings.NewReader("two"), position)), int64(6))
	equal(string(b.read("v1/log")), "onetwo")
	_, err = b.AppendObject("v1/log", strings.NewReader("x"), 1)
	refusedV1(err, "PositionNotEqualToLength", 409)
	must(b.PutObjectTagging("v1/copy", oss.Tagging{Tags: []oss.Tag{{Key: "k + l", Value: "v w"}}}))
	tags := got(b.GetObjectTagging("v1/copy")).Tags
	equal([]any{len(tags), tags[0].Key, tags[0].Value}, []any{1, "k + l", "v w"})
	must(b.DeleteObjectTagging("v1/copy"))
	equal(len(got(b.GetObjectTagging("v1/copy")).Tags), 0)
	must(b.SetObjectACL("v1/copy", oss.ACLPublicRead))
	equal(got(b.GetObjectACL("v1/copy")).ACL, "public-read")
	_, body := fetched("GET", endpoint+"/"+bucket+"/v1/copy", nil, "")
	equal(body, "film")
	refusedV1(b.PutSymlink("v1/link", "v1/copy"), "NotImplemented", 400)
	b.clear("v1/")
}

func v1Listings(b v1, _ v1Maker) {
	keys := []string{"v1/a b", "v1/sub/1", "v1/sub/2", "v1/z+&", "v1/测.mp4"}
	for _, key := range keys {
		must(b.PutObject(key, strings.NewReader(key)))
	}
	equal(b.listed("v1/"), keys)
	var second []string
	for token := ""; ; {
		page := got(b.ListObjectsV2(oss.Prefix("v1/"), oss.ContinuationToken(token), oss.MaxKeys(2), oss.FetchOwner(true)))
		for _, object := range page.Objects {
			second = append(second, object.Key)
			holds(object.Owner.ID != "", "an owner, as asked")
		}
		if token = page.NextContinuationToken; !page.IsTruncated {
			break
		}
	}
	equal(second, keys)
	equal(got(b.ListObjects(oss.Prefix("v1/"), oss.Delimiter("/"))).CommonPrefixes, []string{"v1/sub/"})
	versions := got(b.ListObjectVersions(oss.Prefix("v1/"))).ObjectVersions
	equal([]any{len(versions), versions[4].Key, versions[4].VersionId}, []any{5, keys[4], "null"})
	equal(got(b.DeleteObjects(append(keys[:4:4], "v1/never"))).DeletedObjects, append(keys[:4:4], "v1/never"))
	equal(len(got(b.DeleteObjects(keys[4:], oss.DeleteObjectsQuiet(true))).DeletedObjects), 0)
	equal(len(b.listed("v1/")), 0)
}

func v1Buckets(b v1, _ v1Maker) {
	c := b.client
	must(c.CreateBucket(second, oss.ACL(oss.ACLPublicRead), oss.StorageClass(oss.StorageIA)))
	info := got(c.GetBucketInfo(second)).BucketInfo
	equal([]string{info.Name, info.ACL, info.StorageClass, info.Location}, []string{second, "public-read", "IA", "oss-cn-shanghai"})
	equal(got(c.GetBucketLocation(second)), "oss-cn-shanghai")
	must(c.SetBucketACL(second, oss.ACLPrivate))
	equal(got(c.GetBucketACL(second)).ACL, "private")
	must(got(c.Bucket(second)).PutObject("a", strings.NewReader("12345")))
	stat := got(c.GetBucketStat(second))
	equal([]int64{stat.Storage, stat.ObjectCount, stat.MultipartUploadCount}, []int64{5, 1, 0})
	refusedV1(c.DeleteBucket(second), "BucketNotEmpty", 409)
	must(got(c.Bucket(second)).DeleteObject("a"))
	page := got(c.ListBuckets(oss.MaxKeys(1)))
	equal([]any{len(page.Buckets), page.Buckets[0].Name, page.IsTruncated}, []any{1, second, true})
	must(c.DeleteBucket(second))
	holds(!got(c.IsBucketExist(second)), "the bucket is gone")
	_, err := c.GetBucketInfo(second)
	refusedV1(err, "NoSuchBucket", 404)
}

func v1Rules(b v1, _ v1Maker) {
	c := b.client
	_, err := c.GetBucketCORS(bucket)
	refusedV1(err, "NoSuchCORSConfiguration", 404)
	must(c.SetBucketCORS(bucket, []oss.CORSRule{{
		AllowedOrigin: []string{"https://*.example.com"}, AllowedMethod: []string{"GET", "PUT"}, ExposeHeader: []string{"ETag"}, MaxAgeSeconds: 60,
	}}))
	kept := got(c.GetBucketCORS(bucket)).CORSRules
	equal([]any{len(kept), kept[0].AllowedMethod, kept[0].MaxAgeSeconds}, []any{1, []string{"GET", "PUT"}, 60})
	origin, method := oss.Origin("https://app.example.com"), oss.ACReqMethod("PUT")
	equal(got(b.OptionsMethod("v1/a", origin, method)).Get("Access-Control-Allow-Origin"), "https://app.example.com")
	_, err = b.OptionsMethod("v1/a", oss.Origin("https://example.org"), method)
	refusedV1(err, "AccessForbidden", 403)
	must(c.DeleteBucketCORS(bucket))
	must(c.SetBucketLifecycle(bucket, []oss.LifecycleRule{
		oss.BuildLifecycleRuleByDays("old", "old/", true, 30),
		oss.BuildLifecycleRuleByDate("date", "date/", false, 2020, 1, 1),
	}))
	rules := got(c.GetBucketLifecycle(bucket)).Rules
	equal([]any{len(rules), rules[0].ID, rules[0].Expiration.Days, rules[1].Status}, []any{2, "old", 30, "Disabled"})
	must(c.DeleteBucketLifecycle(bucket))
	_, err = c.GetBucketLifecycle(bucket)
	refusedV1(err, "NoSuchLifecycle", 404)
}

func v1Signed(b v1, _ v1Maker) {
	key := "v1/a b+测.txt"
	late := got(b.SignURL(key, oss.HTTPGet, 1))
	past := time.Now().Add(2500 * time.Millisecond)
	put := got(b.SignURL(key, oss.HTTPPut, 60, oss.ContentType("text/plain")))
	must(b.PutObjectWithURL(put, strings.NewReader("signed"), oss.ContentType("text/plain")))
	refusedV1(b.PutObjectWithURL(put, strings.NewReader("x"), oss.ContentType("text/html")), "SignatureDoesNotMatch", 403)
	get := got(b.SignURL(key, oss.HTTPGet, 60))
	body := got(b.GetObjectWithURL(get))
	equal(string(got(io.ReadAll(body))), "signed")
	must(body.Close())
	time.Sleep(time.Until(past))
	_, err := b.GetObjectWithURL(late)
	refusedV1(err, "AccessDenied", 403)
	b.clear("v1/")
}

func v1Keys(make v1Maker, dying upload) {
	put := func(b v1, key string) error { return b.PutObject(key, strings.NewReader("x")) }
	refusedV1(put(make(accessKeyID, "wrong"), "v1/in"), "SignatureDoesNotMatch", 403)
	refusedV1(put(make("nobody", secret), "v1/in"), "InvalidAccessKeyId", 403)
	right := grant()
	b := make(right.AccessKeyId, right.AccessKeySecret, oss.SecurityToken(right.SecurityToken))
	must(put(b, right.FileName))
	refusedV1(put(b, "v1/elsewhere"), "AccessDenied", 403)
	_, err := b.GetObject(right.FileName)
	refusedV1(err, "AccessDenied", 403)
	dying.expire()
	late := make(dying.AccessKeyId, dying.AccessKeySecret, oss.SecurityToken(dying.SecurityToken))
	refusedV1(put(late, dying.FileName), "SecurityTokenExpired", 403)
}
