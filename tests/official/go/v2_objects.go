package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss"
)

func v2PutGetHead(c v2, _ form) {
	data := noise(300_000, 1)
	key := "go/put.bin"
	put := got(c.PutObject(background, &oss.PutObjectRequest{
		Bucket: &bucket, Key: &key, Body: bytes.NewReader(data), ContentType: oss.Ptr("video/mp4"),
		Metadata: map[string]string{"who": "me"}, CacheControl: oss.Ptr("no-cache"), Tagging: oss.Ptr("a=b"),
	}))
	equal(unquoted(put.ETag), md5Of(data))
	same(c.read(key), data)
	head := c.head(key)
	equal([]any{*head.ContentType, head.ContentLength, *head.CacheControl, *head.ObjectType, *head.StorageClass},
		[]any{"video/mp4", int64(len(data)), "no-cache", "Normal", "Standard"})
	equal(head.Metadata["who"], "me")
	equal(head.TaggingCount, int32(1))
	equal(*head.HashCRC64, *put.HashCRC64)
	holds(time.Since(*head.LastModified).Abs() < 15*time.Minute, "a time of now")
	meta := got(c.GetObjectMeta(background, &oss.GetObjectMetaRequest{Bucket: &bucket, Key: &key}))
	equal([]any{meta.ContentLength, *meta.ETag}, []any{int64(len(data)), *put.ETag})
	withFile(data, func(folder, path string) {
		got(c.PutObjectFromFile(background, &oss.PutObjectRequest{Bucket: &bucket, Key: oss.Ptr("go/file")}, path))
		back := filepath.Join(folder, "back")
		got(c.GetObjectToFile(background, &oss.GetObjectRequest{Bucket: &bucket, Key: oss.Ptr("go/file")}, back))
		same(got(os.ReadFile(back)), data)
	})
	holds(got(c.IsObjectExist(background, bucket, key)), "what was put exists")
	holds(!got(c.IsObjectExist(background, bucket, "go/none")), "what was not put does not exist")
	_, err := c.GetObject(background, &oss.GetObjectRequest{Bucket: &bucket, Key: oss.Ptr("go/none")})
	refused(err, "NoSuchKey", 404)
	_, err = c.HeadObject(background, &oss.HeadObjectRequest{Bucket: &bucket, Key: oss.Ptr("go/none")})
	refused(err, "NoSuchKey", 404)
	c.clear("go/")
}

func v2AwkwardKeys(c v2, _ form) {
	keys := []string{"a b.mp4", "百分 100%.mp4", "emoji-🎬.mp4", "plus+and&amp.mp4", "deep/er//x.mp4", "q?=#.mp4", "<&>'\".mp4", "./a/../b", "日/", "~-_.!*()"}
	for i, key := range keys {
		keys[i] = "k/" + key
		c.put(keys[i], []byte(key))
		equal(string(c.read(keys[i])), key)
		equal(c.head(keys[i]).ContentLength, int64(len(key)))
	}
	slices.Sort(keys)
	equal(c.listed("k/"), keys)
	c.clear("k/")
	equal(len(c.listed("k/")), 0)
}

func v2Conditions(c v2, _ form) {
	data := noise(1000, 2)
	key := "c/a"
	put := c.put(key, data)
	get := func(request oss.GetObjectRequest) (*oss.GetObjectResult, error) {
		request.Bucket, request.Key = &bucket, &key
		return c.GetObject(background, &request)
	}
	part := got(get(oss.GetObjectRequest{Range: oss.Ptr("bytes=10-99")}))
	part.Body.Close()
	equal([]any{part.StatusCode, *part.ContentRange}, []any{206, "bytes 10-99/1000"})
	beyond := got(get(oss.GetObjectRequest{Range: oss.Ptr("bytes=990-1000")}))
	beyond.Body.Close()
	equal(beyond.StatusCode, 200)
	clamped := got(get(oss.GetObjectRequest{Range: oss.Ptr("bytes=990-1000"), RangeBehavior: oss.Ptr("standard")}))
	clamped.Body.Close()
	equal(*clamped.ContentRange, "bytes 990-999/1000")
	_, err := get(oss.GetObjectRequest{Range: oss.Ptr("bytes=1000-"), RangeBehavior: oss.Ptr("standard")})
	refused(err, "InvalidRange", 416)
	_, err = get(oss.GetObjectRequest{IfMatch: oss.Ptr(`"00"`)})
	refused(err, "PreconditionFailed", 412)
	_, err = get(oss.GetObjectRequest{IfNoneMatch: put.ETag})
	holds(strings.Contains(fmt.Sprint(err), "304"), "not modified")
	shaped := got(get(oss.GetObjectRequest{ResponseContentType: oss.Ptr("a/b")}))
	shaped.Body.Close()
	equal(*shaped.ContentType, "a/b")
	taken := oss.PutObjectRequest{Bucket: &bucket, Key: &key, Body: strings.NewReader("x"), ForbidOverwrite: oss.Ptr("true")}
	_, err = c.PutObject(background, &taken)
	refused(err, "FileAlreadyExists", 409)
	damaged := oss.PutObjectRequest{Bucket: &bucket, Key: oss.Ptr("c/b"), Body: strings.NewReader("x"), ContentMD5: oss.Ptr("1B2M2Y8AsgTpgAmY7PhCfg==")}
	_, err = c.PutObject(background, &damaged)
	refused(err, "InvalidDigest", 400)
	c.clear("c/")
}

