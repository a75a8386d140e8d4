// Package cmp is the client of the Optimizely CMP Open API v3, as far as a
// mirror of the library needs it: assets on three levels, folders, label groups,
// field definitions, download URLs, downloads and webhook payloads.
//
// Every API call passes a stack of http.RoundTrippers, outermost first:
//
//	retry       judges one attempt, backs off, hands Retry-After to Grants.Pause
//	└ authorize refuses foreign hosts, adds the bearer; 401: one renewal, one more send
//	  └ grant   takes a grant for every send, also for those that net/http replays
//	    └ observe  one debug line and one Observation for every send
//	      └ whole  time limit, reads the body to its end
//	        └ Options.Transport
//
// Retry and authorize stand outside grant so that every request which leaves the
// process has been granted. The body is read innermost, so that a cut body is
// retried as a dropped connection is.
//
// Downloads go to other hosts and pass none of this: no bearer, no grant.
package cmp
