package campaigner

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"monterey/internal/fault"
)

func TestOpen(t *testing.T) {
	tests := map[string]struct {
		body    string
		objects int
		keys    []string
		blanked string
	}{
		"object":            {`{"key":"k","a":1}`, 1, []string{"k"}, `{"key":"","a":1}`},
		"empty object":      {`{}`, 1, []string{""}, `{}`},
		"lines":             {"{\"key\":\"k\"}\r\n\r\n{ \"key\" : \"k\" }\n", 2, []string{"k"}, "{\"key\":\"\"}\r\n\r\n{ \"key\" : \"\" }\n"},
		"nothing between":   {`{"key":"k"}{"key":"k"}`, 2, []string{"k"}, `{"key":""}{"key":""}`},
		"array":             {` [ {"key":"k"} , {"key":"k"} ] `, 2, []string{"k"}, ` [ {"key":""} , {"key":""} ] `},
		"byte order mark":   {"\ufeff{\"key\":\"k\"}", 1, []string{"k"}, "\ufeff{\"key\":\"\"}"},
		"several keys":      {`{"key":"b"}{"key":"a"}{"key":"b"}`, 3, []string{"b", "a"}, `{"key":""}{"key":""}{"key":""}`},
		"one without":       {`{"key":"k"}{"a":"k"}{"key":"k"}`, 3, []string{"k", ""}, `{"key":""}{"a":"k"}{"key":""}`},
		"no text":           {`{"key":5}{"key":null}{"key":{"key":"k"}}{"key":["k"]}{"key":true}`, 5, []string{""}, `{"key":""}{"key":""}{"key":""}{"key":""}{"key":""}`},
		"doubled":           {`{"key":"good","key":"bad"}`, 1, []string{"good", "bad"}, `{"key":"","key":""}`},
		"escaped name":      {`{"\u006bey":"k","k\u0065\u0079":"l"}`, 1, []string{"k", "l"}, `{"\u006bey":"","k\u0065\u0079":""}`},
		"escaped value":     {`{"key":"\u006b\"\/"}`, 1, []string{`k"/`}, `{"key":""}`},
		"equal when read":   {`{"key":"k"}{"key":"\u006b"}`, 2, []string{"k"}, `{"key":""}{"key":""}`},
		"empty value":       {`{"key":""}`, 1, []string{""}, `{"key":""}`},
		"another case":      {`{"Key":"k","KEY":"k"}`, 1, []string{""}, `{"Key":"k","KEY":"k"}`},
		"nested":            {`{"a":{"key":"n"},"b":[{"key":"n"}],"key":"k"}`, 1, []string{"k"}, `{"a":{"key":"n"},"b":[{"key":"n"}],"key":""}`},
		"a value named key": {`{"a":"key","b":"k"}`, 1, []string{""}, `{"a":"key","b":"k"}`},
		"damaged value":     {"{\"key\":\"k\xff\"}{\"key\":\"k\\ud800\"}", 2, []string{""}, `{"key":""}{"key":""}`},
		"damaged name":      {"{\"key\xff\":\"k\",\"\\u006bey\xff\":1}", 1, []string{""}, "{\"key\xff\":\"k\",\"\\u006bey\xff\":1}"},
		"invalid UTF-8":     {"{\"n\":\"Jos\xe9\",\"key\":\"k\"}", 1, []string{"k"}, "{\"n\":\"Jos\xe9\",\"key\":\"\"}"},
		"doubled names":     {`{"a":1,"a":2,"key":"k"}`, 1, []string{"k"}, `{"a":1,"a":2,"key":""}`},
		"long number":       {`{"id":123456789012345678901234567890.5e9999,"key":"k"}`, 1, []string{"k"}, `{"id":123456789012345678901234567890.5e9999,"key":""}`},
		"more than 8 keys":  {manyKeys(20), 20, []string{"0", "1", "2", "3", "4", "5", "6", "7"}, strings.Repeat(`{"key":""}`, 20)},
		"nesting of 9,000":  {`{"a":` + strings.Repeat("[", 9000) + strings.Repeat("]", 9000) + `,"key":"k"}`, 1, []string{"k"}, `{"a":` + strings.Repeat("[", 9000) + strings.Repeat("]", 9000) + `,"key":""}`},
	}
	for name, tt := range tests {
		body := []byte(tt.body)
		objects, keys, blanked, err := Webhook{}.Open(body)
		if err != nil || objects != tt.objects || !slices.Equal(keys, tt.keys) || string(blanked) != tt.blanked {
			t.Errorf("%s: Open(%.200s) = %d, %q, %.200s, %v, want %d, %q, %.200s", name, tt.body, objects, keys, blanked, err, tt.objects, tt.keys, tt.blanked)
		}
		if string(body) != tt.body {
			t.Errorf("%s: Open has changed the body to %.200s", name, body)
		}
	}
}

func manyKeys(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `{"key":"%d"}`, i)
	}
	return b.String()
}

