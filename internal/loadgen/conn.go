package loadgen

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http/httputil"
	"net/url"
	"strconv"
	"time"
)

// conn posts bodies to one URL over one HTTP/1.1 connection kept alive. It writes a request in one call and reads of an answer
// what it needs: net/http's client costs more processor time than a bare net/http server does for the same request, and would
// be most of what a benchmark on shared processors measures.
type conn struct {
	net.Conn
	r        *bufio.Reader
	head     []byte // of every request, up to the length
	out      []byte
	deadline time.Time
}

// limit is how long an answer may take, about.
const limit = 60 * time.Second

func dial(ctx context.Context, to *url.URL) (*conn, error) {
	var d net.Dialer
	port := to.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[to.Scheme]
	}
	c, err := d.DialContext(ctx, "tcp", net.JoinHostPort(to.Hostname(), port))
	if err != nil {
		return nil, fmt.Errorf("loadgen: %w", err)
	}
	if to.Scheme == "https" {
		c = tls.Client(c, &tls.Config{ServerName: to.Hostname()})
	}
	head := "POST " + to.RequestURI() + " HTTP/1.1\r\nHost: " + to.Host +
		"\r\nContent-Type: application/x-ndjson\r\nContent-Length: "
	return &conn{Conn: c, r: bufio.NewReaderSize(c, 8<<10), head: []byte(head)}, nil
}

// answer is what is read of an answer.
type answer struct {
	status     int
	retryAfter time.Duration // 0 where it does not say
	closed     bool          // the server ends the connection
}

// post sends a body and reads the answer to its end. After an error the connection is of no more use.
func (c *conn) post(body []byte) (a answer, err error) {
	if now := time.Now(); c.deadline.Sub(now) < limit { // not at every request: setting it costs more than writing the request's head
		c.deadline = now.Add(2 * limit)
		if err = c.SetDeadline(c.deadline); err != nil {
			return a, err
		}
	}
	c.out = append(c.out[:0], c.head...)
	c.out = strconv.AppendInt(c.out, int64(len(body)), 10)
	c.out = append(c.out, "\r\n\r\n"...)
	c.out = append(c.out, body...)
	if _, err = c.Write(c.out); err != nil {
		return a, err
	}
	return c.read()
}

func (c *conn) read() (a answer, err error) {
	line, err := c.r.ReadSlice('\n')
	if err != nil {
		return a, err
	}
	if len(line) < 12 || !bytes.HasPrefix(line, []byte("HTTP/1.")) {
		return a, fmt.Errorf("loadgen: no answer of HTTP/1: %q", line)
	}
	if a.status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return a, fmt.Errorf("loadgen: status: %w", err)
	}
	length, chunked := 0, false
	for {
		if line, err = c.r.ReadSlice('\n'); err != nil {
			return a, err
		}
		if len(line) <= 2 {
			break
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimSpace(value)
		switch {
		case is(name, "Content-Length"):
			if length, err = strconv.Atoi(string(value)); err != nil {
				return a, fmt.Errorf("loadgen: length of the answer: %w", err)
			}
		case is(name, "Transfer-Encoding"):
			chunked = is(value, "chunked")
		case is(name, "Connection"):
			a.closed = is(value, "close")
		case is(name, "Retry-After"):
			if n, err := strconv.Atoi(string(value)); err == nil {
				a.retryAfter = time.Duration(n) * time.Second
			}
		}
	}
	if !chunked {
		_, err = c.r.Discard(length)
		return a, err
	}
	if _, err = io.Copy(io.Discard, httputil.NewChunkedReader(c.r)); err != nil {
		return a, err
	}
	for { // the trailer, which ends with an empty line
		if line, err = c.r.ReadSlice('\n'); err != nil || len(line) <= 2 {
			return a, err
		}
	}
}

// is compares without case, and lengths first.
func is(b []byte, text string) bool {
	return len(b) == len(text) && bytes.EqualFold(b, []byte(text))
}
