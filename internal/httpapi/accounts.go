package httpapi

import (
	"context"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"monterey/internal/account"
	"monterey/internal/fault"
	"monterey/internal/task"
)

func (a *api) accountRoutes() {
	const tag = "Accounts"
	handle(a, operation{ID: "listAccounts", Method: http.MethodGet, Path: "/accounts/", Tag: tag, Rule: viewer,
		Summary: "List the account directory", Description: "A row for each address that an account holds."}, a.listAccounts)
	handle(a, operation{ID: "importAccounts", Method: http.MethodPost, Path: "/accounts/import", Tag: tag, Rule: editor,
		Errors:  []int{http.StatusBadRequest, http.StatusConflict, http.StatusRequestEntityTooLarge},
		Summary: "Import accounts from a CSV file",
		Description: "As the field file of a form, or as the body. UTF-8; the header row names the columns account_number and email, others are " +
			"ignored. All rows are taken in, or none: 422 lists the bad ones, up to 1000, each with its line. Rows that are there already, or come " +
			"twice, count once."}, a.importAccounts)
	op := a.huma.OpenAPI().Paths["/accounts/import"].Post
	file := &huma.Schema{Type: huma.TypeString, Format: "binary", Description: "The CSV file"}
	op.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{
		"multipart/form-data": {Schema: &huma.Schema{Type: huma.TypeObject, Properties: map[string]*huma.Schema{"file": file}, Required: []string{"file"}}},
		"text/csv":            {Schema: &huma.Schema{Type: huma.TypeString}, Example: "account_number,email\n10017,bob@example.com\n"},
	}}
	handle(a, operation{ID: "syncAccounts", Method: http.MethodPost, Path: "/accounts/sync", Tag: tag, Rule: editor, Status: http.StatusAccepted,
		Errors: []int{http.StatusConflict}, Summary: "Read the account directory from the database that the operator configured",
		Description: "It replaces the directory once all of the answer was read; until then, and when that fails, the directory stays as it is. " +
			"While one runs the answer is a conflict with the id of its task in task_id; it is one, too, where no database is configured."}, a.syncAccounts)
}

type accountWire struct {
	AccountNumber string `json:"account_number" example:"10017"`
	Email         string `json:"email" doc:"In lower case" example:"bob@example.com"`
}

func wireAccount(e account.Entry) accountWire { return accountWire{e.Number, e.Address} }

type accountSorts struct{}

func (accountSorts) choices() []string { return sortable("account_number", "email") }

func (a *api) listAccounts(ctx context.Context, c call, in *struct {
	SortedParams[accountSorts]
	AccountNumber textList    `query:"account_number" example:"10017"`
	Email         addressList `query:"email" example:"bob@example.com"`
}) (ListOf[accountWire], error) {
	got, err := a.Accounts.ListAccounts(ctx, c.Caller, account.ListParams{Params: in.params(),
		Filter: account.Filter{Numbers: in.AccountNumber, Addresses: in.Email}})
	return newList(in.params(), got, wireAccount), err
}

type importWire struct {
	Inserted   int64             `json:"inserted"`
	Unchanged  int64             `json:"unchanged" doc:"Were there already"`
	Removed    int64             `json:"removed" doc:"With replace: were there and are not in the file"`
	ErrorsLeft int64             `json:"errors_left" doc:"Bad rows that errors does not list, as they are more than 1000"`
	Errors     []importErrorWire `json:"errors" doc:"With partial: the rows that were left out, up to 1000"`
}

type importErrorWire struct {
	Line int64  `json:"line" doc:"Where the row begins, from 1" example:"7"`
	Msg  string `json:"msg" example:"has no email"`
}

// importInput is a CSV file, not read yet.
type importInput struct {
	Replace bool `query:"replace" doc:"The file replaces the directory: accounts that are not in it are removed"`
	Partial bool `query:"partial" doc:"Leave bad rows out. A replacing file that ends inside a quoted cell, or has bad rows alone, is still refused"`

	file io.Reader
}

