package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
)

// application is what a server calls back: told is what it heard, and it fails under any path but /done.
type application struct {
	*httptest.Server
	told []string
}

const answer = `{"Status":"seen"}`

func withApplication(run func(*application)) {
	a := &application{}
	a.Server = httptest.NewServer(http.HandlerFunc(func(reply http.ResponseWriter, request *http.Request) {
		a.told = append(a.told, string(got(io.ReadAll(request.Body))))
		if request.URL.Path != "/done" {
			reply.WriteHeader(http.StatusInternalServerError)
		}
		fmt.Fprint(reply, answer)
	}))
	defer a.Close()
	run(a)
}

// wish gives what a call says that is to be told to the application, and the variables of that.
func (a *application) wish(path string) (callback, variables string) {
	return coded(map[string]string{"callbackUrl": a.URL + path, "callbackBody": "object=${object}&size=${size}&by=${x:by}"}),
		coded(map[string]string{"x:by": "me & you"})
}

func coded(value any) string {
	return base64.StdEncoding.EncodeToString(got(json.Marshal(value)))
}
