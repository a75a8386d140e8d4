package cmpsim

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/bmatcuk/doublestar/v4"
)

// FaultKind names what goes wrong.
type FaultKind string

// The faults. Those marked "file" make sense on the file host, those marked
// "list" on GET /assets.
const (
	FaultStatus       FaultKind = "status"         // answers Status with a Body of json, html or empty
	FaultRateLimit    FaultKind = "rate_limit"     // 429, with RetryAfter when set
	FaultUnauthorized FaultKind = "unauthorized"   // 401 in spite of a valid token
	FaultDrop         FaultKind = "drop"           // closes the connection before any answer
	FaultCut          FaultKind = "cut"            // promises the whole length, sends half
	FaultCutChunked   FaultKind = "cut_chunked"    // sends half in chunks, then closes
	FaultHTML         FaultKind = "html"           // 200 with an HTML page
	FaultSlow         FaultKind = "slow"           // waits DelayMillis before the headers
	FaultDrip         FaultKind = "drip"           // sends the body in small pieces, each write (32 KiB of a file) over DelayMillis
	FaultEmptyList    FaultKind = "empty_list"     // list: data [], total_count 0, no next page
	FaultHalfPage     FaultKind = "half_page"      // list: half the rows, all else as it was
	FaultNewFields    FaultKind = "unknown_fields" // adds keys the document does not know
	FaultNewEnums     FaultKind = "unknown_enums"  // changes type values to unknown ones
	FaultTotalCap     FaultKind = "total_cap"      // list: total_count at most Value
	FaultTotalLie     FaultKind = "total_lie"      // list: total_count is Value
	FaultTotalMissing FaultKind = "total_missing"  // list: no total_count
	FaultNoCreated    FaultKind = "no_created"     // list: the filters by created_at are not obeyed
	FaultWrongSize    FaultKind = "wrong_size"     // file_size is one too many
	FaultCorrupt      FaultKind = "corrupt"        // file: one byte in the middle is another
	FaultTokenError   FaultKind = "token_error"    // an OAuth error with Status (default 401) and Body as its class
)

// Fault disturbs the requests it matches. Of several that match, the oldest that
// strikes wins.
type Fault struct {
	ID   int       `json:"id,omitempty"` // given by AddFault
	Kind FaultKind `json:"kind"`
	// Host is api, accounts or files; empty means api, or accounts for
	// token_error, or files for corrupt.
	Host   string `json:"host,omitempty"`
	Method string `json:"method,omitempty"`
	// Path is a doublestar pattern of the URL path, such as /v3/assets or
	// /v3/images/*; empty matches all.
	Path string `json:"path,omitempty"`
	// Skip lets this many matching requests pass first.
	Skip int `json:"skip,omitempty"`
	// Count is how often the fault strikes; 0 means without end.
	Count int `json:"count,omitempty"`
	// Probability of striking, from 0 to 1; 0 means always.
	Probability float64 `json:"probability,omitempty"`

	Status      int    `json:"status,omitempty"`      // default 500
	Body        string `json:"body,omitempty"`        // json (default), html, empty
	RetryAfter  string `json:"retry_after,omitempty"` // header value, as given
	DelayMillis int    `json:"delay_ms,omitempty"`
	Value       int    `json:"value,omitempty"`

	Struck int `json:"struck"` // how often it struck so far
}

type faultSet struct {
	mu   sync.Mutex
	r    *rand.Rand
	list []*Fault
	last int
}

func newFaultSet(r *rand.Rand) *faultSet { return &faultSet{r: r} }

// AddFault puts a fault in force and returns its id.
func (s *Simulator) AddFault(f Fault) (int, error) {
	if !slices.Contains(faultKinds(), f.Kind) {
		return 0, fmt.Errorf("fault kind %q: %w", f.Kind, ErrInvalid)
	}
	if f.Path != "" && !doublestar.ValidatePattern(f.Path) {
		return 0, fmt.Errorf("fault path %q: %w", f.Path, ErrInvalid)
	}
	if f.Host == "" {
		f.Host = map[FaultKind]string{FaultTokenError: hostAccounts, FaultCorrupt: hostFiles}[f.Kind]
	}
	f.Host = cmp.Or(f.Host, hostAPI)
	if f.Kind == FaultTokenError {
		f.Path = cmp.Or(f.Path, "/o/oauth2/v1/token")
	}
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	s.faults.last++
	f.ID, f.Struck = s.faults.last, 0
	s.faults.list = append(s.faults.list, &f)
	return f.ID, nil
}

func faultKinds() []FaultKind {
	return []FaultKind{
		FaultStatus, FaultRateLimit, FaultUnauthorized, FaultDrop, FaultCut, FaultCutChunked, FaultHTML, FaultSlow,
		FaultDrip, FaultEmptyList, FaultHalfPage, FaultNewFields, FaultNewEnums, FaultTotalCap, FaultTotalLie,
		FaultTotalMissing, FaultNoCreated,
		FaultWrongSize, FaultCorrupt, FaultTokenError,
	}
}

// Faults returns the faults in force with how often each struck.
func (s *Simulator) Faults() []Fault {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	out := make([]Fault, 0, len(s.faults.list))
	for _, f := range s.faults.list {
		out = append(out, *f)
	}
	return out
}

// ClearFaults ends the faults with these ids, or all when none is given.
func (s *Simulator) ClearFaults(ids ...int) {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	s.faults.list = slices.DeleteFunc(s.faults.list, func(f *Fault) bool {
		return len(ids) == 0 || slices.Contains(ids, f.ID)
	})
}

// strike returns the fault that hits r.
func (fs *faultSet) strike(host string, r *http.Request) (Fault, bool) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	for _, f := range fs.list {
		if f.Host != host || (f.Method != "" && f.Method != r.Method) || !f.covers(r.URL.Path) {
			continue
		}
		if f.Skip > 0 {
			f.Skip--
			continue
		}
		if f.Count > 0 && f.Struck >= f.Count {
			continue
		}
		if f.Probability > 0 && fs.r.Float64() >= f.Probability {
			continue
		}
		f.Struck++
		return *f, true
	}
	return Fault{}, false
}

func (f *Fault) covers(path string) bool {
	return f.Path == "" || doublestar.MatchUnvalidated(f.Path, path)
}

func (f Fault) delay() time.Duration { return time.Duration(f.DelayMillis) * time.Millisecond }

func (s *Simulator) injectFaults(host string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f, hit := s.faults.strike(host, r)
		if !hit {
			next.ServeHTTP(w, r)
			return
		}
		f.serve(w, r, next)
	})
}
