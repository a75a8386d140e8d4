// Package cmpsim simulates the Optimizely CMP: the Open API v3, its accounts, its file hosts and its
// webhooks, over real HTTP, with a generated library, the documented limits, and faults on demand.
//
// It is for people who build an integration without a tenant to try it on. Four hosts listen on
// ports of their own, so that a client that sends its bearer to the wrong host fails:
//
//   - The API host answers the library operations of the vendor's document, strictly: unknown query
//     parameters, a page_size over 100 and unknown keys in bodies are answered 400.
//   - The accounts host issues tokens for client_credentials, authorization_code (which it approves
//     by itself) and refresh_token (single-use).
//   - The file host serves signed, expiring download URLs and refuses any Authorization header.
//   - The control host belongs to the simulator alone. It edits the library as people do, sets limits
//     and faults, and shows what a mirror of the library should contain. README.md describes it.
//
// Behavior decides what the documents leave open; it can change while the simulator runs. A library of
// a million assets takes about 300 MB. A page of it takes about a millisecond; a filter by anything
// but modified_at costs a pass over the library, by created_at about 30 ms.
//
//	sim := cmpsim.New(cmpsim.DefaultOptions())
//	endpoints, err := sim.Start(ctx, "127.0.0.1:0")
//	…
//	id, err := sim.AddAsset(cmpsim.NewAsset{Title: "Logo", Folder: "/Brand"})
//
// Tests on a fake clock use Options.Now, or StartPipes in a synctest bubble. Package simcheck checks
// the traffic of any client against the vendor's document.
//
// The simulator follows the vendor's document and a sheet of facts about the API, never a client's
// reading of them. Comments cite the sheet by section, as in "facts.md 7.2"; "unknown" and "inferred"
// mark what it has no source for.
package cmpsim
