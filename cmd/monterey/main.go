// Command monterey is the server and the tools of those who run it. This package owns the command line, the settings and
// the wiring of everything else; a file a subcommand. It decides nothing of the domain.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
	_ "time/tzdata" // zones on a machine that has none

	"github.com/alecthomas/kong"

	"monterey/internal/fault"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	p := &program{env: environment(os.Environ()), stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, now: time.Now}
	code := p.run(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}

// The exit codes.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

// program is what a command works with: its surroundings and the settings that all commands share.
type program struct {
	env            map[string]string
	stdin          io.Reader
	stdout, stderr io.Writer
	now            func() time.Time
	common         *commonSettings
	badVariables   []string // what is wrong with environment variables, said with all other mistakes
}

// grammar is the command line.
type grammar struct {
	commonSettings `embed:""`

	Serve     serveCommand   `cmd:"" help:"Run the API and the workers in one process."`
	Demo      demoCommand    `cmd:"" help:"Serve a temporary folder with a simulated provider account and live traffic."`
	Migrate   migrateCommand `cmd:"" help:"Bring the database to this release; serve does it by itself on SQLite."`
	Workspace struct {
		Create workspaceCreate `cmd:"" help:"Create a workspace and print its id."`
		List   workspaceList   `cmd:"" help:"List the workspaces."`
	} `cmd:"" help:"Manage workspaces."`
	Key struct {
		Create keyCreate `cmd:"" help:"Create an API key and print it; it is shown only now."`
		List   keyList   `cmd:"" help:"List the API keys."`
		Revoke keyRevoke `cmd:"" help:"Revoke an API key."`
	} `cmd:"" help:"Manage API keys."`
	Connection struct {
		Set connectionSet `cmd:"" help:"Create or change the connection of a workspace to a provider."`
	} `cmd:"" help:"Manage connections to providers."`
	Campaign struct {
		Create campaignCreate `cmd:"" help:"Register a campaign and print its id."`
		List   campaignList   `cmd:"" help:"List the campaigns of a workspace."`
		Import campaignImport `cmd:"" help:"Create and rename campaigns from a CSV file."`
	} `cmd:"" help:"Manage campaigns."`
	Accounts struct {
		Set   accountsSet   `cmd:"" help:"Set the database outside that the account directory of a workspace is read from."`
		Unset accountsUnset `cmd:"" help:"Read it no more; the directory stays as it was read last."`
	} `cmd:"" help:"Manage where account directories are read from."`
	Backfill      backfillCommand      `cmd:"" help:"Read the provider's history of bounces, with a progress bar; an interrupt cancels, running it again goes on."`
	CampaignerSim campaignerSimCommand `cmd:"" help:"Serve a simulated Campaigner account and post its webhooks."`
	Loadgen       loadgenCommand       `cmd:"" help:"Post generated webhooks as fast as the server takes them, and measure."`
	Recount       recountCommand       `cmd:"" help:"Work all rollups out anew from the events and report where they differed."`
	Redecode      redecodeCommand      `cmd:"" help:"Read the deliveries of a workspace again from their raw bodies, after a mistaken mapping."`
	Copy          copyCommand          `cmd:"" help:"Copy everything from SQLite into an empty PostgreSQL database; running it again goes on after an interrupt."`
	Backup        backupCommand        `cmd:"" help:"Write everything into one file, while a server may be running."`
	Restore       restoreCommand       `cmd:"" help:"Put a backup back."`
	Doctor        doctorCommand        `cmd:"" help:"Look at everything and say what is wrong and what to do."`
	Openapi       openapiCommand       `cmd:"" name:"openapi" help:"Print the OpenAPI document."`

	Version kong.VersionFlag `help:"Print the version and exit."`
}

// run parses the command line, runs the command and says with which code the process should exit.
func (p *program) run(ctx context.Context, args []string) (code int) {
	type exited int
	defer func() {
		switch r := recover().(type) {
		case nil:
		case exited:
			code = int(r)
		default:
			panic(r)
		}
	}()

	g := &grammar{}
	p.common = &g.commonSettings
	env := &envResolver{env: p.env}
	parser, err := kong.New(g,
		kong.Name("monterey"),
		kong.Description("E-mail campaign statistics from provider webhooks: one binary, one file."),
		kong.Vars{"version": version()},
		kong.Writers(p.stdout, p.stderr),
		kong.Exit(func(code int) { panic(exited(code)) }),
		kong.Resolvers(env),
		kong.ValueFormatter(helpWithVariable),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(p),
	)
	if err != nil {
		return p.fail(err)
	}
	command, err := parser.Parse(args)
	if err != nil {
		return p.fail(usage(append(env.mistakes, err.Error())...))
	}
	p.badVariables = env.mistakes
	return p.fail(command.Run())
}

// usageError is wrong usage: everything that is wrong with the command line and the settings, at once.
type usageError []string

func (e usageError) Error() string { return strings.Join(e, "\n") }

// usage makes an error of all mistakes, nil when there are none.
func usage(mistakes ...string) error {
	if len(mistakes) == 0 {
		return nil
	}
	return usageError(mistakes)
}

// fail tells people what went wrong, if anything did, and says with which code to exit.
func (p *program) fail(err error) int {
	if err == nil {
		return exitDone
	}
	if wrong, ok := errors.AsType[usageError](err); ok {
		for _, m := range wrong {
			fmt.Fprintln(p.stderr, "monterey:", m)
		}
		fmt.Fprintln(p.stderr, `"monterey --help" and "monterey COMMAND --help" say what can be asked.`)
		return exitUsage
	}
	f, ok := errors.AsType[*fault.Error](err)
	if !ok {
		fmt.Fprintln(p.stderr, "monterey:", err)
		return exitFailed
	}
	// A fault's cause is for the log of a server; the words around the fault are for people.
	fmt.Fprintln(p.stderr, "monterey:", strings.Replace(err.Error(), f.Error(), f.Message, 1))
	for _, field := range f.Fields {
		fmt.Fprintf(p.stderr, "  %s %s\n", flagName(field), field.Msg)
	}
	if f.Code == fault.Invalid {
		return exitUsage
	}
	return exitFailed
}

// flagName is what a field of the domain is called on the command line.
func flagName(f fault.Field) string {
	if len(f.Loc) == 0 {
		return "input"
	}
	name := strings.ReplaceAll(f.Loc[len(f.Loc)-1], "_", "-")
	if name == "expires-at" {
		return "expires"
	}
	return name
}

func environment(list []string) map[string]string {
	env := make(map[string]string, len(list))
	for _, kv := range list {
		name, value, _ := strings.Cut(kv, "=")
		env[name] = value
	}
	return env
}
