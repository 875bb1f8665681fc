// Package campaigner speaks with Campaigner, the first provider: it owns how the provider's webhooks are read, and the client
// of its API. Storing what they say, checking webhook keys and counting are internal/ingest's; when to ask the API is for
// jobs to say.
//
// # Webhooks
//
// A body goes through Webhook twice. Open, while the provider waits, splits it syntactically, finds the webhook keys of
// its objects and makes the copy that is kept, without them. Decode, later and beside the writing, turns the kept copy
// into one delivery.Object for each object: a report of an event, a mark of a run, an ignored kind, or the fault for
// which it is quarantined.
//
// Much of what Campaigner sends is written down nowhere, so reading is liberal where nothing can be mistaken:
//
//   - A body is one object, objects behind each other (with line breaks, other white space or nothing between them), or
//     one array of objects. A UTF-8 byte order mark before it is skipped.
//   - Invalid UTF-8 costs only objects whose used fields are damaged by it. Other fields are not looked at.
//   - Names of types and of fields are compared without case, spaces, hyphens and underscores. The documented spelling
//     of a field goes before others; of a name given twice the last value holds. Only the field "key" must be exact.
//   - null, and a text of white space alone, is as good as absent.
//   - Ids are texts or whole numbers: 123 and "123" are one. A number with a fraction or an exponent, as 1.0 or 1e3, is no
//     id and quarantines the object: some program took it through a float, so its digits cannot be relied on.
//
// # API
//
// A Client asks one account, within a Limit that all jobs of the account share (Limits). Values are read as liberally as
// in webhooks; a row with a value that cannot be read says so in its Fault and costs neither the page nor the walk. Walk
// reads a list to its end, though rows shift from page to page meanwhile, and can be resumed after any page.
package campaigner
