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

// The kinds of faults. Those marked with a host or an operation make sense there only.
const (
	FaultStatus       FaultKind = "status"         // answers Status with a Body of json, html or empty
	FaultRateLimit    FaultKind = "rate_limit"     // answers 429, with RetryAfter when given
	FaultUnauthorized FaultKind = "unauthorized"   // answers 401 to a valid token
	FaultDrop         FaultKind = "drop"           // closes the connection before any answer
	FaultCut          FaultKind = "cut"            // promises the full length, sends half
	FaultCutChunked   FaultKind = "cut_chunked"    // sends half in chunks, then closes the connection
	FaultHTML         FaultKind = "html"           // answers 200 with an HTML page
	FaultSlow         FaultKind = "slow"           // waits DelayMillis before the headers
	FaultDrip         FaultKind = "drip"           // sends the body in small pieces, each write (32 KiB of a file) over DelayMillis
	FaultEmptyList    FaultKind = "empty_list"     // lists: empty data, total_count 0, no next page
	FaultHalfPage     FaultKind = "half_page"      // lists: half of the rows, everything else unchanged
	FaultNewFields    FaultKind = "unknown_fields" // adds a key that the document does not have to every object
	FaultNewEnums     FaultKind = "unknown_enums"  // makes every type a value that the document does not have
	FaultTotalCap     FaultKind = "total_cap"      // GET /assets: total_count is at most Value
	FaultTotalLie     FaultKind = "total_lie"      // GET /assets: total_count is Value
	FaultTotalMissing FaultKind = "total_missing"  // GET /assets: no total_count
	FaultNoCreated    FaultKind = "no_created"     // GET /assets: ignores the filters by created_at
	FaultWrongSize    FaultKind = "wrong_size"     // details: file_size is one byte too high
	FaultCorrupt      FaultKind = "corrupt"        // files: one byte in the middle is different
	FaultTokenError   FaultKind = "token_error"    // tokens: answers Status (default 401) with the OAuth error named by Body (default invalid_client)
)

// Fault disturbs the requests that it matches. When several match, the oldest one that is due
// strikes. A struck request counts against pace and quota and is logged like any other.
type Fault struct {
	ID   int       `json:"id,omitempty"` // given by AddFault
	Kind FaultKind `json:"kind"`

	// Host is api, accounts or files. The default is api; accounts for token_error; files for corrupt.
	Host   string `json:"host,omitempty"`
	Method string `json:"method,omitempty"` // empty matches all
	// Path is a doublestar pattern of the URL path, such as /v3/assets or /v3/images/*. Empty matches
	// all paths, or the token endpoint for token_error.
	Path        string  `json:"path,omitempty"`
	Skip        int     `json:"skip,omitempty"`        // number of matching requests to let pass first
	Count       int     `json:"count,omitempty"`       // number of requests to strike; 0 means no end
	Probability float64 `json:"probability,omitempty"` // of striking, from 0 to 1; 0 means always

	Status      int    `json:"status,omitempty"`      // default 500
	Body        string `json:"body,omitempty"`        // json (default), html or empty; an OAuth error for token_error
	RetryAfter  string `json:"retry_after,omitempty"` // value of the header; empty sends none
	DelayMillis int    `json:"delay_ms,omitempty"`    // milliseconds
	Value       int    `json:"value,omitempty"`       // of total_count

	Struck int `json:"struck"` // number of requests struck so far
}

func (f *Fault) delay() time.Duration { return time.Duration(f.DelayMillis) * time.Millisecond }

// faultSet holds the faults in force, oldest first.
type faultSet struct {
	mu     sync.Mutex
	r      *rand.Rand
	list   []*Fault
	lastID int
}

// AddFault puts a fault in force and returns its id. An unknown kind or a malformed path is an
// ErrInvalid.
func (s *Simulator) AddFault(f Fault) (int, error) {
	if !f.Kind.known() {
		return 0, fmt.Errorf("fault kind %q: %w", f.Kind, ErrInvalid)
	}
	if f.Path != "" && !doublestar.ValidatePattern(f.Path) {
		return 0, fmt.Errorf("fault path %q: %w", f.Path, ErrInvalid)
	}
	f.Host = cmp.Or(f.Host, map[FaultKind]string{FaultTokenError: hostAccounts, FaultCorrupt: hostFiles}[f.Kind], hostAPI)
	if f.Kind == FaultTokenError {
		f.Path = cmp.Or(f.Path, tokenPath)
	}
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	s.faults.lastID++
	f.ID, f.Struck = s.faults.lastID, 0
	s.faults.list = append(s.faults.list, &f)
	return f.ID, nil
}

// Faults returns the faults in force, oldest first.
func (s *Simulator) Faults() []Fault {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	out := make([]Fault, 0, len(s.faults.list))
	for _, f := range s.faults.list {
		out = append(out, *f)
	}
	return out
}

// ClearFaults ends the faults with the given ids, or all faults when none is given.
func (s *Simulator) ClearFaults(ids ...int) {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	s.faults.list = slices.DeleteFunc(s.faults.list, func(f *Fault) bool {
		return len(ids) == 0 || slices.Contains(ids, f.ID)
	})
}

// next returns the fault that strikes r, if any.
func (fs *faultSet) next(host string, r *http.Request) (Fault, bool) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	for _, f := range fs.list {
		if !f.matches(host, r) {
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

func (f *Fault) matches(host string, r *http.Request) bool {
	return f.Host == host && (f.Method == "" || f.Method == r.Method) &&
		(f.Path == "" || doublestar.MatchUnvalidated(f.Path, r.URL.Path))
}

// inject lets the faults of a host strike its requests.
func (fs *faultSet) inject(host string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if f, ok := fs.next(host, r); ok {
			strike{f, w, r, next}.serve()
			return
		}
		next.ServeHTTP(w, r)
	})
}
