package plan

import (
	"mime"
	"strings"
	"testing"
)

// TestExtensionByType checks the media types of a CMP library. The extension decides
// which program opens a file.
func TestExtensionByType(t *testing.T) {
	tests := map[string]string{
		"image/jpeg": "jpg", "image/jpg": "jpg", "image/pjpeg": "jpg", "image/png": "png", "image/gif": "gif",
		"image/webp": "webp", "image/avif": "avif", "image/heic": "heic", "image/heif": "heif", "image/tiff": "tif",
		"image/bmp": "bmp", "image/svg+xml": "svg", "image/vnd.adobe.photoshop": "psd", "image/x-icon": "ico",
		"application/postscript": "eps", "application/illustrator": "ai", "application/pdf": "pdf",
		"application/msword": "doc", "application/vnd.ms-excel": "xls", "application/vnd.ms-powerpoint": "ppt",
		"application/vnd.openxmlformats-officedocument.wordprocessingml.document":   "docx",
		"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet":         "xlsx",
		"application/vnd.openxmlformats-officedocument.presentationml.presentation": "pptx",
		"application/rtf": "rtf", "application/json": "json", "text/xml": "xml", "application/zip": "zip",
		"text/plain": "txt", "text/csv": "csv", "text/html": "html", "video/mp4": "mp4", "video/quicktime": "mov",
		"video/webm": "webm", "video/x-msvideo": "avi", "video/x-ms-wmv": "wmv", "video/x-matroska": "mkv",
		"video/mpeg": "mpg", "video/x-m4v": "m4v", "audio/mpeg": "mp3", "audio/mp4": "m4a", "audio/wav": "wav",
		"audio/ogg": "ogg", "audio/aac": "aac", "audio/flac": "flac", "font/ttf": "ttf", "font/otf": "otf",
		"font/woff": "woff", "font/woff2": "woff2",
		"": "", "application/octet-stream": "", "application/x-article": "", "application/x-structured-content": "",
	}
	for mediaType, want := range tests {
		got := extensionByType(mediaType)
		if got != want {
			t.Errorf("%s: %q, want %q", mediaType, got, want)
		}
		// Where the standard library's own table knows the extension, it must
		// be one of that type's kind.
		if known := mime.TypeByExtension("." + got); got != "" && strings.HasPrefix(mediaType, "image/") && !strings.HasPrefix(known, "image/") && known != "" {
			t.Errorf("%s: .%s is %s", mediaType, got, known)
		}
	}
}
