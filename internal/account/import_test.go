package account

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"monterey/internal/fault"
	"monterey/internal/workspace"
)

// kept is a store that keeps what it is given.
type kept struct {
	Store
	entries []Entry
	changed bool
}

func (k *kept) ImportAccounts(_ context.Context, _ workspace.Caller, entries iter.Seq2[Entry, error], _ bool) (n Counts, err error) {
	var got []Entry
	for e, err := range entries {
		if err != nil {
			return n, err
		}
		got = append(got, e)
	}
	k.entries, k.changed = got, true
	return Counts{Inserted: int64(len(got))}, nil
}

func take(file string, o ImportOptions) (*kept, Result, error) {
	k := &kept{}
	r, err := Import(context.Background(), k, workspace.Caller{}, iotest.OneByteReader(strings.NewReader(file)), o)
	return k, r, err
}

func TestImportReads(t *testing.T) {
	ab := []Entry{{"1", "a@x.com"}, {"2", "b@x.com"}}
	for name, tt := range map[string]struct {
		file string
		want []Entry
	}{
		"plain":            {"account_number,email\n1,a@x.com\n2,b@x.com\n", ab},
		"no last line end": {"account_number,email\n1,a@x.com\n2,b@x.com", ab},
		"CRLF":             {"account_number,email\r\n1,a@x.com\r\n2,b@x.com\r\n", ab},
		"BOM":              {"\ufeffaccount_number,email\n1,a@x.com\n2,b@x.com\n", ab},
		"other order":      {"Email , ACCOUNT_NUMBER\nA@X.com,1\n\" b@x.com \", 2\n", ab},
		"other columns":    {"name,email,,account_number\nAnn,a@x.com,x,1\n\"B, \"\"Bob\"\"\r\nthe second\",b@x.com,,2\n", ab},
		"quoted":           {"\"account_number\",\"email\"\n\"1\",\"a@x.com\"\r\n\"2\",\"b@x.com\"", ab},
		"blank lines":      {"\n\r\naccount_number,email\n\n1,a@x.com\n\r\n2,b@x.com\n\n", ab},
		"no rows":          {"account_number,email", nil},
		"a cell's line":    {"account_number,email\n\"1\n\",a@x.com\n2,b@x.com", ab},
		"commas, quotes":   {"account_number,email\n\"1,\"\"2\"\"\",a@x.com", []Entry{{`1,"2"`, "a@x.com"}}},
	} {
		k, r, err := take(tt.file, ImportOptions{})
		if err != nil || r.ErrorRows != 0 || !k.changed {
			t.Errorf("%s: %+v, error %v", name, r, err)
		}
		if d := cmp.Diff(tt.want, k.entries, cmpopts.EquateEmpty()); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
	}
}

// bad has a row of every kind that is wrong, and two that are right.
var bad = "account_number,email,name\n" +
	"1,a@x.com,Ann\n" + // 2
	",b@x.com,\n" +
	"3, ,\n" +
	"4,nobody,\n" + // 5
	"5,@x.com,\n" +
	"6,a b@x.com,\n" +
	"7,c@x.com,\"two\nlines\",\n" + // 8, 9
	"8,d@x.com\n" + // 10
	"9,e@x.com,\xff\n" +
	"10,f@x.com,a \"b\"\n" +
	"11,g@x.com,\"b\" c\n" +
	strings.Repeat("9", 201) + ",h@x.com,\n" +
	"12," + strings.Repeat("a", 320) + "@x.com,\n" + // 15
	"1\x003,i@x.com,\n" +
	"14,j@x.com,\"" + strings.Repeat("x", maxRow) + "\"\n" +
	"15,k@x.com,\n" // 18

var badRows = []RowError{
	{3, "has no account_number"}, {4, "has no email"}, {5, "has an email that is no address"}, {6, "has an email that is no address"},
	{7, "has an email that is no address"}, {8, "has another number of cells (4) than the header row (3)"},
	{10, "has another number of cells (2) than the header row (3)"}, {11, "is not UTF-8 text"},
	{12, "has a quote inside a cell that does not begin with one"}, {13, "has text behind a closing quote"},
	{14, "has an account_number of more than 200 bytes"}, {15, "has an email of more than 320 bytes"},
	{16, "has an account_number with control characters"}, {17, "is longer than 64 KiB; a closing quote may be missing"},
}

func TestImportTellsBadRows(t *testing.T) {
	k, _, err := take(bad, ImportOptions{})
	if !fault.Is(err, fault.Invalid) || k.changed {
		t.Fatalf("bad rows: changed %v, error %v", k.changed, err)
	}
	var told []RowError
	for _, f := range err.(*fault.Error).Fields {
		told = append(told, RowError{f.Line, f.Msg})
	}
	if d := cmp.Diff(badRows, told); d != "" {
		t.Errorf("the fault (-want +got):\n%s", d)
	}
	for _, replace := range []bool{false, true} {
		k, r, err := take(bad, ImportOptions{Partial: true, Replace: replace})
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(badRows, r.Errors) + cmp.Diff([]Entry{{"1", "a@x.com"}, {"15", "k@x.com"}}, k.entries); d != "" || r.ErrorRows != int64(len(badRows)) {
			t.Errorf("partial: %d bad rows (-want +got):\n%s", r.ErrorRows, d)
		}
	}
}

func TestImportListsBadRowsUpToABound(t *testing.T) {
	file := "account_number,email\n1,a@x.com\n" + strings.Repeat("1,\n", 1234)
	_, _, err := take(file, ImportOptions{})
	f, ok := errors.AsType[*fault.Error](err)
	if !ok || len(f.Fields) != MaxErrors || f.Message != "1234 rows cannot be taken in; nothing was changed; the first 1000 are listed" {
		t.Errorf("%v", err)
	}
	_, r, err := take(file, ImportOptions{Partial: true})
	if err != nil || len(r.Errors) != MaxErrors || r.ErrorRows != 1234 || r.Inserted != 1 {
		t.Errorf("partial: %d of %d listed, %v", len(r.Errors), r.ErrorRows, err)
	}
}

