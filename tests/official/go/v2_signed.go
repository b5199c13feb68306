package main

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss"
)

// sent carries out what was signed, through the server as proxy where it names the genuine host.
func sent(signed *oss.PresignResult, headers map[string]string, body string) (int, string) {
	place := got(url.Parse(signed.URL))
	if strings.HasSuffix(place.Host, ".aliyuncs.com") {
		transport := http.DefaultTransport.(*http.Transport).Clone()
		transport.Proxy = http.ProxyURL(got(url.Parse(endpoint)))
		defer func(kept *http.Client) { http.DefaultClient = kept }(http.DefaultClient)
		http.DefaultClient = &http.Client{Transport: transport}
	}
	all := map[string]string{}
	for name, value := range signed.SignedHeaders {
		all[name] = value
	}
	for name, value := range headers {
		all[name] = value
	}
	return fetched(signed.Method, signed.URL, all, body)
}

var codeElement = regexp.MustCompile(`<Code>(.*)</Code>`)

func codeOf(body string) string {
	if found := codeElement.FindStringSubmatch(body); found != nil {
		return found[1]
	}
	return ""
}

func v2Presigned(c v2, _ form) {
	key := "url/a b+测.txt"
	late := got(c.Presign(background, &oss.GetObjectRequest{Bucket: &bucket, Key: &key}, oss.PresignExpires(2*time.Second)))
	past := time.Now().Add(3500 * time.Millisecond)
	put := got(c.Presign(background, &oss.PutObjectRequest{
		Bucket: &bucket, Key: &key, ContentType: oss.Ptr("text/plain"), Metadata: map[string]string{"who": "me"},
	}, oss.PresignExpires(time.Minute)))
	status, body := sent(put, nil, "signed")
	equal([]any{status, body}, []any{200, ""})
	status, body = sent(put, map[string]string{"Content-Type": "text/html"}, "other")
	equal([]any{status, codeOf(body)}, []any{403, "SignatureDoesNotMatch"})
	equal(c.head(key).Metadata["who"], "me")
	get := got(c.Presign(background, &oss.GetObjectRequest{Bucket: &bucket, Key: &key}))
	status, body = sent(get, nil, "")
	equal([]any{status, body}, []any{200, "signed"})
	get.URL = strings.Replace(get.URL, "url/", "url2/", 1)
	status, body = sent(get, nil, "")
	equal([]any{status, codeOf(body)}, []any{403, "SignatureDoesNotMatch"})
	head := got(c.Presign(background, &oss.HeadObjectRequest{Bucket: &bucket, Key: &key}))
	status, _ = sent(head, nil, "")
	equal(status, 200)
	begun := got(c.Presign(background, &oss.InitiateMultipartUploadRequest{Bucket: &bucket, Key: oss.Ptr("url/m")}))
	status, body = sent(begun, nil, "")
	equal(status, 200)
	uploadID := regexp.MustCompile(`<UploadId>(.*)</UploadId>`).FindStringSubmatch(body)[1]
	part := got(c.Presign(background, &oss.UploadPartRequest{Bucket: &bucket, Key: oss.Ptr("url/m"), UploadId: &uploadID, PartNumber: 1}))
	status, _ = sent(part, nil, "part")
	equal(status, 200)
	abort := got(c.Presign(background, &oss.AbortMultipartUploadRequest{Bucket: &bucket, Key: oss.Ptr("url/m"), UploadId: &uploadID}))
	status, _ = sent(abort, nil, "")
	equal(status, 204)
	time.Sleep(time.Until(past))
	status, body = sent(late, nil, "")
	equal([]any{status, codeOf(body)}, []any{403, "AccessDenied"})
	c.clear("url/")
}

func v2Everybody(c v2, form form) {
	got(c.PutObject(background, &oss.PutObjectRequest{Bucket: &bucket, Key: oss.Ptr("open/a"), Body: strings.NewReader("film"), Acl: oss.ObjectACLPublicRead}))
	c.put("open/b", []byte("secret"))
	nobody := form.nobody()
	equal(string(nobody.read("open/a")), "film")
	equal(nobody.head("open/a").ContentLength, int64(4))
	_, err := nobody.GetObject(background, &oss.GetObjectRequest{Bucket: &bucket, Key: oss.Ptr("open/b")})
	refused(err, "AccessDenied", 403)
	_, err = nobody.PutObject(background, &oss.PutObjectRequest{Bucket: &bucket, Key: oss.Ptr("open/a"), Body: strings.NewReader("x")})
	refused(err, "AccessDenied", 403)
	_, err = nobody.ListObjectsV2(background, &oss.ListObjectsV2Request{Bucket: &bucket})
	refused(err, "AccessDenied", 403)
	equal(string(c.read("open/a")), "film")
	c.clear("open/")
}

func v2WrongKeys(c v2, form form) {
	attempt := func(c v2) error {
		_, err := c.PutObject(background, &oss.PutObjectRequest{Bucket: &bucket, Key: oss.Ptr("in/a"), Body: strings.NewReader("x")})
		return err
	}
	refused(attempt(form.client(accessKeyID, "wrong", "", region)), "SignatureDoesNotMatch", 403)
	refused(attempt(form.client("nobody", secret, "", region)), "InvalidAccessKeyId", 403)
	_, err := form.client(accessKeyID, "wrong", "", region).HeadObject(background, &oss.HeadObjectRequest{Bucket: &bucket, Key: oss.Ptr("in/a")})
	refused(err, "SignatureDoesNotMatch", 403)
	if form.version == oss.SignatureVersionV4 {
		refused(attempt(form.client(accessKeyID, secret, "", elsewhere)), "InvalidArgument", 400)
	}
	holds(!got(c.IsObjectExist(background, bucket, "in/a")), "nothing was put")
}

func v2Tokens(form form, dying upload) {
	data := noise(3*int(partLength), 14)
	right := grant()
	c := form.client(right.AccessKeyId, right.AccessKeySecret, right.SecurityToken, region)
	got(c.NewUploader(func(o *oss.UploaderOptions) { o.PartSize = partLength }).
		UploadFrom(background, &oss.PutObjectRequest{Bucket: &right.Bucket, Key: &right.FileName}, strings.NewReader(string(data))))
	same(form.own().read(right.FileName), data)
	_, err := c.GetObject(background, &oss.GetObjectRequest{Bucket: &right.Bucket, Key: &right.FileName})
	refused(err, "AccessDenied", 403)
	_, err = c.PutObject(background, &oss.PutObjectRequest{Bucket: &right.Bucket, Key: oss.Ptr("elsewhere"), Body: strings.NewReader("x")})
	refused(err, "AccessDenied", 403)
	_, err = form.client(right.AccessKeyId, right.AccessKeySecret, "nonsense", region).
		PutObject(background, &oss.PutObjectRequest{Bucket: &right.Bucket, Key: &right.FileName, Body: strings.NewReader("x")})
	refused(err, "InvalidSecurityToken", 403)
	dying.expire()
	_, err = form.client(dying.AccessKeyId, dying.AccessKeySecret, dying.SecurityToken, region).
		PutObject(background, &oss.PutObjectRequest{Bucket: &dying.Bucket, Key: &dying.FileName, Body: strings.NewReader("x")})
	refused(err, "SecurityTokenExpired", 403)
}
