package cmpsim_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"

	"damsync/cmp/cmpsim"
)

// A receiver gets the webhook of an edit as it would from the CMP.
func Example() {
	ctx := context.Background()
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Println("webhook, secret matches:", r.Header.Get("Callback-Secret") == "s3cret")
		w.WriteHeader(http.StatusAccepted)
	}))
	defer receiver.Close()

	sim := cmpsim.New(cmpsim.Options{Seed: 1, Assets: 100})
	if _, err := sim.Start(ctx, "127.0.0.1:0"); err != nil {
		fmt.Println(err)
		return
	}
	defer sim.Close()

	_ = sim.RegisterWebhook(cmpsim.Webhook{URL: receiver.URL, Secret: "s3cret"})
	id, _ := sim.AddAsset(cmpsim.NewAsset{Title: "Logo", Folder: "/Brand", Labels: map[string][]string{"Status": {"Approved"}}})
	_ = sim.WaitDelivered(ctx)

	a, _ := sim.Asset(id)
	fmt.Println(a.Title, a.Folder, a.Labels, "version", a.Version)
	// Output:
	// webhook, secret matches: true
	// Logo /Brand map[Status:[Approved]] version 1
}
