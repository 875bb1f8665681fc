package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"maps"
	"os"
	"testing"

	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"
)

var update = flag.Bool("update", false, "rewrite testdata/openapi.json")

func TestOpenAPIGolden(t *testing.T) {
	got, err := OpenAPI()
	if err != nil {
		t.Fatal(err)
	}
	const golden = "testdata/openapi.json"
	if *update {
		if err := os.WriteFile(golden, append(got, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(append(got, '\n'), want) {
		t.Error("the document is not testdata/openapi.json; if the change is meant, run go test ./internal/httpapi -update and read the diff")
	}
}

type openAPIDocument struct {
	OpenAPI string `json:"openapi"`
	Paths   map[string]map[string]struct {
		OperationID string                     `json:"operationId"`
		Access      string                     `json:"x-access"`
		Summary     string                     `json:"summary"`
		Responses   map[string]json.RawMessage `json:"responses"`
		RequestBody json.RawMessage            `json:"requestBody"`
		Parameters  []struct {
			Name   string `json:"name"`
			In     string `json:"in"`
			Schema struct {
				Type    string          `json:"type"`
				Format  string          `json:"format"`
				Enum    []string        `json:"enum"`
				Maximum *float64        `json:"maximum"`
				Items   json.RawMessage `json:"items"`
			} `json:"schema"`
		} `json:"parameters"`
	} `json:"paths"`
}

func readDocument(t *testing.T) (d openAPIDocument) {
	t.Helper()
	text, err := OpenAPI()
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// Every operation has a rule, an id of its own, a summary, and says how it fails.
func TestEveryOperationHasARule(t *testing.T) {
	ids := map[string]bool{}
	for path, methods := range readDocument(t).Paths {
		for method, op := range methods {
			switch op.Access {
			case "public", "signed-in", "viewer", "editor", "admin", "platform_admin":
			default:
				t.Errorf("%s %s has no rule: %q", method, path, op.Access)
			}
			if op.OperationID == "" || ids[op.OperationID] || op.Summary == "" || op.Responses["500"] == nil {
				t.Errorf("%s %s: id %q (twice: %v), summary %q, answers %v", method, path, op.OperationID, ids[op.OperationID], op.Summary, len(op.Responses))
			}
			ids[op.OperationID] = true
			if op.Access != "public" && op.Responses["401"] == nil {
				t.Errorf("%s %s does not say 401", method, path)
			}
			if method != "get" && op.Access == "viewer" && op.OperationID != "checkSuppressions" && op.OperationID != "checkHistoricalBounces" {
				t.Errorf("%s %s changes something and is a viewer's", method, path)
			}
		}
	}
	if len(ids) < 40 {
		t.Errorf("only %d operations", len(ids))
	}
}

// newValidator checks the document itself, and gives what checks answers against it.
func newValidator(t *testing.T) validator.Validator {
	t.Helper()
	text, err := OpenAPI()
	if err != nil {
		t.Fatal(err)
	}
	doc, err := libopenapi.NewDocument(joinTwins(t, text))
	if err != nil {
		t.Fatal(err)
	}
	v, errs := validator.NewValidator(doc)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	return v
}

// joinTwins puts the operations of a path and of the same path with a slash together: the validator takes them for one.
func joinTwins(t *testing.T, text []byte) []byte {
	t.Helper()
	var doc map[string]json.RawMessage
	var paths map[string]map[string]json.RawMessage
	if err := errors.Join(json.Unmarshal(text, &doc), json.Unmarshal(doc["paths"], &paths)); err != nil {
		t.Fatal(err)
	}
	for path, methods := range paths {
		if twin := paths[path+"/"]; twin != nil {
			maps.Copy(twin, methods)
			delete(paths, path)
		}
	}
	doc["paths"], _ = json.Marshal(paths) // was JSON before
	joined, _ := json.Marshal(doc)
	return joined
}

func TestDocumentIsValid(t *testing.T) {
	_, errs := newValidator(t).ValidateDocument()
	for _, e := range errs {
		t.Error(e)
	}
}
