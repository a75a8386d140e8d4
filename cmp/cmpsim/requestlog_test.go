package cmpsim

import (
	"slices"
	"testing"
	"time"
)

func TestRequestLogKeepsTheNewest(t *testing.T) {
	log := newRequestLog(time.Now, 5)
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
	if log.counts.Operations["getImage"] != 7 || log.counts.Statuses[404] != 7 {
		t.Errorf("counted %v and %v", log.counts.Operations, log.counts.Statuses)
	}
}
