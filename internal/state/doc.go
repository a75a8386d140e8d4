// Package state holds the data that the engine and the store exchange: what the mirror knows of an asset, what
// should be at a target, and the work that follows. It contains no behaviour beyond that of the data itself.
package state
