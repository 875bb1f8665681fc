package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/alecthomas/kong"

	"monterey/internal/fault"
)

// commonSettings are those that every command takes. The tag "setting" names the environment variable.
type commonSettings struct {
	DataDir               string `help:"The folder for everything that is kept; made with mode 0700." default:"./monterey-data" placeholder:"DIR" setting:"MONTEREY_DATA_DIR"`
	Database              string `help:"sqlite:PATH or a postgres:// URL; by default monterey.db in the data folder." placeholder:"URL" setting:"MONTEREY_DATABASE"`
	DatabaseDirect        string `help:"The same database past PgBouncer, where --database goes through it: for migrations and what waits for messages." placeholder:"URL" setting:"MONTEREY_DATABASE_DIRECT"`
	SecretKeyFile         string `help:"The secret that seals provider keys; by default made in the data folder." placeholder:"FILE" setting:"MONTEREY_SECRET_KEY_FILE"`
	AllowPrivateProviders bool   `help:"Let a provider's base URL be http, loopback or private." setting:"MONTEREY_ALLOW_PRIVATE_PROVIDERS"`
	LogFormat             string `help:"text or json; by default text on a terminal." placeholder:"FORMAT" setting:"MONTEREY_LOG_FORMAT"`
	LogLevel              string `help:"debug, info, warn or error." default:"info" placeholder:"LEVEL" setting:"MONTEREY_LOG_LEVEL"`
	JSON                  bool   `name:"json" help:"Print one JSON object on standard output and nothing else there."`
}

// serverSettings are those of a server.
type serverSettings struct {
	Addr         string   `help:"Where the API listens; port 0 takes any. Default 127.0.0.1:8000." placeholder:"HOST:PORT" setting:"MONTEREY_ADDR"`
	AddrFile     string   `help:"Write the address that was taken to this file." placeholder:"FILE"`
	MetricsAddr  *string  `help:"Where /metrics listens; empty turns it off. Default 127.0.0.1:9464." placeholder:"HOST:PORT" setting:"MONTEREY_METRICS_ADDR"`
	Role         string   `help:"all, or on PostgreSQL api or worker." default:"all" setting:"MONTEREY_ROLE"`
	NoMigrate    bool     `help:"Do not bring the database to this release; it must have been."`
	OIDCIssuer   string   `name:"oidc-issuer" help:"Accept access tokens of this issuer." placeholder:"URL" setting:"MONTEREY_OIDC_ISSUER"`
	OIDCAudience []string `name:"oidc-audience" help:"Accept access tokens for this audience; repeatable." placeholder:"NAME" setting:"MONTEREY_OIDC_AUDIENCE"`
	CORSOrigin   []string `name:"cors-origin" help:"Allow browsers of this origin; repeatable." placeholder:"ORIGIN" setting:"MONTEREY_CORS_ORIGIN"`
	DevAuth      bool     `help:"Development only: any bearer token, or none, is a platform admin." setting:"DEV_AUTH_ENABLED"`
	DevAuthForce bool     `help:"Allow --dev-auth on an address that others can reach."`
	ProviderRate float64  `help:"Requests a second to a provider's account; 0 lifts the limit." default:"5" setting:"MONTEREY_PROVIDER_RATE"`
	PauseDrain   bool     `hidden:"" help:"For measurements: take webhooks in and count nothing."`
}

// The roles: what one process does. A worker counts and does tasks; its metrics address answers /healthz and /readyz.
const (
	roleAll    = "all"
	roleAPI    = "api"
	roleWorker = "worker"
)

// api says whether the API is served.
func (s *serverSettings) api() bool { return s.Role != roleWorker }

// works says whether deliveries are counted and tasks done.
func (s *serverSettings) works() bool { return s.Role != roleAPI }

const (
	defaultAddr        = "127.0.0.1:8000"
	defaultMetricsAddr = "127.0.0.1:9464"
)

// secretKeyPath is the file of the server's secret.
func (s *commonSettings) secretKeyPath() string {
	if s.SecretKeyFile != "" {
		return s.SecretKeyFile
	}
	return filepath.Join(s.DataDir, "secret.key")
}

// mistakes of the shared settings, all of them. Nothing is opened to find them.
func (s *commonSettings) mistakes() (wrong []string) {
	if s.DataDir == "" {
		wrong = append(wrong, "--data-dir must name a folder")
	} else if info, err := os.Stat(s.DataDir); err == nil && !info.IsDir() {
		wrong = append(wrong, fmt.Sprintf("--data-dir %s is not a folder", s.DataDir))
	}
	wrong = append(wrong, s.databaseMistakes()...)
	if s.SecretKeyFile != "" {
		if info, err := os.Stat(s.SecretKeyFile); err != nil || info.IsDir() {
			wrong = append(wrong, fmt.Sprintf("--secret-key-file %s cannot be read; without the setting one is made in the data folder", s.SecretKeyFile))
		}
	}
	if s.LogFormat != "" && s.LogFormat != "text" && s.LogFormat != "json" {
		wrong = append(wrong, fmt.Sprintf("--log-format %q must be text or json", s.LogFormat))
	}
	if _, err := logLevel(s.LogLevel); err != nil {
		wrong = append(wrong, err.Error())
	}
	return wrong
}

