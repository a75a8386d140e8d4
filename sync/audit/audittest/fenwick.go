package audittest

import "math/bits"

// counts is a Fenwick tree of zeros and ones. It finds the number of ones below a place, and the place
// of the n-th, in logarithmic time.
type counts struct {
	tree []int32
	set  []bool
	n    int
}

func newCounts(size int) *counts {
	return &counts{tree: make([]int32, size+1), set: make([]bool, size)}
}

func (c *counts) put(i int, on bool) {
	if c.set[i] == on {
		return
	}
	c.set[i] = on
	d := int32(1)
	if !on {
		d = -1
	}
	c.n += int(d)
	for i++; i < len(c.tree); i += i & -i {
		c.tree[i] += d
	}
}

// below returns the number of ones before i.
func (c *counts) below(i int) int {
	sum := int32(0)
	for ; i > 0; i -= i & -i {
		sum += c.tree[i]
	}
	return int(sum)
}

// nth returns the place of the one that n ones precede. There must be one.
func (c *counts) nth(n int) int {
	at := 0
	for step := 1 << (bits.Len(uint(len(c.tree))) - 1); step > 0; step >>= 1 {
		if next := at + step; next < len(c.tree) && int(c.tree[next]) <= n {
			at, n = next, n-int(c.tree[next])
		}
	}
	return at
}
