package audittest

import "container/heap"

// newest is a tree of maxima over places. It finds the highest values of a range in order without
// visiting the others.
type newest struct {
	size int     // a power of two
	tree []int32 // maxima of subtrees; the root is at 1, the leaves start at size
}

func newNewest(n int) *newest {
	size := 1
	for size < n {
		size *= 2
	}
	t := &newest{size: size, tree: make([]int32, 2*size)}
	for i := range t.tree {
		t.tree[i] = -1
	}
	return t
}

func (t *newest) put(i int, value int32) {
	i += t.size
	t.tree[i] = value
	for i /= 2; i > 0; i /= 2 {
		t.tree[i] = max(t.tree[2*i], t.tree[2*i+1])
	}
}

// top returns the places of the n highest values in [from, to), highest first.
func (t *newest) top(from, to, n int) []int {
	q := &queue{newest: t}
	for l, r := from+t.size, to+t.size; l < r; l, r = l/2, r/2 {
		if l%2 == 1 {
			heap.Push(q, l)
			l++
		}
		if r%2 == 1 {
			r--
			heap.Push(q, r)
		}
	}
	var places []int
	for q.Len() > 0 && len(places) < n {
		node, _ := heap.Pop(q).(int) // only nodes are pushed
		switch {
		case t.tree[node] < 0:
			return places
		case node >= t.size:
			places = append(places, node-t.size)
		default:
			heap.Push(q, 2*node)
			heap.Push(q, 2*node+1)
		}
	}
	return places
}

// queue is a heap of the tree's nodes by their maxima.
type queue struct {
	newest *newest
	nodes  []int
}

func (q *queue) Len() int           { return len(q.nodes) }
func (q *queue) Less(i, j int) bool { return q.newest.tree[q.nodes[i]] > q.newest.tree[q.nodes[j]] }
func (q *queue) Swap(i, j int)      { q.nodes[i], q.nodes[j] = q.nodes[j], q.nodes[i] }
func (q *queue) Push(x any) {
	node, _ := x.(int) // see top
	q.nodes = append(q.nodes, node)
}

func (q *queue) Pop() any {
	last := q.nodes[len(q.nodes)-1]
	q.nodes = q.nodes[:len(q.nodes)-1]
	return last
}
