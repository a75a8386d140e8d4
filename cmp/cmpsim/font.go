package cmpsim

const (
	glyphWidth  = 5
	glyphHeight = 7
)

// glyph returns the rows of a character, top first, with the leftmost pixel in the highest of five
// bits. A character without a glyph is a box.
func glyph(c rune) [glyphHeight]uint8 {
	switch {
	case c >= 'A' && c <= 'Z':
		return letters()[c-'A']
	case c >= '0' && c <= '9':
		return digits()[c-'0']
	}
	switch c {
	case ' ':
		return [glyphHeight]uint8{}
	case '.', ',':
		return [glyphHeight]uint8{0, 0, 0, 0, 0, 12, 12}
	case '-', '_':
		return [glyphHeight]uint8{0, 0, 0, 31, 0, 0, 0}
	case '/':
		return [glyphHeight]uint8{1, 2, 2, 4, 8, 8, 16}
	default:
		return [glyphHeight]uint8{31, 17, 17, 17, 17, 17, 31}
	}
}

func letters() [26][glyphHeight]uint8 {
	return [26][glyphHeight]uint8{
		{14, 17, 17, 31, 17, 17, 17},
		{30, 17, 17, 30, 17, 17, 30},
		{14, 17, 16, 16, 16, 17, 14},
		{30, 17, 17, 17, 17, 17, 30},
		{31, 16, 16, 30, 16, 16, 31},
		{31, 16, 16, 30, 16, 16, 16},
		{14, 17, 16, 23, 17, 17, 15},
		{17, 17, 17, 31, 17, 17, 17},
		{14, 4, 4, 4, 4, 4, 14},
		{7, 2, 2, 2, 2, 18, 12},
		{17, 18, 20, 24, 20, 18, 17},
		{16, 16, 16, 16, 16, 16, 31},
		{17, 27, 21, 21, 17, 17, 17},
		{17, 25, 21, 19, 17, 17, 17},
		{14, 17, 17, 17, 17, 17, 14},
		{30, 17, 17, 30, 16, 16, 16},
		{14, 17, 17, 17, 21, 18, 13},
		{30, 17, 17, 30, 20, 18, 17},
		{15, 16, 16, 14, 1, 1, 30},
		{31, 4, 4, 4, 4, 4, 4},
		{17, 17, 17, 17, 17, 17, 14},
		{17, 17, 17, 17, 17, 10, 4},
		{17, 17, 17, 21, 21, 27, 17},
		{17, 17, 10, 4, 10, 17, 17},
		{17, 17, 10, 4, 4, 4, 4},
		{31, 1, 2, 4, 8, 16, 31},
	}
}

func digits() [10][glyphHeight]uint8 {
	return [10][glyphHeight]uint8{
		{14, 17, 19, 21, 25, 17, 14},
		{4, 12, 4, 4, 4, 4, 14},
		{14, 17, 1, 6, 8, 16, 31},
		{30, 1, 1, 14, 1, 1, 30},
		{2, 6, 10, 18, 31, 2, 2},
		{31, 16, 30, 1, 1, 17, 14},
		{14, 16, 16, 30, 17, 17, 14},
		{31, 1, 2, 4, 4, 4, 4},
		{14, 17, 17, 14, 17, 17, 14},
		{14, 17, 17, 15, 1, 1, 14},
	}
}
