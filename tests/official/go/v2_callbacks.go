package main

import (
	"strings"

	"github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss"
)

func v2Callbacks(c v2, _ form) {
	put := func(callback, variables string) (map[string]any, error) {
		result, err := c.PutObject(background, &oss.PutObjectRequest{
			Bucket: &bucket, Key: oss.Ptr("cb/put"), Body: strings.NewReader("film"), Callback: &callback, CallbackVar: &variables,
		})
		if err != nil {
			return nil, err
		}
		return result.CallbackResult, nil
	}
	complete := func(callback, variables string) (map[string]any, error) {
		key := "cb/parts"
		begun := got(c.InitiateMultipartUpload(background, &oss.InitiateMultipartUploadRequest{Bucket: &bucket, Key: &key}))
		part := got(c.UploadPart(background, &oss.UploadPartRequest{
			Bucket: &bucket, Key: &key, UploadId: begun.UploadId, PartNumber: 1, Body: strings.NewReader("film"),
		}))
		result, err := c.CompleteMultipartUpload(background, &oss.CompleteMultipartUploadRequest{
			Bucket: &bucket, Key: &key, UploadId: begun.UploadId, Callback: &callback, CallbackVar: &variables,
			CompleteMultipartUpload: &oss.CompleteMultipartUpload{Parts: []oss.UploadPart{{PartNumber: 1, ETag: part.ETag}}},
		})
		if err != nil {
			return nil, err
		}
		return result.CallbackResult, nil
	}
	withApplication(func(a *application) {
		for _, call := range []func(callback, variables string) (map[string]any, error){put, complete} {
			equal(got(call(a.wish("/done"))), map[string]any{"Status": "seen"})
			_, err := call(a.wish("/not"))
			refused(err, "CallbackFailed", 203)
			_, variables := a.wish("/done")
			_, err = call("not base64!", variables)
			refused(err, "InvalidArgument", 400)
		}
		put, parts := "object=cb%2Fput&size=4&by=me%20%26%20you", "object=cb%2Fparts&size=4&by=me%20%26%20you"
		equal(a.told, []string{put, put, parts, parts})
	})
	equal(string(c.read("cb/put"))+string(c.read("cb/parts")), "filmfilm")
	c.clear("cb/")
}