func TestOpenMalformed(t *testing.T) {
	tests := map[string]struct{ body, message string }{
		"empty":                 {"", "the body is empty"},
		"white space":           {" \r\n\t", "the body is empty"},
		"byte order mark":       {"\ufeff", "the body is empty"},
		"empty array":           {"[ ]", "the body is an array without objects"},
		"text":                  {`"key"`, "the body holds something other than an object, behind byte 0 (after 0 objects)"},
		"null":                  {"null", "the body holds something other than an object, behind byte 0 (after 0 objects)"},
		"number after object":   {`{} 5`, "the body holds something other than an object, behind byte 2 (after 1 objects)"},
		"number in array":       {`[{},5]`, "the body holds something other than an object, behind byte 3 (after 1 objects)"},
		"array in array":        {`[[{}]]`, "the body holds something other than an object, behind byte 1 (after 0 objects)"},
		"array after object":    {`{}[{}]`, "the body holds something other than an object, behind byte 2 (after 1 objects)"},
		"object after array":    {`[{}]{}`, "something follows the array that ends at byte 4"},
		"array after array":     {`[{}] [{}]`, "something follows the array that ends at byte 4"},
		"bracket after array":   {`[{}]]`, "the body is not JSON at byte 4 (object 1)"},
		"brace after object":    {`{}}`, "the body is not JSON at byte 2 (object 1)"},
		"commas between":        {`{},{}`, "the body is not JSON at byte 2 (object 1)"},
		"comma in array":        {`[{},]`, "the body is not JSON at byte 3 (object 1)"},
		"comma in object":       {`{"a":1,}`, "the body is not JSON at byte 6 (object 1)"},
		"no colon":              {`{"a" 1}`, "the body is not JSON at byte 5 (object 1)"},
		"number as name":        {`{1:2}`, "the body is not JSON at byte 1 (object 1)"},
		"object as name":        {`{{}:2}`, "the body is not JSON at byte 1 (object 1)"},
		"single quotes":         {`{'a':1}`, "the body is not JSON at byte 1 (object 1)"},
		"mismatched":            {`{"a":[1}`, "the body is not JSON at byte 7 (object 1)"},
		"form":                  {`key=k&type=x`, "the body is not JSON at byte 0 (object 0)"},
		"UTF-16":                {"\xff\xfe{\x00}\x00", "the body is not JSON at byte 0 (object 0)"},
		"behind the mark":       {"\ufeff{x", "the body is not JSON at byte 4 (object 1)"},
		"invalid outside texts": {"{\"a\":\xe9}", "the body is not JSON at byte 5 (object 1)"},
		"line break in text":    {"{\"a\":\"\n\"}", "the body is not JSON at byte 6 (object 1)"},
		"cut in object":         {`{"a":1`, "the body ends inside its JSON, at byte 6 (object 1)"},
		"cut in text":           {`{"a":"b`, "the body ends inside its JSON, at byte 7 (object 1)"},
		"cut in array":          {`[{}`, "the body ends inside its JSON, at byte 3 (object 1)"},
		"cut behind comma":      {`[{},`, "the body ends inside its JSON, at byte 4 (object 1)"},
		"cut at once":           {`[`, "the body ends inside its JSON, at byte 1 (object 0)"},
		"third line":            {"{\"key\":\"k\"}\n{\"key\":\"k\"}\n{\"key\" \"k\"}\n", "the body is not JSON at byte 31 (object 3)"},
		"too deep":              {`{"a":` + strings.Repeat("[", 10000) + strings.Repeat("]", 10000) + `}`, "the body is not JSON at byte"},
		"too deep and cut":      {`{"a":` + strings.Repeat(`{"a":`, 1<<20), "the body is not JSON at byte"},
	}
	for name, tt := range tests {
		objects, keys, blanked, err := Webhook{}.Open([]byte(tt.body))
		if !fault.Is(err, fault.Malformed) || !strings.HasPrefix(err.Error(), tt.message) {
			t.Errorf("%s: Open(%.100q) fails with %v, want %s", name, tt.body, err, tt.message)
		}
		if objects != 0 || keys != nil || blanked != nil {
			t.Errorf("%s: Open(%.100q) gives %d objects, keys %q and %.100q besides its fault", name, tt.body, objects, keys, blanked)
		}
	}
}

// Every cut of a body is refused, but where whole objects are left.
func TestOpenCut(t *testing.T) {
	body := []byte("[{\"key\":\"k\",\"a\":[1.5,{\"b\":null}]},\n{\"key\":\"\\u006b\"}]")
	for n := range body {
		if _, _, _, err := (Webhook{}).Open(body[:n]); !fault.Is(err, fault.Malformed) {
			t.Errorf("Open(%q) = %v", body[:n], err)
		}
	}
}

func TestOpenMillionLines(t *testing.T) {
	const n = 1_000_000
	body := bytes.Repeat([]byte("{\"key\":5}\n"), n) // blanking makes it longer
	objects, keys, blanked, err := Webhook{}.Open(body)
	if err != nil || objects != n || !slices.Equal(keys, []string{""}) || len(blanked) != len(body)+n {
		t.Fatalf("Open = %d objects, keys %q, %d bytes, %v", objects, keys, len(blanked), err)
	}
	out := Webhook{}.Decode(blanked, nil, arrival)
	if len(out) != n || out[n-1].Fault != "type: missing" {
		t.Fatalf("Decode = %d objects", len(out))
	}
}
