// Uploads one file by one of the official Go SDKs, used as a black box, with CRC64 on:
//
//	go-uploaders v1|v2 ENDPOINT REGION BUCKET KEY FILE PART_SIZE PARALLEL
//
// v1 is aliyun-oss-go-sdk's Bucket.UploadFile, v2 is alibabacloud-oss-go-sdk-v2's Uploader; each with its other defaults, v1 with
// its checkpoint file off. The keys come from VODFERRY_ACCESS_KEY_ID and VODFERRY_ACCESS_KEY_SECRET.
package main

import (
	"context"
	"fmt"
	"os"
	"strconv"

	v2 "github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss"
	v2credentials "github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss/credentials"
	v1 "github.com/aliyun/aliyun-oss-go-sdk/oss"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 8 {
		return fmt.Errorf("usage: go-uploaders v1|v2 ENDPOINT REGION BUCKET KEY FILE PART_SIZE PARALLEL")
	}
	sdk, endpoint, region, bucket, key, path := args[0], args[1], args[2], args[3], args[4], args[5]
	partSize, err := strconv.ParseInt(args[6], 10, 64)
	if err != nil {
		return err
	}
	parallel, err := strconv.Atoi(args[7])
	if err != nil {
		return err
	}
	id, secret := os.Getenv("VODFERRY_ACCESS_KEY_ID"), os.Getenv("VODFERRY_ACCESS_KEY_SECRET")
	switch sdk {
	case "v1":
		client, err := v1.New(endpoint, id, secret, v1.EnableCRC(true), v1.ForcePathStyle(true))
		if err != nil {
			return err
		}
		place, err := client.Bucket(bucket)
		if err != nil {
			return err
		}
		return place.UploadFile(key, path, partSize, v1.Routines(parallel))
	case "v2":
		config := v2.LoadDefaultConfig().
			WithEndpoint(endpoint).
			WithRegion(region).
			WithUsePathStyle(true).
			WithDisableUploadCRC64Check(false).
			WithCredentialsProvider(v2credentials.NewStaticCredentialsProvider(id, secret))
		uploader := v2.NewUploader(v2.NewClient(config), func(options *v2.UploaderOptions) {
			options.PartSize = partSize
			options.ParallelNum = parallel
		})
		_, err := uploader.UploadFile(context.Background(), &v2.PutObjectRequest{Bucket: v2.Ptr(bucket), Key: v2.Ptr(key)}, path)
		return err
	}
	return fmt.Errorf("no SDK is called %s", sdk)
}
