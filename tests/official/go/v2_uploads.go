package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss"
)

func v2Multipart(c v2, _ form) {
	data := noise(3*int(partLength)+7, 10)
	key := "m/a b.mp4"
	begun := got(c.InitiateMultipartUpload(background, &oss.InitiateMultipartUploadRequest{Bucket: &bucket, Key: &key, ContentType: oss.Ptr("video/mp4")}))
	upload := func(number int32, data []byte) (*oss.UploadPartResult, error) {
		return c.UploadPart(background, &oss.UploadPartRequest{
			Bucket: &bucket, Key: &key, UploadId: begun.UploadId, PartNumber: number, Body: bytes.NewReader(data),
		})
	}
	complete := func(parts ...oss.UploadPart) (*oss.CompleteMultipartUploadResult, error) {
		return c.CompleteMultipartUpload(background, &oss.CompleteMultipartUploadRequest{
			Bucket: &bucket, Key: &key, UploadId: begun.UploadId, CompleteMultipartUpload: &oss.CompleteMultipartUpload{Parts: parts},
		})
	}
	var parts []oss.UploadPart
	etags := ""
	for number := int32(1); number <= 4; number++ {
		piece := data[int64(number-1)*partLength : min(int64(number)*partLength, int64(len(data)))]
		part := got(upload(number, piece))
		equal(unquoted(part.ETag), md5Of(piece))
		etags += unquoted(part.ETag)
		parts = append(parts, oss.UploadPart{PartNumber: number, ETag: part.ETag})
	}
	var sizes []int64
	pages := c.NewListPartsPaginator(&oss.ListPartsRequest{Bucket: &bucket, Key: &key, UploadId: begun.UploadId, MaxParts: 3})
	for pages.HasNext() {
		for _, part := range got(pages.NextPage(background)).Parts {
			sizes = append(sizes, part.Size)
		}
	}
	equal(sizes, []int64{partLength, partLength, partLength, 7})
	open := c.uploads("m/")
	equal([]any{len(open), *open[0].Key, *open[0].UploadId}, []any{1, key, *begun.UploadId})
	_, err := complete(parts[0], oss.UploadPart{PartNumber: 2, ETag: parts[0].ETag})
	refused(err, "InvalidPart", 400)
	_, err = complete(parts[3], oss.UploadPart{PartNumber: 5, ETag: parts[0].ETag})
	refused(err, "InvalidPart", 400)
	equal(unquoted(got(complete(parts...)).ETag), md5Of([]byte(etags))+"-4")
	same(c.read(key), data)
	_, err = upload(1, []byte("x"))
	refused(err, "NoSuchUpload", 404)

	for _, key := range []string{"m/all", "m/aborted"} {
		begun := got(c.InitiateMultipartUpload(background, &oss.InitiateMultipartUploadRequest{Bucket: &bucket, Key: &key}))
		got(c.UploadPart(background, &oss.UploadPartRequest{Bucket: &bucket, Key: &key, UploadId: begun.UploadId, PartNumber: 1, Body: strings.NewReader("all")}))
		if key == "m/aborted" {
			gone := oss.AbortMultipartUploadRequest{Bucket: &bucket, Key: &key, UploadId: begun.UploadId}
			got(c.AbortMultipartUpload(background, &gone))
			_, err := c.AbortMultipartUpload(background, &gone)
			refused(err, "NoSuchUpload", 404)
			continue
		}
		got(c.CompleteMultipartUpload(background, &oss.CompleteMultipartUploadRequest{Bucket: &bucket, Key: &key, UploadId: begun.UploadId, CompleteAll: oss.Ptr("yes")}))
		equal(string(c.read(key)), "all")
	}
	c.clear("m/")
}

// interrupted gives a context that ends when so many bytes have moved.
func interrupted(after int64) (context.Context, oss.ProgressFunc) {
	ctx, cancel := context.WithCancel(background)
	return ctx, func(_, transferred, _ int64) {
		if transferred >= after {
			cancel()
		}
	}
}

