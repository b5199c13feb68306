package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"

	"github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss"
	"github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss/credentials"
)

var background = context.Background()

// v2 is a client of alibabacloud-oss-go-sdk-v2 and what its checks do again and again.
type v2 struct{ *oss.Client }

// form is how a client signs and addresses.
type form struct {
	name    string
	version oss.SignatureVersionType
	genuine bool
}

var forms = []form{
	{"V4, IP", oss.SignatureVersionV4, false},
	{"V1, IP", oss.SignatureVersionV1, false},
	// The names of the original, and the server as the proxy that knows them: requests in the absolute form.
	{"V4, genuine host", oss.SignatureVersionV4, true},
}

func (f form) client(id, secret, token, region string) v2 {
	return v2{oss.NewClient(f.config(id, secret, token, region))}
}

func (f form) own() v2 { return f.client(accessKeyID, secret, "", region) }

// nobody is a client without a key.
func (f form) nobody() v2 {
	return v2{oss.NewClient(f.config("", "", "", region).WithCredentialsProvider(credentials.NewAnonymousCredentialsProvider()))}
}

// counted is a client whose requests of a method are counted.
func (f form) counted(method string) (v2, *atomic.Int64) {
	counter := &counting{Transport: http.DefaultTransport.(*http.Transport).Clone(), method: method}
	if f.genuine {
		counter.Proxy = http.ProxyURL(got(url.Parse(endpoint)))
	}
	config := f.config(accessKeyID, secret, "", region).WithHttpClient(&http.Client{Transport: counter})
	return v2{oss.NewClient(config)}, &counter.count
}

type counting struct {
	*http.Transport
	method string
	count  atomic.Int64
}

func (c *counting) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.Method == c.method {
		c.count.Add(1)
	}
	return c.Transport.RoundTrip(request)
}

func (f form) config(id, secret, token, region string) *oss.Config {
	config := oss.LoadDefaultConfig().
		WithRegion(region).
		WithSignatureVersion(f.version).
		WithCredentialsProvider(credentials.NewStaticCredentialsProvider(id, secret, token))
	if f.genuine {
		return config.WithDisableSSL(true).WithProxyHost(endpoint)
	}
	return config.WithEndpoint(endpoint)
}

func checksOfV2() (checks []check) {
	dying := grant()
	for _, f := range forms {
		for _, each := range []struct {
			name string
			run  func(v2, form)
		}{
			{"put, get and head tell the same", v2PutGetHead},
			{"awkward keys survive", v2AwkwardKeys},
			{"ranges and conditions", v2Conditions},
			{"objects are copied", v2Copies},
			{"an object grows", v2Appends},
			{"objects are listed", v2Listings},
			{"many objects are deleted", v2Deletions},
			{"ACLs and tags of objects", v2AclsAndTags},
			{"a bucket is made, looked at and deleted", v2Buckets},
			{"rules of a bucket", v2Rules},
			{"multipart by hand", v2Multipart},
			{"an interrupted upload goes on from its checkpoint", v2Resumes},
			{"an interrupted download goes on from its checkpoint", v2Downloads},
			{"large objects are copied in parts", v2Copier},
			{"an application is called back, and one that fails is told", v2Callbacks},
			{"requests signed for others", v2Presigned},
			{"everybody reads what is public", v2Everybody},
			{"wrong keys are refused", v2WrongKeys},
			{"what the server lacks it says", v2Lacks},
		} {
			checks = append(checks, check{each.name + " (" + f.name + ")", func() { each.run(f.own(), f) }})
		}
		checks = append(checks, check{"a token does what it may, until it ends (" + f.name + ")", func() { v2Tokens(f, dying) }})
	}
	return checks
}

// refused ends the check unless the call failed with this code, status and a request id.
func refused(err error, code string, status int) {
	var service *oss.ServiceError
	if !errors.As(err, &service) {
		fail("%s was expected, not: %v", code, err)
	}
	equal([]any{service.Code, service.StatusCode}, []any{code, status})
	holds(requestID.MatchString(service.RequestID), "a request id, not "+service.RequestID)
}

func (c v2) put(key string, data []byte) *oss.PutObjectResult {
	return got(c.PutObject(background, &oss.PutObjectRequest{Bucket: &bucket, Key: &key, Body: bytes.NewReader(data)}))
}

func (c v2) read(key string) []byte {
	result := got(c.GetObject(background, &oss.GetObjectRequest{Bucket: &bucket, Key: &key}))
	defer result.Body.Close()
	return got(io.ReadAll(result.Body))
}

func (c v2) head(key string) *oss.HeadObjectResult {
	return got(c.HeadObject(background, &oss.HeadObjectRequest{Bucket: &bucket, Key: &key}))
}

// listed gives all keys under the prefix, two a page.
func (c v2) listed(prefix string) (keys []string) {
	pages := c.NewListObjectsV2Paginator(&oss.ListObjectsV2Request{Bucket: &bucket, Prefix: &prefix, MaxKeys: 2})
	for pages.HasNext() {
		for _, object := range got(pages.NextPage(background)).Contents {
			keys = append(keys, *object.Key)
		}
	}
	return keys
}

// clear leaves nothing under the prefix: objects and uploads.
func (c v2) clear(prefix string) {
	for _, key := range c.listed(prefix) {
		got(c.DeleteObject(background, &oss.DeleteObjectRequest{Bucket: &bucket, Key: &key}))
	}
	for _, open := range c.uploads(prefix) {
		got(c.AbortMultipartUpload(background, &oss.AbortMultipartUploadRequest{Bucket: &bucket, Key: open.Key, UploadId: open.UploadId}))
	}
}

func (c v2) uploads(prefix string) (open []oss.Upload) {
	pages := c.NewListMultipartUploadsPaginator(&oss.ListMultipartUploadsRequest{Bucket: &bucket, Prefix: &prefix, MaxUploads: 2})
	for pages.HasNext() {
		open = append(open, got(pages.NextPage(background)).Uploads...)
	}
	return open
}

func unquoted(etag *string) string { return strings.Trim(*etag, `"`) }
