// Package s3 is the adapter for buckets.
package s3
