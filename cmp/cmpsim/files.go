package cmpsim

import (
	"net/http"
	"net/url"
	"time"
)

// filesHost serves downloads and thumbnails.
type filesHost struct {
	lib *Library
	log *requestLog
}

func (h *filesHost) mux() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /download/{id}", h.serveFile)
	mux.HandleFunc("GET /thumbnails/{id}", h.serveThumbnail)
	return mux
}

// refuseBearer refuses and counts requests with an Authorization header: the API's bearer must never
// reach the file hosts (facts.md 5).
func (h *filesHost) refuseBearer(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			h.log.countLeak()
			http.Error(w, "authorization is not accepted here", http.StatusBadRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// find returns the current file of an asset, and whether it needs no token.
func (h *filesHost) find(id string) (f file, public, ok bool) {
	h.lib.mu.RLock()
	defer h.lib.mu.RUnlock()
	a, err := h.lib.catalog.live(id)
	if err != nil || !a.kind.isFile() {
		return file{}, false, false
	}
	return h.lib.catalog.fileOf(a), a.public, true
}

func (h *filesHost) serveFile(w http.ResponseWriter, r *http.Request) {
	f, public, ok := h.find(r.PathValue("id"))
	if !ok {
		http.NotFound(w, r)
		return
	}
	if token := r.URL.Query().Get("token"); !public || token != "" {
		if err := h.lib.site.signer.checkDownload(token, f.id, h.lib.now()); err != nil {
			http.Error(w, err.Error(), http.StatusForbidden)
			return
		}
	}
	serveBytes(w, r, f)
}

// serveThumbnail serves a picture that differs from the original, so that confusing the two shows.
// Thumbnails need no token.
func (h *filesHost) serveThumbnail(w http.ResponseWriter, r *http.Request) {
	f, _, ok := h.find(r.PathValue("id"))
	if !ok || !f.picture {
		http.NotFound(w, r)
		return
	}
	f.width, f.height, f.title = 64, 64, "thumb"
	f.versionID = "thumb-" + f.versionID
	serveBytes(w, r, f)
}

// serveBytes answers ranges and conditions, too. The hosts of the CMP were seen to answer ranges
// (facts.md 5).
func serveBytes(w http.ResponseWriter, r *http.Request, f file) {
	body, err := f.open()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
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
