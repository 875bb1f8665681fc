package provider

import (
	"net/netip"
	"net/url"
	"slices"
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
	isPrivate := err == nil && !PublicAddr(ip)
	if isPrivate || host == "localhost" || strings.HasSuffix(host, ".localhost") || host == "" {
		return "must not be a loopback or private address"
	}
	if err != nil && strings.Trim(host, "0123456789.") == "" {
		return "must not be a loopback or private address" // 2130706433 is 127.0.0.1 to some resolvers
	}
	return ""
}

// special are networks that are no public ones beside those that net/netip knows.
var special = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("100.64.0.0/10"), // a carrier's or a cloud's own, metadata services too
	netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("198.18.0.0/15"),
	netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("64:ff9b::/96"),   // these three lead to an IPv4 address, which may be any
	netip.MustParsePrefix("64:ff9b:1::/48"), //
	netip.MustParsePrefix("2002::/16"),      //
}

// PublicAddr says whether an address is one of the public network: no loopback, private, link-local or multicast one, nor
// one that merely leads to an IPv4 address.
func PublicAddr(ip netip.Addr) bool {
	ip = ip.Unmap()
	if !ip.IsGlobalUnicast() || ip.IsPrivate() {
		return false
	}
	return !slices.ContainsFunc(special, func(p netip.Prefix) bool { return p.Contains(ip) })
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
