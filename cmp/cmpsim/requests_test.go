package cmpsim

import (
	"slices"
	"testing"
)

func TestRequestLogKeepsTheNewest(t *testing.T) {
	log := newRequestLog(5)
	for _, path := range []string{"a", "b", "c", "d", "e", "f", "g"} {
		q := &Request{Host: hostAPI, Path: path, Operation: "getImage"}
		log.add(q)
		log.finish(q, 404)
	}
	var kept []string
	for _, q := range log.kept {
		kept = append(kept, q.Path)
		if q.Status != 404 {
			t.Errorf("request %+v", q)
		}
	}
	if want := []string{"c", "d", "e", "f", "g"}; !slices.Equal(kept, want) {
		t.Errorf("kept %v, want %v", kept, want)
	}
	if log.counts["getImage"] != 7 || log.status[404] != 7 {
		t.Errorf("counted %v and %v", log.counts, log.status)
	}
}