// mistakes of a server's settings, all of them. One on SQLite does everything.
func (s *serverSettings) mistakes(onPostgres bool) (wrong []string) {
	if err := checkAddr(s.Addr); err != nil {
		wrong = append(wrong, fmt.Sprintf("--addr %v", err))
	}
	if *s.MetricsAddr != "" {
		if err := checkAddr(*s.MetricsAddr); err != nil {
			wrong = append(wrong, fmt.Sprintf("--metrics-addr %v; empty turns it off", err))
		}
	}
	switch {
	case s.Role != roleAll && s.Role != roleAPI && s.Role != roleWorker:
		wrong = append(wrong, fmt.Sprintf("--role %q must be all, api or worker", s.Role))
	case s.Role != roleAll && !onPostgres:
		wrong = append(wrong, fmt.Sprintf("--role %s needs PostgreSQL: on SQLite one process does everything; use --role all", s.Role))
	case s.Role == roleWorker && s.AddrFile != "":
		wrong = append(wrong, "--addr-file has no use for --role worker, which has no API")
	}
	if s.OIDCIssuer != "" || len(s.OIDCAudience) > 0 {
		wrong = append(wrong, "--oidc-issuer and --oidc-audience are not available in this release; use API keys (monterey key create)")
	}
	if s.ProviderRate < 0 {
		wrong = append(wrong, "--provider-rate must be 0 or more")
	}
	for _, o := range s.CORSOrigin {
		if !isOrigin(o) {
			wrong = append(wrong, fmt.Sprintf("--cors-origin %q must be an origin, as https://reports.example.com", o))
		}
	}
	if s.DevAuth && !s.DevAuthForce && !isLoopback(s.Addr) {
		wrong = append(wrong, fmt.Sprintf("--dev-auth would let anybody who can reach %s in as platform admin: "+
			"listen on a loopback address, or say --dev-auth-force", s.Addr))
	}
	return wrong
}

// fill puts the defaults in that the help describes.
func (s *serverSettings) fill(addr, metricsAddr string) {
	if s.Addr == "" {
		s.Addr = addr
	}
	if s.MetricsAddr == nil {
		s.MetricsAddr = &metricsAddr
	}
}

// settingNames are the environment variables that are read.
func settingNames() map[string]bool {
	names := map[string]bool{}
	for _, t := range []reflect.Type{reflect.TypeFor[commonSettings](), reflect.TypeFor[serverSettings]()} {
		for i := range t.NumField() {
			names[t.Field(i).Tag.Get("setting")] = true
		}
	}
	return names
}

func checkAddr(addr string) error {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("%q must be HOST:PORT", addr)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("%q must have a port from 0 to 65535, not %q", addr, port)
	} else if n == 0 && port != "0" {
		return fmt.Errorf("%q must have a port", addr)
	}
	return nil
}

// isLoopback says whether only this machine can reach the address.
func isLoopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

func isWebURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != ""
}

// isOrigin says whether s is what a browser sends as Origin: scheme, host and port, nothing more.
func isOrigin(s string) bool {
	u, err := url.Parse(s)
	return s == "*" || err == nil && isWebURL(s) && u.Scheme+"://"+u.Host == s
}

func logLevel(name string) (slog.Level, error) {
	switch name {
	case "debug":
		return slog.LevelDebug, nil
	case "info":
		return slog.LevelInfo, nil
	case "warn":
		return slog.LevelWarn, nil
	case "error":
		return slog.LevelError, nil
	}
	return 0, fmt.Errorf("--log-level %q must be debug, info, warn or error", name)
}

// envResolver gives flags that the command line does not set the value of their environment variable. A wrong value is
// collected and not returned, so that all mistakes are reported at once.
type envResolver struct {
	env      map[string]string
	mistakes []string
}

func (r *envResolver) Validate(*kong.Application) error { return nil }

func (r *envResolver) Resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	name := flag.Tag.Get("setting")
	value, set := r.env[name]
	if name == "" || !set {
		return nil, nil
	}
	if !flag.IsBool() {
		if value == "" && name != "MONTEREY_METRICS_ADDR" {
			return nil, nil // an empty variable is one that is not set, but where empty means off
		}
		return value, nil
	}
	switch strings.ToLower(value) {
	case "", "0", "false", "no":
		return nil, nil
	case "1", "true", "yes":
		return true, nil
	}
	r.mistakes = append(r.mistakes, fmt.Sprintf("%s=%q must be 1 or 0", name, value))
	return nil, nil
}

// helpWithVariable adds the environment variable to a flag's help.
func helpWithVariable(v *kong.Value) string {
	if name := v.Tag.Get("setting"); name != "" {
		return fmt.Sprintf("%s ($%s)", v.Help, name)
	}
	return v.Help
}

// check says at once what is wrong with a command's own arguments and with the shared settings.
func (p *program) check(own ...string) error {
	return usage(slices.Concat(p.badVariables, own, p.common.mistakes())...)
}

// fieldMistakes are the bad fields of a domain's fault, as flags.
func fieldMistakes(err error) (wrong []string) {
	f, ok := errors.AsType[*fault.Error](err)
	if !ok {
		return nil
	}
	for _, field := range f.Fields {
		wrong = append(wrong, "--"+flagName(field)+" "+field.Msg)
	}
	return wrong
}