// A file that replaces the directory must not empty it by a mistake, whatever partial says.
func TestImportThatCannotReplace(t *testing.T) {
	const head = "account_number,email\n1,a@x.com\n"
	for name, tt := range map[string]struct {
		file string
		o    ImportOptions
		line int64 // 0 = taken
	}{
		"cut, added in part":        {head + "2,\"b@x.com\n3,c@x.com\n", ImportOptions{Partial: true}, 0},
		"cut, in place":             {head + "2,\"b@x.com\n3,c@x.com\n", ImportOptions{Partial: true, Replace: true}, 3},
		"cut":                       {head + "2,\"b@x.com\n3,c@x.com\n", ImportOptions{}, 3},
		"long and cut":              {head + "\n2,\"" + strings.Repeat("x\n", maxRow), ImportOptions{Partial: true, Replace: true}, 4},
		"cut behind a bad row":      {head + "2\n2,\"b@x.com", ImportOptions{Partial: true, Replace: true}, 3},
		"bad rows alone":            {"account_number,email\nx,y\n", ImportOptions{Partial: true, Replace: true}, 2},
		"bad rows alone, added":     {"account_number,email\nx,y\n", ImportOptions{Partial: true}, 0},
		"no rows, in place":         {"account_number,email\n", ImportOptions{Replace: true}, 0},
		"bad rows, in place, whole": {head + "x,y\n", ImportOptions{Replace: true}, 3},
	} {
		k, _, err := take(tt.file, tt.o)
		f, refused := errors.AsType[*fault.Error](err)
		if k.changed != (tt.line == 0) || refused == k.changed || refused && f.Fields[0].Line != tt.line {
			t.Errorf("%s: changed %v, %v", name, k.changed, err)
		}
	}
}

func TestImportHeader(t *testing.T) {
	for file, line := range map[string]int64{
		"": 1, "\n\n": 1, "\ufeff": 1, "1,a@x.com\n": 1, "account_number;email\n": 1, "account_number\n": 1, "email,email\n": 1,
		"\naccount_number,email,EMAIL\n": 2, "account_number,\"email\n": 1, "account_number,email,\xff\n": 1,
		"\xff\xfea\x00c\x00\n": 1, "{\"account_number\":1}": 1, "\n\n\"account_number\"x,email\n": 3,
	} {
		k, _, err := take(file, ImportOptions{Partial: true, Replace: true})
		f, ok := errors.AsType[*fault.Error](err)
		if k.changed || !ok || f.Code != fault.Invalid || len(f.Fields) != 1 || f.Fields[0].Line != line || f.Fields[0].Type != "header" {
			t.Errorf("%q: changed %v, %v", file, k.changed, err)
		}
	}
}

func TestImportOfABrokenReader(t *testing.T) {
	broken := fmt.Errorf("cut off: %w", io.EOF)
	for _, file := range []string{"", "acc", "account_number,email", "account_number,email\n1,a@x.com\n2,", "account_number,email\n1,\"a", "account_number,email\n1,\"a\""} {
		k := &kept{}
		_, err := Import(context.Background(), k, workspace.Caller{}, io.MultiReader(strings.NewReader(file), iotest.ErrReader(broken)), ImportOptions{Partial: true})
		if !errors.Is(err, broken) || k.changed {
			t.Errorf("%q: changed %v, %v", file, k.changed, err)
		}
	}
}

// A missing quote makes the rest of the file one cell, which must not be kept in memory.
func TestImportMemory(t *testing.T) {
	endless := io.MultiReader(strings.NewReader("account_number,email\n1,\""), io.LimitReader(repeated("x\n"), 64<<20), strings.NewReader("\n"),
		io.LimitReader(repeated(","), 1<<20))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	k := &kept{}
	_, err := Import(context.Background(), k, workspace.Caller{}, endless, ImportOptions{})
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; !fault.Is(err, fault.Invalid) || grown > 2<<20 {
		t.Errorf("%d bytes were allocated: %v", grown, err)
	}
}

// repeated reads its text again and again.
type repeated string

func (r repeated) Read(b []byte) (int, error) {
	n := 0
	for n+len(r) <= len(b) {
		n += copy(b[n:], r)
	}
	return n, nil
}

func FuzzImport(f *testing.F) {
	f.Add("account_number,email\n1,a@x.com\n")
	f.Add(strings.ReplaceAll(bad, strings.Repeat("x", maxRow), ""))
	f.Fuzz(func(t *testing.T, file string) {
		k, r, err := take(file, ImportOptions{Partial: true})
		if err != nil && !fault.Is(err, fault.Invalid) {
			t.Fatal(err)
		}
		for _, e := range k.entries {
			if again, msg := NewEntry(e.Number, e.Address); msg != "" || again != e {
				t.Errorf("%+v was taken: %s", e, msg)
			}
		}
		last := int64(0)
		for _, e := range r.Errors {
			if e.Line <= last || e.Line > int64(strings.Count(file, "\n"))+1 {
				t.Errorf("line %d behind line %d: %s", e.Line, last, e.Msg)
			}
			last = e.Line
		}
		if !strings.ContainsRune(file, '"') && err == nil {
			if want := strings.Count(file, "@"); len(k.entries) > want {
				t.Error(fmt.Sprint(len(k.entries), " entries of a file with ", want, " addresses"))
			}
		}
	})
}
