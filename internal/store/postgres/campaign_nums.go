package postgres

import (
	"sync"

	"monterey/internal/campaign"
)

// maxCampaignNums is how many numbers of campaigns are remembered; beyond it that begins anew.
const maxCampaignNums = 100_000

// campaignNums remembers the numbers of campaigns, which never change.
type campaignNums struct {
	mu  sync.Mutex
	num map[campaignKey]int64
}

// campaignKey is a campaign of a workspace, by its number.
type campaignKey struct {
	ws int64
	id campaign.ID
}

// fill tells a view what is known of these campaigns.
func (n *campaignNums) fill(v *view, ids []campaign.ID) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, id := range ids {
		if num, ok := n.num[campaignKey{v.ws, id}]; ok {
			v.nums[id] = num
		}
	}
}

// learn remembers what a view found out of these campaigns; what it saw is committed.
func (n *campaignNums) learn(v *view, ids []campaign.ID) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.num == nil || len(n.num) > maxCampaignNums {
		n.num = map[campaignKey]int64{}
	}
	for _, id := range ids {
		if num, ok := v.nums[id]; ok && num > 0 {
			n.num[campaignKey{v.ws, id}] = num
		}
	}
}
