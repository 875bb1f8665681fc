// Package campaignersim is an invented Campaigner account that behaves like a real one: it is made from a seed, it posts the
// webhooks of what happens in it, in every documented form and with faults on demand, and it knows the truth about itself,
// so that what Monterey answers can be held against it.
//
// An [Account] is lists: campaigns with their links and runs, contacts, and events. [NewAccount] makes its history up; Live
// adds to it while time goes by. Lists only grow and what stands in them never changes, so whoever holds one may read it
// without a lock. A [Poster] posts an account's webhooks; [Truth] counts, in plain loops over what was posted, what the
// server must answer.
//
// A [Server] answers the provider's API, EDAPI, of the same account: whatever has happened is in its lists at once, also what
// no webhook told of. [Account.Bounces] is what a backfill must bring, [Account.RecoveredTruth] what must be held once the
// reports were read beside the webhooks, [Account.Summary] what the provider counts. The API's clock differs a little from
// the webhooks' ([Options].Skew), and it fails on demand ([APIFaults]), never so that a client which tries again and reads an
// overlap could not get everything. Its answers are the provider's published client's to read, which a test has it do.
//
// The package takes part in no arithmetic of the program: nothing of Monterey is imported here.
package campaignersim