func v2Copies(c v2, _ form) {
	data := noise(5000, 3)
	got(c.PutObject(background, &oss.PutObjectRequest{Bucket: &bucket, Key: oss.Ptr("cp/a b+"), Body: bytes.NewReader(data), Metadata: map[string]string{"a": "1"}}))
	copied := got(c.CopyObject(background, &oss.CopyObjectRequest{Bucket: &bucket, Key: oss.Ptr("cp/b"), SourceKey: oss.Ptr("cp/a b+")}))
	holds(unquoted(copied.ETag) == md5Of(data) && copied.LastModified != nil, "a copy tells ETag and time")
	same(c.read("cp/b"), data)
	equal(c.head("cp/b").Metadata["a"], "1")
	got(c.CopyObject(background, &oss.CopyObjectRequest{
		Bucket: &bucket, Key: oss.Ptr("cp/c"), SourceBucket: &bucket, SourceKey: oss.Ptr("cp/a b+"),
		MetadataDirective: oss.Ptr("REPLACE"), Metadata: map[string]string{"b": "2"},
	}))
	equal(c.head("cp/c").Metadata, map[string]string{"b": "2"})
	_, err := c.CopyObject(background, &oss.CopyObjectRequest{Bucket: &bucket, Key: oss.Ptr("cp/d"), SourceKey: oss.Ptr("cp/none")})
	refused(err, "NoSuchKey", 404)
	_, err = c.CopyObject(background, &oss.CopyObjectRequest{Bucket: &bucket, Key: oss.Ptr("cp/d"), SourceKey: oss.Ptr("cp/b"), IfMatch: oss.Ptr(`"00"`)})
	refused(err, "PreconditionFailed", 412)
	_, err = c.CopyObject(background, &oss.CopyObjectRequest{Bucket: &bucket, Key: oss.Ptr("cp/c"), SourceKey: oss.Ptr("cp/b"), ForbidOverwrite: oss.Ptr("true")})
	refused(err, "FileAlreadyExists", 409)
	c.clear("cp/")
}

func v2Appends(c v2, _ form) {
	append := func(key string, position int64, data, crc string) (*oss.AppendObjectResult, error) {
		return c.AppendObject(background, &oss.AppendObjectRequest{
			Bucket: &bucket, Key: &key, Position: &position, Body: strings.NewReader(data), InitHashCRC64: &crc,
		})
	}
	first := got(append("log/a", 0, "one", "0"))
	equal(first.NextPosition, int64(3))
	equal(got(append("log/a", 3, "two", *first.HashCRC64)).NextPosition, int64(6))
	equal(string(c.read("log/a")), "onetwo")
	equal(*c.head("log/a").ObjectType, "Appendable")
	_, err := append("log/a", 1, "x", "0")
	refused(err, "PositionNotEqualToLength", 409)
	c.put("log/plain", []byte("x"))
	_, err = append("log/plain", 1, "x", "0")
	refused(err, "ObjectNotAppendable", 409)
	file := got(c.AppendFile(background, bucket, "log/file"))
	for _, line := range []string{"three", "four"} {
		got(file.Write([]byte(line)))
	}
	must(file.Close())
	equal(string(c.read("log/file")), "threefour")
	c.clear("log/")
}

func v2Listings(c v2, _ form) {
	keys := []string{"list/a b", "list/sub/1", "list/sub/2", "list/z+&", "list/测.mp4"}
	for _, key := range keys {
		c.put(key, []byte(key))
	}
	equal(c.listed("list/"), keys)
	var first []string
	pages := c.NewListObjectsPaginator(&oss.ListObjectsRequest{Bucket: &bucket, Prefix: oss.Ptr("list/"), MaxKeys: 2})
	for pages.HasNext() {
		for _, object := range got(pages.NextPage(background)).Contents {
			first = append(first, *object.Key)
			holds(object.Owner.ID != nil && object.LastModified != nil && *object.Type == "Normal", "owner, time and type")
		}
	}
	equal(first, keys)
	grouped := got(c.ListObjectsV2(background, &oss.ListObjectsV2Request{
		Bucket: &bucket, Prefix: oss.Ptr("list/"), Delimiter: oss.Ptr("/"), StartAfter: oss.Ptr("list/a b"), FetchOwner: true,
	}))
	equal([]any{*grouped.CommonPrefixes[0].Prefix, len(grouped.Contents), grouped.KeyCount}, []any{"list/sub/", 2, 3})
	equal([]any{*grouped.Contents[0].Key, unquoted(grouped.Contents[0].ETag)}, []any{"list/z+&", md5Of([]byte("list/z+&"))})
	holds(grouped.Contents[0].Owner.ID != nil, "the owner, as asked")
	var versions []string
	all := c.NewListObjectVersionsPaginator(&oss.ListObjectVersionsRequest{Bucket: &bucket, Prefix: oss.Ptr("list/"), MaxKeys: 2})
	for all.HasNext() {
		for _, version := range got(all.NextPage(background)).ObjectVersions {
			versions = append(versions, *version.Key)
			equal([]any{*version.VersionId, version.IsLatest}, []any{"null", true})
		}
	}
	equal(versions, keys)
	_, err := c.ListObjects(background, &oss.ListObjectsRequest{Bucket: &bucket, MaxKeys: 1001})
	refused(err, "InvalidArgument", 400)
	c.clear("list/")
}

