package plan

import (
	"strings"
	"time"

	"damsync/internal/library"
	"damsync/internal/state"
)

// environment holds the variables of an expression: one value, asset.
type environment struct {
	Asset assetValue `expr:"asset"`
}

// assetValue holds the properties of the expression language. A property of an
// unknown level has its zero value; the caller requests the level before it
// evaluates an expression that reads it.
type assetValue struct {
	ID         string              `expr:"id"`
	Title      string              `expr:"title"`
	Type       string              `expr:"type"`
	MIMEType   string              `expr:"mime_type"`
	Extension  string              `expr:"extension"`
	FileName   string              `expr:"file_name"`
	Folder     string              `expr:"folder"`
	CreatedAt  time.Time           `expr:"created_at"`
	ModifiedAt time.Time           `expr:"modified_at"`
	Archived   bool                `expr:"archived"`
	Labels     map[string][]string `expr:"labels"`
	Owner      string              `expr:"owner"`
	SourceTask string              `expr:"source_task"`

	Description string   `expr:"description"`
	AltText     string   `expr:"alt_text"`
	Attribution string   `expr:"attribution"`
	Tags        []string `expr:"tags"`
	// ExpiresAt is nil when the asset never expires, so that an expression
	// that compares it without a check fails visibly instead of taking
	// "never" for the year 1.
	ExpiresAt *time.Time `expr:"expires_at"`
	Public    bool       `expr:"public"`
	Width     int        `expr:"width"`
	Height    int        `expr:"height"`
	Size      int64      `expr:"size"`
	Version   int64      `expr:"version"`

	Fields map[string]any `expr:"fields"`
}

// propertyNames lists the properties of asset in the order of the documentation.
func propertyNames() []string {
	return []string{
		"id", "title", "type", "mime_type", "extension", "file_name", "folder", "created_at", "modified_at",
		"archived", "labels", "owner", "description", "alt_text", "attribution", "tags", "expires_at", "public",
		"width", "height", "size", "version", "fields", "source_task",
	}
}

// propertyLevel returns the level that holds a property, and false when there
// is no such property.
func propertyLevel(name string) (library.Level, bool) {
	switch name {
	case "id", "title", "type", "mime_type", "extension", "file_name", "folder", "created_at", "modified_at",
		"archived", "labels", "owner", "source_task":
		return library.LevelSummary, true
	case "description", "alt_text", "attribution", "tags", "expires_at", "public", "width", "height", "size", "version":
		return library.LevelDetail, true
	case "fields":
		return library.LevelFields, true
	default:
		return library.LevelSummary, false
	}
}

// load fills the environment from a snapshot. It builds the maps only when an
// expression reads them.
func (e *environment) load(v *state.Snapshot, folder string, labels, fields bool) {
	a := &v.Asset
	extension := extensionOf(a)
	e.Asset = assetValue{
		ID: a.ID, Title: a.Title, Type: a.Type, MIMEType: a.MIMEType,
		Extension: extension, FileName: fileName(a, extension), Folder: folder,
		CreatedAt: a.CreatedAt.UTC(), ModifiedAt: a.ModifiedAt.UTC(),
		Archived: a.Archived, Owner: a.OwnerOrganizationID, SourceTask: v.SourceTask,
	}
	if labels {
		e.Asset.Labels = labelNames(a.Labels)
	}
	if v.Detail != nil {
		e.Asset.loadDetail(*v.Detail)
	}
	if fields && v.Fields != nil {
		e.Asset.Fields = fieldValues(v.Fields.Values)
	}
}

func (a *assetValue) loadDetail(d library.Detail) {
	a.Description, a.AltText, a.Attribution = d.Description, d.AltText, d.Attribution
	a.Tags, a.Public = d.Tags, d.Public
	a.Width, a.Height, a.Size, a.Version = d.Width, d.Height, max(d.Size, 0), d.VersionNumber
	if d.ExpiresAt != nil {
		expires := d.ExpiresAt.UTC()
		a.ExpiresAt = &expires
	}
}

func labelNames(labels []library.Label) map[string][]string {
	names := make(map[string][]string, len(labels))
	for _, label := range labels {
		for _, value := range label.Values {
			names[label.Group.Name] = append(names[label.Group.Name], value.Name)
		}
	}
	return names
}

// fileName returns the title with the extension, which it appends unless the
// title ends with it. Without a title it uses the id.
func fileName(a *library.Asset, extension string) string {
	name := a.Title
	if strings.TrimSpace(name) == "" {
		name = a.ID
	}
	if extension == "" {
		return name
	}
	if cut := len(name) - len(extension) - 1; cut >= 0 && name[cut] == '.' && strings.EqualFold(name[cut+1:], extension) {
		return name
	}
	return name + "." + extension
}

// extensionOf returns the file extension without the dot, derived from the
// MIME type when the CMP gives none.
func extensionOf(a *library.Asset) string {
	if extension := strings.TrimLeft(a.FileExtension, "."); extension != "" {
		return extension
	}
	mediaType, _, _ := strings.Cut(a.MIMEType, ";")
	return extensionByType(strings.ToLower(strings.TrimSpace(mediaType)))
}
