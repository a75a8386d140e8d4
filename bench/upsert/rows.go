package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"damsync/internal/library"
)

// summaryRows returns n list rows of 1.5 KB, the size of the API's; equal arguments give equal rows.
func summaryRows(from, n int) []library.Asset {
	r := rand.New(rand.NewPCG(1, uint64(from))) //nolint:gosec // the same library each time
	rows := make([]library.Asset, n)
	for i := range rows {
		rows[i] = summaryRow(from+i, r)
	}
	return rows
}

func summaryRow(i int, r *rand.Rand) library.Asset {
	epoch := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	id := fmt.Sprintf("%016x%016x", r.Uint64(), i)
	a := library.Asset{
		ID: id, Type: library.TypeImage, Title: fmt.Sprintf("Spring campaign %d, %x", i, r.Uint64()), MIMEType: "image/png", FileExtension: "png",
		CreatedAt: epoch.Add(time.Duration(-2*i) * time.Second), ModifiedAt: epoch.Add(time.Duration(-i) * time.Second),
		FileLocation: "/Brand/Spring/" + strconv.Itoa(i%500), OwnerOrganizationID: "org", Self: "https://api.cmp.test/v3/images/" + id,
		Labels: []library.Label{
			{
				Group:  library.Named{ID: digits(r), Name: "Status"},
				Values: []library.Named{{ID: digits(r), Name: "Approved"}, {ID: digits(r), Name: "Final"}},
			},
			{
				Group:  library.Named{ID: digits(r), Name: "Audience"},
				Values: []library.Named{{ID: digits(r), Name: "Retail customers in the region " + strconv.Itoa(i%50)}},
			},
		},
	}
	a.Raw = rawRow(a, r)
	return a
}

func digits(r *rand.Rand) string { return fmt.Sprintf("%016x", r.Uint64()) }

// rawRow returns the row as the API would send it.
func rawRow(a library.Asset, r *rand.Rand) json.RawMessage {
	labels, err := json.Marshal(a.Labels)
	if err != nil {
		panic(err) // of strings
	}
	image := func(what string) string {
		return fmt.Sprintf("https://images.cmp.test/v1/assets/%s/%s?fingerprint=%s%s", a.ID, what, digits(r), digits(r))
	}
	return fmt.Appendf(nil, `{"id":%q,"title":%q,"type":"image","mime_type":"image/png","file_extension":"png","created_at":%q,"modified_at":%q,`+
		`"folder_id":null,"file_location":%q,"is_archived":false,"owner_organization_id":"org","labels":%s,"content":{"type":"url","value":%q},`+
		`"thumbnail_url":%q,"links":{"self":%q,"urls":"https://api.cmp.test/v3/assets/%[1]s/urls","rights":"https://api.cmp.test/v3/assets/%[1]s/rights"},`+
		`"description_excerpt":"%[10]s %[11]s %[12]s %[13]s"}`,
		a.ID, a.Title, a.CreatedAt.Format(time.RFC3339), a.ModifiedAt.Format(time.RFC3339), a.FileLocation, labels, image("content"), image("thumbnail"),
		a.Self, digits(r), digits(r), digits(r), digits(r))
}
