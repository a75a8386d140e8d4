package plan

// extensionByType returns the usual extension of a media type, or an empty string
// when it is not in the table. The standard mime package is no substitute: it
// reads the machine's tables, so two machines could give an asset two names.
func extensionByType(mediaType string) string {
	switch mediaType {
	case "image/jpeg", "image/jpg", "image/pjpeg":
		return "jpg"
	case "image/png":
		return "png"
	case "image/gif":
		return "gif"
	case "image/webp":
		return "webp"
	case "image/avif":
		return "avif"
	case "image/heic":
		return "heic"
	case "image/heif":
		return "heif"
	case "image/tiff":
		return "tif"
	case "image/bmp", "image/x-ms-bmp":
		return "bmp"
	case "image/svg+xml":
		return "svg"
	case "image/vnd.adobe.photoshop", "image/x-photoshop", "application/x-photoshop":
		return "psd"
	case "image/x-icon", "image/vnd.microsoft.icon":
		return "ico"
	case "application/postscript":
		return "eps"
	case "application/illustrator":
		return "ai"
	default:
		return documentExtension(mediaType)
	}
}

func documentExtension(mediaType string) string {
	switch mediaType {
	case "application/pdf":
		return "pdf"
	case "application/msword":
		return "doc"
	case "application/vnd.openxmlformats-officedocument.wordprocessingml.document":
		return "docx"
	case "application/vnd.ms-excel":
		return "xls"
	case "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet":
		return "xlsx"
	case "application/vnd.ms-powerpoint":
		return "ppt"
	case "application/vnd.openxmlformats-officedocument.presentationml.presentation":
		return "pptx"
	case "application/rtf", "text/rtf":
		return "rtf"
	case "application/json":
		return "json"
	case "application/xml", "text/xml":
		return "xml"
	case "application/zip", "application/x-zip-compressed":
		return "zip"
	case "text/plain":
		return "txt"
	case "text/csv":
		return "csv"
	case "text/html":
		return "html"
	default:
		return mediaExtension(mediaType)
	}
}

func mediaExtension(mediaType string) string {
	switch mediaType {
	case "video/mp4":
		return "mp4"
	case "video/quicktime":
		return "mov"
	case "video/webm":
		return "webm"
	case "video/x-msvideo", "video/avi":
		return "avi"
	case "video/x-ms-wmv":
		return "wmv"
	case "video/x-matroska":
		return "mkv"
	case "video/mpeg":
		return "mpg"
	case "video/x-m4v":
		return "m4v"
	case "audio/mpeg", "audio/mp3":
		return "mp3"
	case "audio/mp4", "audio/x-m4a":
		return "m4a"
	case "audio/wav", "audio/x-wav":
		return "wav"
	case "audio/ogg":
		return "ogg"
	case "audio/aac":
		return "aac"
	case "audio/flac":
		return "flac"
	case "font/ttf":
		return "ttf"
	case "font/otf":
		return "otf"
	case "font/woff":
		return "woff"
	case "font/woff2":
		return "woff2"
	default:
		return ""
	}
}
