// Package loadgen posts webhooks as fast as it can, or at a rate, and measures the answers. It serves `monterey loadgen` and
// the benchmarks, where it shares its processors with the server it measures; so it is built to be cheap: a [Generator] makes
// each event from the seed and the event's number alone, appending it by hand to a buffer that is used again, and requests are
// written straight to the connection. What it posts is one workload for ever: the same seed, the same bytes.
//
// Realistic accounts that know their own truth are campaignersim's business.
package loadgen