func v2Deletions(c v2, _ form) {
	var objects []oss.DeleteObject
	for n := range 5 {
		key := fmt.Sprintf("many/ü & %d", n)
		c.put(key, []byte("x"))
		objects = append(objects, oss.DeleteObject{Key: &key})
	}
	missing := oss.DeleteObject{Key: oss.Ptr("many/never was")}
	told := got(c.DeleteMultipleObjects(background, &oss.DeleteMultipleObjectsRequest{Bucket: &bucket, Objects: append(objects[:2:2], missing)}))
	var keys []string
	for _, deleted := range told.DeletedObjects {
		keys = append(keys, *deleted.Key)
	}
	equal(keys, []string{"many/ü & 0", "many/ü & 1", "many/never was"})
	quiet := got(c.DeleteMultipleObjects(background, &oss.DeleteMultipleObjectsRequest{Bucket: &bucket, Objects: objects[2:4], Quiet: true}))
	equal(len(quiet.DeletedObjects), 0)
	equal(c.listed("many/"), []string{"many/ü & 4"})
	equal(got(c.DeleteObject(background, &oss.DeleteObjectRequest{Bucket: &bucket, Key: missing.Key})).StatusCode, 204)
	c.clear("many/")
}

func v2AclsAndTags(c v2, _ form) {
	key := "at/a"
	c.put(key, []byte("x"))
	status, _ := fetched("GET", endpoint+"/"+bucket+"/"+key, nil, "")
	equal(status, 403)
	got(c.PutObjectAcl(background, &oss.PutObjectAclRequest{Bucket: &bucket, Key: &key, Acl: oss.ObjectACLPublicRead}))
	equal(*got(c.GetObjectAcl(background, &oss.GetObjectAclRequest{Bucket: &bucket, Key: &key})).ACL, "public-read")
	_, body := fetched("GET", endpoint+"/"+bucket+"/"+key, nil, "")
	equal(body, "x")
	tags := oss.Tagging{TagSet: &oss.TagSet{Tags: []oss.Tag{{Key: oss.Ptr("k + l"), Value: oss.Ptr("v w")}}}}
	got(c.PutObjectTagging(background, &oss.PutObjectTaggingRequest{Bucket: &bucket, Key: &key, Tagging: &tags}))
	kept := got(c.GetObjectTagging(background, &oss.GetObjectTaggingRequest{Bucket: &bucket, Key: &key})).Tags
	equal([]any{len(kept), *kept[0].Key, *kept[0].Value}, []any{1, "k + l", "v w"})
	got(c.DeleteObjectTagging(background, &oss.DeleteObjectTaggingRequest{Bucket: &bucket, Key: &key}))
	equal(len(got(c.GetObjectTagging(background, &oss.GetObjectTaggingRequest{Bucket: &bucket, Key: &key})).Tags), 0)
	_, err := c.GetObjectAcl(background, &oss.GetObjectAclRequest{Bucket: &bucket, Key: oss.Ptr("at/none")})
	refused(err, "NoSuchKey", 404)
	c.clear("at/")
}

func v2Lacks(c v2, _ form) {
	_, err := c.PutSymlink(background, &oss.PutSymlinkRequest{Bucket: &bucket, Key: oss.Ptr("l/b"), Target: oss.Ptr("l/a")})
	refused(err, "NotImplemented", 400)
	_, err = c.GetBucketWebsite(background, &oss.GetBucketWebsiteRequest{Bucket: &bucket})
	refused(err, "NotImplemented", 400)
	_, err = c.GetBucketVersioning(background, &oss.GetBucketVersioningRequest{Bucket: &bucket})
	refused(err, "NotImplemented", 400)
	_, err = c.GetBucketPolicy(background, &oss.GetBucketPolicyRequest{Bucket: &bucket})
	refused(err, "NotImplemented", 400)
}
