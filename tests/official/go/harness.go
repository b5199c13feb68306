package main

import (
	"bytes"
	"crypto/md5"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"runtime"
	"strings"
)

// check is a named case; run ends it by a panic of one of the functions below, which report tells.
type check struct {
	name string
	run  func()
}

type failure string

// report runs all checks; one that fails is told, and the others still run. Gives how many failed.
func report(sdk string, checks []check) (failed int) {
	for _, check := range checks {
		if why := ended(check.run); why != "" {
			failed++
			fmt.Printf("%s … FAILED %s: %s\n", sdk, check.name, why)
		} else {
			fmt.Printf("%s … ok %s\n", sdk, check.name)
		}
	}
	fmt.Printf("%s: %d passed, %d failed\n", sdk, len(checks)-failed, failed)
	return failed
}

func ended(run func()) (why string) {
	defer func() {
		if thrown := recover(); thrown != nil {
			why = fmt.Sprint(thrown)
		}
	}()
	run()
	return ""
}

func fail(format string, args ...any) {
	where := "?"
	for depth := 1; depth < 9; depth++ {
		_, file, line, _ := runtime.Caller(depth)
		if name := filepath.Base(file); name != "harness.go" {
			where = fmt.Sprintf("%s:%d", name, line)
			break
		}
	}
	panic(failure(fmt.Sprintf(format, args...) + " at " + where))
}

// must ends the check when a call failed.
func must(err error) {
	if err != nil {
		fail("%v", err)
	}
}

// got ends the check when the call failed, and gives what it returned.
func got[T any](value T, err error) T {
	must(err)
	return value
}

func equal(have, want any) {
	if !reflect.DeepEqual(have, want) {
		fail("%v, but %v was expected", have, want)
	}
}

func holds(ok bool, what string) {
	if !ok {
		fail("%s", what)
	}
}

var requestID = regexp.MustCompile(`^[0-9A-F]{24}$`)

// same ends the check unless the bytes are the same, without printing them.
func same(have, want []byte) {
	if !bytes.Equal(have, want) {
		fail("%d bytes that differ from the %d expected", len(have), len(want))
	}
}

// accessKey reads the first access key of a keys.toml, without a TOML library.
func accessKey(path string) (id, secret string, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return "", "", err
	}
	_, section, _ := strings.Cut(string(text), "[[access_key]]")
	section, _, _ = strings.Cut(section, "[[")
	found := map[string]string{}
	for _, pair := range regexp.MustCompile(`(?m)^(id|secret) = "(.*)"$`).FindAllStringSubmatch(section, -1) {
		found[pair[1]] = pair[2]
	}
	if found["id"] == "" || found["secret"] == "" {
		return "", "", fmt.Errorf("%s holds no access key", path)
	}
	return found["id"], found["secret"], nil
}

// noise gives bytes that repeat nowhere, the same for the same seed.
func noise(length int, seed byte) []byte {
	out, block := make([]byte, 0, length+sha512.Size), sha512.Sum512([]byte{seed})
	for len(out) < length {
		out = append(out, block[:]...)
		block = sha512.Sum512(block[:])
	}
	return out[:length]
}

func md5Of(data []byte) string {
	sum := md5.Sum(data)
	return strings.ToUpper(hex.EncodeToString(sum[:]))
}

// withFile runs with a folder of its own and a file of this content in it.
func withFile(data []byte, run func(folder, path string)) {
	folder := got(os.MkdirTemp("", "official-go-"))
	defer os.RemoveAll(folder)
	path := filepath.Join(folder, "movie.mp4")
	must(os.WriteFile(path, data, 0o600))
	run(folder, path)
}

// fetched sends a request that no SDK makes. Gives the status and the body.
func fetched(method, url string, headers map[string]string, body string) (int, string) {
	request := got(http.NewRequest(method, url, strings.NewReader(body)))
	for name, value := range headers {
		request.Header.Set(name, value)
	}
	reply := got(http.DefaultClient.Do(request))
	defer reply.Body.Close()
	return reply.StatusCode, string(got(io.ReadAll(reply.Body)))
}
