package main

import (
	"encoding/base64"
	"encoding/json"
	"time"
)

// upload is the right to put one object, from the application server.
type upload struct {
	Bucket, FileName                            string
	AccessKeyId, AccessKeySecret, SecurityToken string
	ExpireUTCTime                               time.Time
}

// grant asks for the right to put a new object; it lives as long as the server's credential_life.
func grant() upload {
	headers := map[string]string{"Content-Type": "application/json"}
	status, body := fetched("POST", endpoint+"/api/upload-auth/create", headers, `{"FileName":"official.mp4"}`)
	equal(status, 200)
	var reply struct{ UploadAddress, UploadAuth string }
	must(json.Unmarshal([]byte(body), &reply))
	var given upload
	for _, coded := range []string{reply.UploadAddress, reply.UploadAuth} {
		must(json.Unmarshal(got(base64.StdEncoding.DecodeString(coded)), &given))
	}
	return given
}

// expire waits until the right has ended.
func (u upload) expire() {
	time.Sleep(time.Until(u.ExpireUTCTime.Add(time.Second)))
}