func (in *importInput) read(w http.ResponseWriter, r *http.Request, e env) (err error) {
	body := &upload{body: http.MaxBytesReader(w, r.Body, e.maxImport), control: http.NewResponseController(w)}
	kind, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if kind != "multipart/form-data" {
		in.file = body // curl and spreadsheets call CSV all sorts of things
		return nil
	}
	if err != nil || params["boundary"] == "" {
		return fault.Wrap(fault.Malformed, err, "the Content-Type multipart/form-data has no boundary")
	}
	in.file, err = openForm(multipart.NewReader(body, params["boundary"]))
	return err
}

func (a *api) importAccounts(ctx context.Context, c call, in *importInput) (importWire, error) {
	r, err := account.Import(ctx, a.Accounts, c.Caller, in.file, account.ImportOptions{Replace: in.Replace, Partial: in.Partial})
	out := importWire{Inserted: r.Inserted, Unchanged: r.Unchanged, Removed: r.Removed, ErrorsLeft: r.ErrorRows - int64(len(r.Errors)), Errors: []importErrorWire{}}
	for _, e := range r.Errors {
		out.Errors = append(out.Errors, importErrorWire(e))
	}
	return out, err
}

func (a *api) syncAccounts(ctx context.Context, c call, _ *struct{}) (taskWire, error) {
	if _, err := account.Readable(ctx, a.Accounts, c.Caller); err != nil {
		return taskWire{}, err
	}
	return a.queue(ctx, c, task.Accounts, task.Params{}, "/tasks/")
}

// uploadStall is how long an upload may bring nothing. The server's own limit is for a whole request, which a large file on
// a slow line takes longer than.
const uploadStall = time.Minute

// upload reads a large body. Its errors are faults: TooLarge, and Malformed for a body that ends too early.
type upload struct {
	body    io.Reader
	control *http.ResponseController
}

func (u *upload) Read(b []byte) (int, error) {
	_ = u.control.SetReadDeadline(time.Now().Add(uploadStall)) // a connection that has none keeps the server's
	n, err := u.body.Read(b)
	if tooLarge, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return n, fault.New(fault.TooLarge, "the body is larger than %d bytes", tooLarge.Limit)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		err = fault.Wrap(fault.Malformed, err, "the body could not be read to its end")
	}
	return n, err
}

// formFile is the field file of a form, which must be the only one. It ends only where the form does: one that was cut off
// behind the file is not whole either.
type formFile struct {
	form *multipart.Reader
	part *multipart.Part
}

func openForm(form *multipart.Reader) (*formFile, error) {
	part, err := form.NextRawPart()
	switch {
	case err == io.EOF: // a wrapped one tells of a body that ends too early
		return nil, fault.Fields(missing("file"))
	case err != nil:
		return nil, brokenForm(err)
	case part.FormName() != "file":
		return nil, strangePart(part)
	}
	return &formFile{form, part}, nil
}

func (f *formFile) Read(b []byte) (int, error) {
	n, err := f.part.Read(b)
	if err == nil {
		return n, nil
	}
	if err != io.EOF {
		return n, brokenForm(err)
	}
	next, err := f.form.NextRawPart()
	switch {
	case err == nil:
		return n, strangePart(next)
	case err == io.EOF:
		return n, io.EOF
	}
	return n, brokenForm(err)
}

// strangePart refuses a field that would be passed over: what it says, as replace=true, would be lost.
func strangePart(part *multipart.Part) error {
	return fault.Fields(fault.Field{Loc: []string{"body", part.FormName()}, Msg: "is no field here; the form has one field, file", Type: "unknown"})
}

// brokenForm is why a form could not be read: what is wrong with the body itself, or that it is no form.
func brokenForm(err error) error {
	if f, ok := errors.AsType[*fault.Error](err); ok {
		return f
	}
	return fault.Wrap(fault.Malformed, err, "the form could not be read to its end")
}
