// Package ingest takes webhooks in and counts them.
//
// A delivery's way: Intake.Receive authenticates the body by the key in it, blanks the key and appends the body to the
// inbox; once that is durable the provider is told 202. The Worker drains the inbox in order: it decodes a batch while
// the batch before is written, and counts each batch in one transaction of the store, which moves the mark, so that a
// delivery is either counted whole or not at all, whenever the process ends.
//
//	received ─► pending (inbox) ─► done | partial | quarantined (main file)
//	                                        └─ replay: held and ignored objects are read again
//
// Only an error of the data itself makes the worker try smaller, down to the one delivery that cannot be counted, which is
// held with its reason. An error of the store stops the draining, which backs off and tries the same again.
package ingest
