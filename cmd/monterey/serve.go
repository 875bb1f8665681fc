package main

import (
	"context"
	"errors"
	"fmt"
)

type serveCommand struct {
	serverSettings `embed:""`
}

func (c *serveCommand) Run(ctx context.Context, p *program) error {
	c.fill(defaultAddr, defaultMetricsAddr)
	if err := p.check(c.mistakes(p.common.onPostgres())...); err != nil {
		return err
	}
	server, err := p.startServer(ctx, &c.serverSettings)
	if err != nil {
		return err
	}
	said := struct {
		Addr        string `json:"addr,omitempty"`
		URL         string `json:"url,omitempty"`
		MetricsAddr string `json:"metrics_addr,omitempty"`
	}{MetricsAddr: server.metricsAddr()}
	plain := "A worker of Monterey is running\n"
	if server.api != nil {
		said.Addr, said.URL = server.api.addr(), "http://"+server.api.addr()
		plain = fmt.Sprintf("Monterey listens on %s\n", said.URL)
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	printed := p.result(said, plain)
	if printed != nil {
		stop() // nobody can know where it listens
	}
	return errors.Join(printed, server.run(ctx))
}
