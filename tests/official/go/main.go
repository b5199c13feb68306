// The official Go SDKs as black boxes against our server: alibabacloud-oss-go-sdk-v2 signed by V4 and V1, by an IP as endpoint
// and by the genuine names through a proxy, and aliyun-oss-go-sdk v1 signed by V1 and V4.
//
//	official-go ENDPOINT BUCKET KEYS_FILE
//
// Prints a line per check and `N passed, N failed`.
package main

import (
	"fmt"
	"os"
)

// What a run is about; the region is the one that the server tells when it was not told another.
var (
	endpoint, bucket    string
	accessKeyID, secret string
	region, elsewhere   = "cn-shanghai", "cn-hangzhou"
	second, partLength  = "go-second", int64(102_400)
)

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: official-go ENDPOINT BUCKET KEYS_FILE")
		os.Exit(2)
	}
	endpoint, bucket = os.Args[1], os.Args[2]
	var err error
	if accessKeyID, secret, err = accessKey(os.Args[3]); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
	failed := report("oss-go-v2", checksOfV2()) + report("oss-go-v1", checksOfV1())
	if failed > 0 {
		os.Exit(1)
	}
}
