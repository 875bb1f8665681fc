package provider

import "testing"

func TestCheckBaseURL(t *testing.T) {
	for _, c := range []struct {
		text          string
		good, private bool // private: good once private addresses are allowed
	}{
		{"https://edapi.campaigner.com/v1", true, true},
		{"https://8.8.8.8:8443/v1", true, true},
		{"https://[2001:4860:4860::8888]/v1", true, true},
		{"http://edapi.campaigner.com/v1", false, true},
		{"https://127.0.0.1/v1", false, true},
		{"http://127.0.0.1:9999/v1", false, true},
		{"https://localhost/v1", false, true},
		{"https://LOCALHOST./v1", false, true},
		{"https://api.localhost/v1", false, true},
		{"https://10.0.0.7/v1", false, true},
		{"https://192.168.1.1/v1", false, true},
		{"https://169.254.169.254/latest", false, true},
		{"https://0.0.0.0/", false, true},
		{"https://[::1]/v1", false, true},
		{"https://[::ffff:127.0.0.1]/v1", false, true},
		{"https://[fd00::1]/v1", false, true},
		{"https://100.100.100.200/latest", false, true},
		{"https://[64:ff9b::7f00:1]/v1", false, true},
		{"https://[64:ff9b:1::a00:1]/v1", false, true},
		{"https://[2002:7f00:1::]/v1", false, true},
		{"https://240.0.0.1/v1", false, true},
		{"https://0.1.2.3/v1", false, true},
		{"https://192.0.0.8/v1", false, true},
		{"https://198.19.0.1/v1", false, true},
		{"https://224.0.0.1/v1", false, true},
		{"https://[fe80::1]/v1", false, true},
		{"https://2130706433/v1", false, true},
		{"https://0x7f.1/v1", true, true}, // has a letter: a name, which the dialler checks
		{"edapi.campaigner.com", false, false},
		{"ftp://edapi.campaigner.com", false, false},
		{"https://user:pw@edapi.campaigner.com", false, false},
		{"https://edapi.campaigner.com/v1?x=1", false, false},
		{"https://", false, false},
		{"://", false, false},
	} {
		if msg := CheckBaseURL(c.text, false); (msg == "") != c.good {
			t.Errorf("%s: %q, want good = %v", c.text, msg, c.good)
		}
		if msg := CheckBaseURL(c.text, true); (msg == "") != c.private {
			t.Errorf("%s with private addresses: %q, want good = %v", c.text, msg, c.private)
		}
	}
}
