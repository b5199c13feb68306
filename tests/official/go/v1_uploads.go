package main

import (
	"bytes"
	"crypto/md5"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/aliyun/aliyun-oss-go-sdk/oss"
)

func v1Multipart(b v1, _ v1Maker) {
	data := noise(2*int(partLength)+7, 21)
	begun := got(b.InitiateMultipartUpload("v1/m"))
	var parts []oss.UploadPart
	for number := 1; number <= 3; number++ {
		piece := data[int64(number-1)*partLength : min(int64(number)*partLength, int64(len(data)))]
		parts = append(parts, got(b.UploadPart(begun, bytes.NewReader(piece), int64(len(piece)), number)))
	}
	page := got(b.ListUploadedParts(begun, oss.MaxParts(2)))
	equal([]any{len(page.UploadedParts), page.IsTruncated, page.NextPartNumberMarker}, []any{2, true, "2"})
	open := got(b.ListMultipartUploads(oss.Prefix("v1/"))).Uploads
	equal([]any{len(open), open[0].Key, open[0].UploadID}, []any{1, "v1/m", begun.UploadID})
	wrong := parts[0]
	wrong.ETag = parts[1].ETag
	_, err := b.CompleteMultipartUpload(begun, []oss.UploadPart{wrong})
	refusedV1(err, "InvalidPart", 400)
	got(b.CompleteMultipartUpload(begun, parts))
	same(b.read("v1/m"), data)
	copied := got(b.InitiateMultipartUpload("v1/copied"))
	part := got(b.UploadPartCopy(copied, bucket, "v1/m", 10, 100, 1))
	got(b.CompleteMultipartUpload(copied, []oss.UploadPart{part}))
	same(b.read("v1/copied"), data[10:110])
	gone := got(b.InitiateMultipartUpload("v1/gone"))
	must(b.AbortMultipartUpload(gone))
	_, err = b.ListUploadedParts(gone)
	refusedV1(err, "NoSuchUpload", 404)
	b.clear("v1/")
}

// stopAt panics out of a transfer of one routine, as a process that dies.
type stopAt struct{ after int64 }

func (s stopAt) ProgressChanged(event *oss.ProgressEvent) {
	if event.EventType == oss.TransferDataEvent && event.ConsumedBytes >= s.after {
		panic("interrupted")
	}
}

func v1Resumes(b v1, make v1Maker) {
	data := noise(12*int(partLength)+123, 22)
	withFile(data, func(folder, path string) {
		checkpoint := oss.Checkpoint(true, filepath.Join(folder, "up.cp"))
		why := ended(func() {
			_ = b.UploadFile("v1/movie", path, partLength, oss.Routines(1), checkpoint, oss.Progress(stopAt{5 * partLength}))
		})
		equal(why, "interrupted")
		open := got(b.ListMultipartUploads(oss.Prefix("v1/"))).Uploads
		equal(len(open), 1)
		held := oss.InitiateMultipartUploadResult{Bucket: bucket, Key: "v1/movie", UploadID: open[0].UploadID}
		before := got(b.ListUploadedParts(held)).UploadedParts
		holds(len(before) >= 4 && len(before) < 13, fmt.Sprintf("%d parts are held", len(before)))
		must(make(accessKeyID, secret).UploadFile("v1/movie", path, partLength, oss.Routines(3), checkpoint))
		same(b.read("v1/movie"), data)
		equal(len(got(b.ListMultipartUploads(oss.Prefix("v1/"))).Uploads), 0)

		back, checkpoint := filepath.Join(folder, "back"), oss.Checkpoint(true, filepath.Join(folder, "down.cp"))
		why = ended(func() {
			_ = b.DownloadFile("v1/movie", back, partLength, oss.Routines(1), checkpoint, oss.Progress(stopAt{5 * partLength}))
		})
		equal(why, "interrupted")
		must(make(accessKeyID, secret).DownloadFile("v1/movie", back, partLength, oss.Routines(3), checkpoint))
		same(got(os.ReadFile(back)), data)
	})
	must(b.CopyFile(bucket, "v1/movie", "v1/copied", 4*partLength, oss.Routines(2)))
	same(b.read("v1/copied"), data)
	b.clear("v1/")
}

func v1Sequential(b v1, _ v1Maker) {
	data := noise(2*int(partLength)+7, 23)
	begun := got(b.InitiateMultipartUpload("v1/row", oss.Sequential()))
	upload := func(number int64) (oss.UploadPart, error) {
		piece := data[min((number-1)*partLength, int64(len(data))):min(number*partLength, int64(len(data)))]
		return b.UploadPart(begun, bytes.NewReader(piece), int64(len(piece)), int(number))
	}
	_, err := upload(2)
	refusedV1(err, "PartNotSequential", 400)
	var parts []oss.UploadPart
	for number := int64(1); number <= 3; number++ {
		parts = append(parts, got(upload(number)))
		_, err = upload(number)
		refusedV1(err, "PartAlreadyExist", 409)
		_, err = upload(number + 2)
		refusedV1(err, "PartNotSequential", 400)
	}
	got(b.CompleteMultipartUpload(begun, parts))
	same(b.read("v1/row"), data)
	sum := md5.Sum(data)
	equal(got(b.GetObjectDetailedMeta("v1/row")).Get("Content-MD5"), base64.StdEncoding.EncodeToString(sum[:]))
	b.clear("v1/")
}

func v1Callbacks(b v1, _ v1Maker) {
	put := func(options ...oss.Option) error { return b.PutObject("v1/put", strings.NewReader("film"), options...) }
	complete := func(options ...oss.Option) error {
		begun := got(b.InitiateMultipartUpload("v1/parts"))
		part := got(b.UploadPart(begun, strings.NewReader("film"), 4, 1))
		_, err := b.CompleteMultipartUpload(begun, []oss.UploadPart{part}, options...)
		return err
	}
	withApplication(func(a *application) {
		for _, call := range []func(...oss.Option) error{put, complete} {
			var heard []byte
			callback, variables := a.wish("/done")
			must(call(oss.Callback(callback), oss.CallbackVar(variables), oss.CallbackResult(&heard)))
			equal(string(heard), answer)
			callback, _ = a.wish("/not")
			refusedV1(call(oss.Callback(callback)), "CallbackFailed", 203)
			refusedV1(call(oss.Callback("not base64!")), "InvalidArgument", 400)
		}
		equal(a.told, []string{
			"object=v1%2Fput&size=4&by=me%20%26%20you", "object=v1%2Fput&size=4&by=",
			"object=v1%2Fparts&size=4&by=me%20%26%20you", "object=v1%2Fparts&size=4&by=",
		})
	})
	equal(string(b.read("v1/put"))+string(b.read("v1/parts")), "filmfilm")
	for _, open := range got(b.ListMultipartUploads(oss.Prefix("v1/parts"))).Uploads {
		must(b.AbortMultipartUpload(oss.InitiateMultipartUploadResult{Bucket: bucket, Key: open.Key, UploadID: open.UploadID}))
	}
	b.clear("v1/")
}
