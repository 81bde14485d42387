package admin

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// FuzzRequests: whatever is asked, the answer is a known status, an error is JSON that says what it is, and nothing moves but by a PUT to the
// partition's page from this machine.
func FuzzRequests(f *testing.F) {
	f.Add("GET", "/metrics", "", "localhost", "")
	f.Add("GET", "/readyz", "verbose", "localhost", "")
	f.Add("GET", "/v1/partitions", "topic=a&topic=%zz", "localhost", "")
	f.Add("PUT", "/v1/partitions/b/0", "", "127.0.0.1:9644", `{"shard": 0}`)
	f.Add("PUT", "/v1/partitions/b/0", "", "evil.example", `{"shard": 0}`)
	f.Add("PUT", "/v1/partitions/%2e%2e/../0", "", "[::1]", `{"shard": 1e99}`)
	f.Add("POST", "//v1/../metrics", "", "", "x")
	f.Fuzz(func(t *testing.T, method, path, query, host, body string) {
		u, err := url.ParseRequestURI(path) // as net/http does with a request line
		if err != nil || strings.HasPrefix(u.Path, "/debug/") {
			return // the profiles are the runtime's, and take their time
		}
		u.RawQuery = query
		src := &placesSource{plainSource: plainSource{Readiness: NewReadiness()}}
		r := &http.Request{Method: method, URL: u, Host: host, Header: http.Header{}, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}
		r.Body = http.NoBody
		if body != "" {
			r.Body = httptest.NewRequest("PUT", "/", strings.NewReader(body)).Body
		}
		w := httptest.NewRecorder()
		routes(src, true).ServeHTTP(w, r)
		switch w.Code {
		case 200, 301, 307, 308, 400, 403, 404, 405, 409, 503:
		default:
			t.Fatalf("%s %s: status %d", method, path, w.Code)
		}
		if w.Code >= 400 && w.Header().Get("Content-Type") == "application/json" {
			var p Problem
			if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || p.Code == "" || p.Message == "" {
				t.Fatalf("%s %s: %d %q", method, path, w.Code, w.Body)
			}
		}
		if len(src.moves) > 0 && (method != http.MethodPut || !isLocalHost(host) || !strings.HasPrefix(u.Path, "/v1/partitions/")) {
			t.Fatalf("%s %s for %q moved %q", method, path, host, src.moves)
		}
	})
}
