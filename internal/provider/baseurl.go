package provider

import (
	"net/netip"
	"net/url"
	"strings"

	"monterey/internal/fault"
)

// CheckBaseURL says what is wrong with the address of a provider's API, "" when nothing is. It must be https and name no
// loopback, private or link-local address, so that nobody makes the server call its own network; allowPrivate lifts both
// (a simulated provider). What a name resolves to is for the dialler to check.
func CheckBaseURL(text string, allowPrivate bool) string {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || (u.Scheme != "https" && u.Scheme != "http") {
		return "must be an address as https://api.example.com/v1, without user, query and fragment"
	}
	if allowPrivate {
		return ""
	}
	if u.Scheme != "https" {
		return "must begin with https://"
	}
	host := strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
	ip, err := netip.ParseAddr(host)
	isPrivate := err == nil && !publicAddr(ip)
	if isPrivate || host == "localhost" || strings.HasSuffix(host, ".localhost") || host == "" {
		return "must not be a loopback or private address"
	}
	if err != nil && strings.Trim(host, "0123456789.") == "" {
		return "must not be a loopback or private address" // 2130706433 is 127.0.0.1 to some resolvers
	}
	return ""
}

func publicAddr(ip netip.Addr) bool {
	ip = ip.Unmap()
	return ip.IsGlobalUnicast() && !ip.IsPrivate() && !ip.IsLinkLocalUnicast()
}

// BaseURLField is the wrong field that CheckBaseURL finds, none for an empty or a good address.
func BaseURLField(text string, allowPrivate bool) []fault.Field {
	if text == "" {
		return nil
	}
	if msg := CheckBaseURL(text, allowPrivate); msg != "" {
		return []fault.Field{{Loc: []string{"body", "base_url"}, Msg: msg, Type: "url"}}
	}
	return nil
}
