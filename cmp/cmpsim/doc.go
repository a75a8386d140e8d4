// Package cmpsim is a simulator of the Optimizely CMP Open API v3.
package cmpsim
