// Package cmp is a client of the Optimizely CMP Open API v3. It covers what a mirror of
// the library needs: assets on three levels, folders, label groups, field definitions,
// download URLs, downloads and webhook payloads.
//
// Every API call passes a stack of http.RoundTrippers, outermost first:
//
//	retry        classifies one attempt, backs off, passes Retry-After to Grants.Pause
//	└ auth       rejects foreign hosts, adds the bearer; on 401 renews it once and sends again
//	  └ paced    takes a grant for every request and spaces requests where they leave
//	    └ observed  logs and reports every request
//	      └ buffered  limits the time, reads the body to its end
//	        └ Options.Transport
//
// Retry and auth stand outside paced so that every request that leaves the process has
// its own grant. The body is read innermost so that a truncated body is retried like a
// dropped connection.
//
// Downloads go to other hosts and bypass the stack: no bearer, no grant.
package cmp