func v2Resumes(c v2, form form) {
	data := noise(12*int(partLength)+123, 11)
	key := "r/movie"
	withFile(data, func(folder, path string) {
		uploader := func(c v2) *oss.Uploader {
			return c.NewUploader(func(o *oss.UploaderOptions) {
				o.PartSize, o.ParallelNum, o.EnableCheckpoint, o.CheckpointDir = partLength, 2, true, folder
			})
		}
		ctx, progress := interrupted(5 * partLength)
		_, err := uploader(c).UploadFile(ctx, &oss.PutObjectRequest{Bucket: &bucket, Key: &key, ProgressFn: progress}, path)
		holds(err != nil, "the upload was not interrupted")
		holds(!got(c.IsObjectExist(background, bucket, key)), "half an object exists")
		open := c.uploads("r/")
		equal(len(open), 1)
		held := len(got(c.ListParts(background, &oss.ListPartsRequest{Bucket: &bucket, Key: &key, UploadId: open[0].UploadId})).Parts)
		holds(held >= 3 && held < 13, fmt.Sprintf("%d parts are held", held))

		again, sent := form.counted("PUT")
		done := got(uploader(again).UploadFile(background, &oss.PutObjectRequest{Bucket: &bucket, Key: &key}, path))
		equal(*done.UploadId, *open[0].UploadId)
		holds(sent.Load() > 0 && sent.Load() <= int64(13-held), fmt.Sprintf("%d parts were sent, %d of 13 were held", sent.Load(), held))
	})
	same(c.read(key), data)
	equal(*c.head(key).ObjectType, "Multipart")
	got(c.NewUploader(func(o *oss.UploaderOptions) { o.PartSize = partLength }).
		UploadFrom(background, &oss.PutObjectRequest{Bucket: &bucket, Key: oss.Ptr("r/stream")}, bytes.NewReader(data)))
	same(c.read("r/stream"), data)
	c.clear("r/")
}

func v2Downloads(c v2, form form) {
	data := noise(12*int(partLength)+123, 12)
	key := "d/movie"
	c.put(key, data)
	withFile(nil, func(folder, _ string) {
		path := filepath.Join(folder, "back")
		downloader := func(c v2) *oss.Downloader {
			return c.NewDownloader(func(o *oss.DownloaderOptions) {
				o.PartSize, o.ParallelNum, o.EnableCheckpoint, o.CheckpointDir, o.VerifyData = partLength, 2, true, folder, true
			})
		}
		ctx, progress := interrupted(5 * partLength)
		_, err := downloader(c).DownloadFile(ctx, &oss.GetObjectRequest{Bucket: &bucket, Key: &key, ProgressFn: progress}, path)
		holds(err != nil, "the download was not interrupted")
		again, asked := form.counted("GET")
		got(downloader(again).DownloadFile(background, &oss.GetObjectRequest{Bucket: &bucket, Key: &key}, path))
		holds(asked.Load() < 13, fmt.Sprintf("%d requests for what was left of 13 parts", asked.Load()))
		same(got(os.ReadFile(path)), data)
	})
	file := got(c.OpenFile(background, bucket, key))
	got(file.Seek(-10, 2))
	tail := make([]byte, 10)
	got(file.Read(tail))
	must(file.Close())
	same(tail, data[len(data)-10:])
	c.clear("d/")
}

func v2Copier(c v2, _ form) {
	data := noise(4*int(partLength)+9, 13)
	c.put("pc/source +", data)
	copier := oss.NewCopier(c.Client, func(o *oss.CopierOptions) {
		o.PartSize, o.MultipartCopyThreshold, o.DisableShallowCopy = partLength, 1, true
	})
	got(copier.Copy(background, &oss.CopyObjectRequest{Bucket: &bucket, Key: oss.Ptr("pc/copy"), SourceKey: oss.Ptr("pc/source +")}))
	same(c.read("pc/copy"), data)
	equal(*c.head("pc/copy").ObjectType, "Multipart")
	c.clear("pc/")
}
