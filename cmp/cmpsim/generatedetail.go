package cmpsim

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"
)

// originalDetail makes the detail that a has until its first edit. It depends on seed and ordinal
// alone, so a million of them need no memory.
func (c *catalog) originalDetail(a *asset) *detail {
	r := newRand(c.seed, "detail", uint64(a.ordinal))
	d := &detail{ownerID: pickFrom(r, c.owners), drawnTitle: a.title, noIndex: r.IntN(3) == 0}
	if r.IntN(5) != 0 {
		d.description = "A picture of the " + pickFrom(r, nouns()) + ", series " + strconv.Itoa(r.IntN(90))
	}
	if r.IntN(3) != 0 {
		d.alt = pickFrom(r, adjectives()) + " " + pickFrom(r, nouns())
	}
	if r.IntN(3) == 0 {
		d.attribution = "Photo: Studio " + strconv.Itoa(1+r.IntN(9))
	}
	words := tagWords()
	for _, i := range r.Perm(len(words))[:r.IntN(4)] {
		d.tags = append(d.tags, words[i])
	}
	if r.IntN(12) == 0 {
		d.expires = a.created + r.Int64N(int64((2*librarySpan)/time.Second))
	}
	d.fields = c.someFields(r)
	d.width, d.height = somePictureSize(r)
	d.size = someSize(a.kind, d.width, d.height, r)
	return d
}

// someSize returns the size of a version in bytes. The size of a picture follows from its shape.
func someSize(k kind, width, height int, r *rand.Rand) int64 {
	switch k {
	case kindImage:
		return pictureBytes(width, height)
	case kindVideo:
		return 128<<10 + r.Int64N(384<<10)
	case kindRawFile:
		return 4<<10 + r.Int64N(60<<10)
	default:
		return 0
	}
}

// someFields attaches about a third of the fields. Fields of type label follow the asset's labels.
func (c *catalog) someFields(r *rand.Rand) []fieldValue {
	var out []fieldValue
	for _, def := range c.fields {
		if def.labels != nil || r.IntN(3) != 0 {
			continue
		}
		out = append(out, fieldValue{def, someFieldValues(def, r)})
	}
	return out
}

func someFieldValues(def *fieldDef, r *rand.Rand) []string {
	if r.IntN(8) == 0 {
		return nil
	}
	switch def.kind {
	case "date":
		return []string{stamp(1_700_000_000 + r.Int64N(60_000_000))}
	case "simple_number", "percentage_number", "currency_number":
		return []string{strconv.FormatFloat(float64(r.IntN(100_000))/100, 'f', def.decimals, 64)}
	case "checkbox", "radio_button", "dropdown":
		return someChoices(def, r)
	case "image", "video":
		return []string{hexID(r)}
	case "rich_text":
		return []string{fmt.Sprintf("<p>The <b>%s</b> story</p>", pickFrom(r, nouns()))}
	default:
		return []string{pickFrom(r, adjectives()) + " and " + pickFrom(r, adjectives())}
	}
}

func someChoices(def *fieldDef, r *rand.Rand) []string {
	out := []string{pickFrom(r, def.choices).id}
	if def.kind == "checkbox" || def.multi {
		if other := pickFrom(r, def.choices).id; other != out[0] {
			out = append(out, other)
		}
	}
	return out
}
