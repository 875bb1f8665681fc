package campaignersim

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// theme is a sort of campaign that marketing departments send.
type theme struct {
	name, subject string   // %d = a number of the issue, %m = the month, %p = per cent, %y = the year
	share         [2]int   // the least and the most of the list that it goes to, in per cent
	second        string   // what a second run is: "" none, "again" to who did not open, "rest" to who was not in the first
	pull          float64  // how its open and click rates compare with the usual
	links         []string // paths
}

var themes = [...]theme{
	{"Weekly newsletter #%d", "This week: what we are reading, making and mending", [2]int{85, 100}, "", 1.0,
		[]string{"story/slow-winter", "story/workshop-notes", "new", "events", "archive", "preferences"}},
	{"%m sale %y – up to %p off", "Up to %p off until Sunday", [2]int{60, 95}, "again", 1.15,
		[]string{"sale", "sale/women", "sale/men", "sale/last-chance", "gift-cards", "stores"}},
	{"Product news %m %y", "New in %m: smaller, lighter, repairable", [2]int{40, 70}, "", 1.05,
		[]string{"new/featured", "new/all", "guides/choosing", "stores"}},
	{"Invitation: open evening %m", "You are invited – %m open evening", [2]int{10, 30}, "", 1.3,
		[]string{"events/open-evening", "events/directions", "calendar.ics"}},
	{"Cart reminder wave %d", "You left something behind", [2]int{4, 12}, "", 1.6, []string{"cart", "help/returns", "help/contact"}},
	{"A/B subject test %d – free delivery", "Free delivery, this weekend only", [2]int{50, 80}, "rest", 1.1,
		[]string{"free-delivery", "sale", "terms", "stores", "app"}},
	{"Win-back %y Q%q", "We have missed you, {{First Name}}", [2]int{15, 35}, "", 0.5, []string{"welcome-back", "preferences", "unsubscribe-survey"}},
	{"Customer survey %m %y", "Two minutes? Tell us how we did", [2]int{20, 45}, "again", 0.9, []string{"survey", "survey/terms", "privacy"}},
	{"Frühjahrsneuheiten %y (DACH)", "Neu eingetroffen: für draußen gemacht", [2]int{12, 25}, "", 1.05,
		[]string{"de/neu", "de/ratgeber", "de/filialen", "de/newsletter"}},
}

// campaign is the next campaign, with its first run begun at start and nobody mailed yet.
func (a *Account) campaign(rng *rand.Rand, number int, th theme, start time.Time) Campaign {
	fill := strings.NewReplacer("%d", fmt.Sprint(11+number), "%m", start.Month().String(), "%y", fmt.Sprint(start.Year()),
		"%p", fmt.Sprintf("%d%%", 20+10*rng.IntN(5)), "%q", fmt.Sprint((int(start.Month())+2)/3))
	c := Campaign{
		ID: 778_000 + int64(number)*13 + int64(rng.IntN(13)), Name: fill.Replace(th.name), Subject: fill.Replace(th.subject),
		FromName: a.Company, FromEmail: "hello@mail." + a.Domain, Created: start.Add(-time.Duration(20+rng.IntN(90)) * time.Hour),
	}
	for i, path := range th.links {
		c.Links = append(c.Links, Link{ID: c.ID*20 + int64(i), Name: path,
			URL: fmt.Sprintf("https://www.%s/%s?utm_source=campaigner&utm_medium=email&utm_campaign=%d", a.Domain, path, c.ID)})
	}
	return c
}
