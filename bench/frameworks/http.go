package frameworks

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"
)

// askMax bounds one question over HTTP.
const askMax = 2 * time.Minute

// ask asks over HTTP, in JSON; a nil body is none.
func ask(ctx context.Context, method, url string, body any) (status int, answer []byte, err error) {
	var in io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return 0, nil, fmt.Errorf("write %s %s: %w", method, url, err)
		}
		in = bytes.NewReader(text)
	}
	ctx, cancel := context.WithTimeout(ctx, askMax)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, url, in)
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	answer, err = io.ReadAll(resp.Body)
	return resp.StatusCode, answer, err
}
