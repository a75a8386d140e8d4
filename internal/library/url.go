package library

// DownloadURL is a short-lived URL of an asset's file. It often carries a token, so it is
// never stored and never printed: String and JSON mask it.
type DownloadURL struct{ url string }

// NewDownloadURL wraps u, which may be empty.
func NewDownloadURL(u string) DownloadURL { return DownloadURL{url: u} }

// Reveal returns the URL itself. Use it for requests only.
func (d DownloadURL) Reveal() string { return d.url }

// IsZero reports whether there is no URL.
func (d DownloadURL) IsZero() bool { return d.url == "" }

func (d DownloadURL) String() string { return "[download URL]" }

// GoString masks %#v as String masks the other verbs.
func (d DownloadURL) GoString() string { return d.String() }

// MarshalText masks the URL in JSON and logs.
func (d DownloadURL) MarshalText() ([]byte, error) { return []byte(d.String()), nil }
