package apptest_test

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
)

// proxy stands between a server and its database, and can spoil what goes through.
type proxy struct {
	*toxiproxy.Proxy
	t  *testing.T
	to *url.URL
}

// newProxy starts a proxy to the database at this URL. It ends with the test.
func newProxy(t *testing.T, database string) *proxy {
	t.Helper()
	to, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	zerolog.SetGlobalLevel(zerolog.Disabled)
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(prometheus.NewRegistry()), zerolog.Nop())
	p := &proxy{toxiproxy.NewProxy(server, "database", "127.0.0.1:0", to.Host), t, to}
	p.open()
	t.Cleanup(p.Stop)
	return p
}

// open starts it (again): at the same address.
func (p *proxy) open() {
	p.t.Helper()
	if err := p.Start(); err != nil {
		p.t.Fatal(err)
	}
}

// url is the database's through the proxy.
func (p *proxy) url() string {
	u := *p.to
	u.Host = p.Listen
	return u.String()
}

// poison adds a toxic to both directions until it is healed.
func (p *proxy) poison(kind string, attributes string) (heal func()) {
	p.t.Helper()
	for _, way := range []string{"upstream", "downstream"} {
		text := fmt.Sprintf(`{"name": %[1]q, "type": %[2]q, "stream": %[1]q, "attributes": {%[3]s}}`, way, kind, attributes)
		if _, err := p.Toxics.AddToxicJson(strings.NewReader(text)); err != nil {
			p.t.Fatal(err)
		}
	}
	return func() { p.Toxics.ResetToxics(context.Background()) }
}
