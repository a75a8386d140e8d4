// Package cmpsim is a simulator of the Optimizely CMP: the Open API v3, its
// accounts, its file hosts and its webhooks, over real HTTP, with a generated
// library, the documented limits, and faults on demand.
//
// It is for whoever builds an integration and has no tenant to try it on. Four
// hosts listen on ports of their own, so that a client that sends its bearer to
// the wrong one is caught:
//
//   - the API host answers the library operations of the vendor's document,
//     strictly: unknown query parameters, page sizes over 100 and unknown keys in
//     bodies are 400;
//   - the accounts host gives tokens for client_credentials,
//     authorization_code (it approves by itself) and refresh_token (single-use);
//   - the file host serves signed, expiring download URLs and refuses any
//     Authorization header;
//   - the control host is the simulator's own: it edits the library as a person
//     would, sets limits and faults, and tells the truth that a mirror should
//     show. README.md describes it.
//
// What the documents leave open is settled by Behavior, and can be changed
// while the simulator runs. A library of a million assets needs about 300 MB and
// a page of a hundred rows under a millisecond.
//
//	sim := cmpsim.New(cmpsim.DefaultOptions())
//	at, err := sim.Start(ctx, "127.0.0.1:0")
//	…
//	id, err := sim.AddAsset(cmpsim.NewAsset{Title: "Logo", Folder: "/Brand"})
//
// Tests on fake time use Options.Now, or StartPipes in a synctest bubble. The
// package simcheck holds any client's traffic against the vendor's document.
package cmpsim
