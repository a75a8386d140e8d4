package cmpsim

import (
	"net/http"
	"net/url"
	"time"
)

// filesHandler serves the download host. A bearer must never come here: such a
// request is counted as a leak and refused.
func (s *Simulator) filesHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /download/{guid}", s.serveFile)
	mux.HandleFunc("GET /thumbnails/{guid}", s.serveThumbnail)
	operation := func(r *http.Request) string {
		_, pattern := mux.Handler(r)
		return pattern
	}
	refuse := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			s.log.leak()
			http.Error(w, "authorization is not accepted here", http.StatusBadRequest)
			return
		}
		mux.ServeHTTP(w, r)
	})
	return s.record(hostFiles, operation, s.injectFaults(hostFiles, refuse))
}

// fileToServe finds the asset's current file and whether anyone may have it.
func (s *Simulator) fileToServe(id string) (f file, public, ok bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	a, ok := s.lib.live(id)
	if !ok || !a.kind.isFile() {
		return file{}, false, false
	}
	return s.lib.fileOf(a), a.public, true
}

func (s *Simulator) serveFile(w http.ResponseWriter, r *http.Request) {
	f, public, ok := s.fileToServe(r.PathValue("guid"))
	if !ok {
		http.Error(w, "not found", http.StatusNotFound)
		return
	}
	if token := r.URL.Query().Get("token"); !public || token != "" {
		if err := s.signer.checkDownload(token, f.id, s.now()); err != nil {
			http.Error(w, err.Error(), http.StatusForbidden)
			return
		}
	}
	s.serveBytes(w, r, f)
}

// serveThumbnail serves another picture than the original, to show who confuses
// the two. Thumbnails are public.
func (s *Simulator) serveThumbnail(w http.ResponseWriter, r *http.Request) {
	f, _, ok := s.fileToServe(r.PathValue("guid"))
	if !ok || !f.picture {
		http.Error(w, "not found", http.StatusNotFound)
		return
	}
	f.width, f.height, f.title = 64, 64, "thumb"
	f.versionID = "thumb-" + f.versionID
	s.serveBytes(w, r, f)
}

// serveBytes handles ranges and conditions.
func (s *Simulator) serveBytes(w http.ResponseWriter, r *http.Request, f file) {
	body, err := f.open()
	if err != nil {
		http.Error(w, "cannot make the file", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", f.mime)
	w.Header().Set("ETag", `"`+f.versionID+`"`)
	w.Header().Set("Cache-Control", "private")
	name := f.title
	if f.ext != "" {
		name += "." + f.ext
	}
	w.Header().Set("Content-Disposition", "attachment; filename*=UTF-8''"+url.PathEscape(name))
	http.ServeContent(w, r, "", time.Time{}, body)
}
