package cmpsim

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"math/rand/v2"
	"strings"
)

func somePictureSize(r *rand.Rand) (width, height int) {
	s := pickFrom(r, [][2]int{{240, 160}, {320, 180}, {200, 200}, {160, 240}, {128, 128}, {400, 225}})
	return s[0], s[1]
}

const paletteColors = 16 // image/png writes 4 bits a pixel

// pictureBytes returns the size in bytes of the PNG that drawPicture makes. It is not compressed, so
// its size follows from its shape, and file_size needs no drawing.
func pictureBytes(width, height int) int64 {
	const (
		signature = 8
		chunk     = 12 // length, type, checksum
		ihdr      = 13
		idatMax   = 1 << 15 // the buffer of image/png
		stored    = 65535   // the longest uncompressed deflate block
	)
	rows := height * (1 + (width+1)/2)
	data := 2 + rows + 5*((rows+stored-1)/stored) + 5 + 4 // zlib header, blocks, final block, checksum
	idats := (data + idatMax - 1) / idatMax
	return int64(signature + chunk + ihdr + chunk + 3*paletteColors + idats*chunk + data + chunk)
}

// drawPicture makes the PNG of one version: a colored pattern with title and version.
func drawPicture(r *rand.Rand, width, height int, title string, version uint32) ([]byte, error) {
	m := image.NewPaletted(image.Rect(0, 0, width, height), somePalette(r))
	paintPattern(m, r)
	paintCaption(m, title, fmt.Sprintf("v%d", version))
	var b bytes.Buffer
	b.Grow(int(pictureBytes(width, height)))
	enc := png.Encoder{CompressionLevel: png.NoCompression}
	if err := enc.Encode(&b, m); err != nil {
		return nil, fmt.Errorf("encode picture: %w", err)
	}
	return b.Bytes(), nil
}

// somePalette returns white, black, and shades between two random colors.
func somePalette(r *rand.Rand) color.Palette {
	from, to := someColor(r), someColor(r)
	p := color.Palette{color.RGBA{255, 255, 255, 255}, color.RGBA{20, 20, 20, 255}}
	for i := range paletteColors - 2 {
		p = append(p, color.RGBA{
			blend(from.R, to.R, i), blend(from.G, to.G, i), blend(from.B, to.B, i), 255,
		})
	}
	return p
}

func someColor(r *rand.Rand) color.RGBA {
	return color.RGBA{uint8(40 + r.IntN(200)), uint8(40 + r.IntN(200)), uint8(40 + r.IntN(200)), 255}
}

func blend(a, b uint8, step int) uint8 {
	const steps = paletteColors - 3
	return uint8((int(a)*(steps-step) + int(b)*step) / steps)
}

// paintPattern fills m with stripes, rings or tiles.
func paintPattern(m *image.Paletted, r *rand.Rand) {
	style, scale := r.IntN(3), 6+r.IntN(18)
	cx, cy := r.IntN(m.Rect.Dx()), r.IntN(m.Rect.Dy())
	slope := 1 + r.IntN(3)
	for y := range m.Rect.Dy() {
		row := m.Pix[y*m.Stride:]
		for x := range m.Rect.Dx() {
			var n int
			switch style {
			case 0:
				n = (x*slope + y) / scale
			case 1:
				n = ((x-cx)*(x-cx) + (y-cy)*(y-cy)) / (scale * 60)
			default:
				n = (x / scale) ^ (y / scale)
			}
			row[x] = uint8(2 + n%(paletteColors-2))
		}
	}
}

// paintCaption writes title and version in a white band at the bottom.
func paintCaption(m *image.Paletted, title, version string) {
	const line = glyphHeight + 3
	top := m.Rect.Dy() - 2*line - 2
	for y := top; y < m.Rect.Dy(); y++ {
		for x := range m.Rect.Dx() {
			m.Pix[y*m.Stride+x] = 0
		}
	}
	perLine := (m.Rect.Dx() - 4) / (glyphWidth + 1)
	paintText(m, 2, top+2, clip(strings.ToUpper(title), perLine))
	paintText(m, 2, top+2+line, strings.ToUpper(version))
}

func clip(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n])
	}
	return s
}

func paintText(m *image.Paletted, x, y int, text string) {
	for _, c := range text {
		for row, bits := range glyph(c) {
			for col := range glyphWidth {
				if bits&(1<<(glyphWidth-1-col)) != 0 {
					m.SetColorIndex(x+col, y+row, 1)
				}
			}
		}
		x += glyphWidth + 1
	}
}
